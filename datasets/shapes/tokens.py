"""How many tokens a row takes, with the words that the chat template puts around its texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets.shapes.examples import ANSWERING, Example, Turn

AT_ONCE = 1 << 16  # characters; the tokenizer takes some 200 bytes for each while it is at them


@dataclass(frozen=True)
class Frame:
    """The words a chat template puts around texts. `{}` stands for the text."""

    user: str
    assistant: str
    system: str = "{}"
    observation: str = "{}"
    default_system: str = ""
    prefix: str = ""
    thought: str = ""  # put before an answer that has no thought of its own
    question_ends: int = 0  # end-of-text tokens after a question, and after an answer
    answer_ends: int = 0


def _chatml(default_system: str = "", thought: str = "") -> Frame:
    return Frame(
        user="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        assistant="{}<|im_end|>\n",
        system="<|im_start|>system\n{}<|im_end|>\n",
        observation="<|im_start|>tool\n{}<|im_end|>\n<|im_start|>assistant\n",
        default_system=default_system,
        thought=thought,
    )


_THOUGHT = "<think>\n\n</think>\n\n"
_LLAMA3 = "<|start_header_id|>{}<|end_header_id|>\n\n"
FRAMES = {
    "empty": Frame(user="{}", assistant="{}"),
    "default": Frame(
        user="Human: {}\nAssistant:",
        assistant="{}\n",
        system="System: {}\n",
        question_ends=1,
        answer_ends=1,
    ),
    "alpaca": Frame(
        user="### Instruction:\n{}\n\n### Response:\n",
        assistant="{}\n\n",
        default_system="Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n",
        answer_ends=1,
    ),
    "chatml": _chatml(),
    "qwen": _chatml("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    "qwen3": _chatml(thought=_THOUGHT),
    "qwen3_nothink": _chatml(),
    "llama3": Frame(
        user=_LLAMA3.format("user") + "{}<|eot_id|>" + _LLAMA3.format("assistant"),
        assistant="{}<|eot_id|>",
        system=_LLAMA3.format("system") + "{}<|eot_id|>",
        prefix="<|begin_of_text|>",
    ),
    "gemma": Frame(
        user="<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
        assistant="{}<end_of_turn>\n",
        system="{}\n\n",
        prefix="<bos>",
    ),
    "mistral": Frame(user="[INST] {}[/INST]", assistant=" {}</s>", system="{}\n\n", prefix="<s>"),
    "deepseek3": Frame(
        user="<｜User｜>{}<｜Assistant｜>", assistant="{}", prefix="<s>", answer_ends=1
    ),
}
# Families that share a frame, by the beginning of their name; others are counted as ChatML, whose
# words take about as many tokens as those of most templates.
_FAMILIES = ("qwen3_nothink", "qwen3", "qwen", "llama3", "gemma", "mistral", "deepseek3", "alpaca")
_OTHERS = "chatml"


def frame_name(template: str) -> str:
    """Whose frame a template has: its own, its family's, or for want of these ChatML's."""
    if template in FRAMES:
        return template
    return next((one for one in _FAMILIES if template.startswith(one)), _OTHERS)


def is_known(template: str) -> bool:
    """Whether the words that are put around texts are those of the template, not ChatML's."""
    return template == _OTHERS or frame_name(template) != _OTHERS


class TokenCounter:
    """Counts the tokens of examples for one tokenizer and template.

    The texts are counted exactly; those of more than `AT_ONCE` characters in parts. The template's
    words are counted once each by the same tokenizer, apart from the texts. Both can differ by a
    token or two at the seams.
    """

    def __init__(self, tokenizer_dir: Path, template: str) -> None:
        from tokenizers import Tokenizer  # heavy, and most processes count nothing

        self._tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._frame = FRAMES[frame_name(template)]
        frame = self._frame
        self._around = {
            "user": self._words(frame.user) + frame.question_ends,
            "assistant": self._words(frame.assistant) + frame.answer_ends,
            "function": self._words(frame.assistant) + frame.answer_ends,
            "observation": self._words(frame.observation),
            "system": self._words(frame.system),
        }
        # The mark at the beginning is a token that the tokenizer has, or the engine leaves it out.
        self._prefix = int(self._tokenizer.token_to_id(frame.prefix) is not None)
        self._thought = self._words(frame.thought)

    def lengths(self, examples: list[Example]) -> list[int]:
        """Tokens of each example; of two answers the longer one counts."""
        texts: list[str] = []
        for example in examples:
            texts += self._texts(example)
        sizes = iter(self._sizes(texts))
        return [
            self._length(example, [next(sizes) for _ in self._texts(example)])
            for example in examples
        ]

    def said(self, example: Example) -> list[tuple[str, bool]]:
        """What the model reads, in stretches, and whether it learns to say them.

        The tokenizer is given each stretch whole, as the engine does. See `Example.learns`.
        """
        if example.text is not None:
            return [(example.text, True)]
        frame = self._frame
        found = [(frame.prefix, False)] if self._prefix else []
        if system := (example.system or frame.default_system) + example.tools:
            found.append((frame.system.replace("{}", system), False))
        for place, turn in enumerate(example.turns):
            found.append((self._framed(turn), example.learns(place)))
        answers = (example.chosen, example.rejected)
        found += [(self._framed(answer), True) for answer in answers if answer is not None]
        return found

    def _framed(self, turn: Turn) -> str:
        if turn.role not in ANSWERING:
            frame = self._frame.observation if turn.role == "observation" else self._frame.user
            return frame.replace("{}", turn.content)
        thought = "" if "<think>" in turn.content else self._frame.thought
        return thought + self._frame.assistant.replace("{}", turn.content)

    def pieces(self, text: str) -> list[tuple[str, int]]:
        """The text in stretches of whole characters, and how many tokens each takes."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        found: list[tuple[str, int]] = []
        begin = tokens = 0
        starts = [start for start, _end in offsets[1:]] + [len(text)]
        for (_start, end), following in zip(offsets, starts, strict=False):
            tokens += 1
            if following >= end > begin:
                found.append((text[begin:end], tokens))
                begin, tokens = end, 0
        if tokens and found:
            found[-1] = (found[-1][0], found[-1][1] + tokens)
        return found

    def _sizes(self, texts: list[str]) -> list[int]:
        """Tokens of each text, so many texts at once that memory stays bounded."""
        sizes = [0] * len(texts)
        parts: list[str] = []
        places: list[int] = []
        held = 0
        for place, text in enumerate(texts):
            for part in _parts(text):
                if held + len(part) > AT_ONCE:
                    self._add_sizes(sizes, parts, places)
                    parts, places, held = [], [], 0
                parts.append(part)
                places.append(place)
                held += len(part)
        self._add_sizes(sizes, parts, places)
        return sizes

    def _add_sizes(self, sizes: list[int], parts: list[str], places: list[int]) -> None:
        encoded = self._tokenizer.encode_batch_fast(parts, add_special_tokens=False)
        for place, part in zip(places, encoded, strict=True):
            sizes[place] += len(part)

    def _texts(self, example: Example) -> list[str]:
        if example.text is not None:
            return [example.text]
        system = (example.system or self._frame.default_system) + example.tools
        answers = [turn for turn in (example.chosen, example.rejected) if turn]
        return [
            system,
            *(turn.content for turn in example.turns),
            *(turn.content for turn in answers),
        ]

    def _length(self, example: Example, sizes: list[int]) -> int:
        if example.text is not None:
            return sizes[0] + 1
        total = self._prefix + (sizes[0] + self._around["system"] if sizes[0] else 0)
        for turn, size in zip(example.turns, sizes[1:], strict=False):
            total += self._turn(turn, size)
        answers = [turn for turn in (example.chosen, example.rejected) if turn]
        if answers:
            total += max(
                self._turn(turn, size)
                for turn, size in zip(answers, sizes[-len(answers) :], strict=True)
            )
        return total

    def _turn(self, turn: Turn, size: int) -> int:
        thinks = turn.role in {"assistant", "function"} and "<think>" not in turn.content
        return size + self._around[turn.role] + (self._thought if thinks else 0)

    def _words(self, pattern: str) -> int:
        parts = [part for part in pattern.split("{}") if part]
        return sum(
            len(self._tokenizer.encode(part, add_special_tokens=False).ids) for part in parts
        )


def _parts(text: str) -> Iterator[str]:
    """The text in parts of at most `AT_ONCE` characters, cut before a word where there is one."""
    start = 0
    while len(text) - start > AT_ONCE:
        end = text.rfind(" ", start + AT_ONCE // 2, start + AT_ONCE)
        end = end if end > start else start + AT_ONCE
        yield text[start:end]
        start = end
    yield text[start:] if start else text
