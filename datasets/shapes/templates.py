"""Chat templates: the words around the texts of a row, as the engine puts them."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import orjson

from datasets.shapes.tool_words import ToolWords
from datasets.shapes.turns import ANSWERING, Example, Turn

# Words with a place for the content, or a token: by its text or by its part in the tokenizer.
Slots = Sequence[str | dict[str, str]]
Stretch = tuple[str, bool]  # a text that is tokenized alone, and whether it carries loss
PLACE = "{{content}}"
BOS, EOS = {"part": "bos"}, {"part": "eos"}


@dataclass(frozen=True, slots=True)
class Marks:
    """A tokenizer's tokens at the ends of texts; `bos` is empty where it has none."""

    bos: str
    eos: str


@dataclass(frozen=True, slots=True)
class Template:
    """What the engine puts around texts, and how.

    Each of the slots is tokenized alone.
    """

    user: Slots = (PLACE,)
    assistant: Slots = (PLACE, EOS)
    function: Slots = (PLACE, EOS)
    observation: Slots = (PLACE,)
    system: Slots = (PLACE,)
    prefix: Slots = ()
    default_system: str = ""
    system_in_question: bool = False  # the system prompt begins the first question
    stop_words: Sequence[str] = ()
    replace_eos: bool = False  # by the first of the stop words
    efficient_eos: bool = False  # one end-of-text token, after the last answer
    thought_words: Sequence[str] = ()  # around thoughts, of models that think
    thought: str = ""  # put before an answer that has no thought of its own
    tool_words: ToolWords = field(default_factory=ToolWords)
    placeholders: Sequence[str] = ()  # of images, videos and sounds, which rows never come with

    @property
    def digest(self) -> str:
        """Another one for other words."""
        return hashlib.sha256(orjson.dumps(self)).hexdigest()[:8]

    @property
    def tokens(self) -> list[str]:
        """What the engine makes tokens of, whether the tokenizer has them or not."""
        asked = (*self.prefix, *self.system, *self.user, *self.observation)
        slots = (*asked, *self.assistant, *self.function)
        named = (slot.get("token", "") for slot in slots if isinstance(slot, dict))
        return [*self.stop_words, *filter(None, named)]

    def stretches(
        self, example: Example, marks: Marks
    ) -> tuple[list[Stretch], list[list[Stretch]]]:
        """What the model reads of a row: all of it, or what comes before each of two answers."""
        if example.text is not None:
            return [(example.text + marks.eos, True)], []
        found: list[Stretch] = []
        for place, turn in enumerate(example.turns):
            learns = example.learns(place)
            first = None if place else example
            found += [(text, learns) for text in self._said(turn, marks, learns, first) if text]
        pair = [turn for turn in (example.chosen, example.rejected) if turn]
        answers = [
            [(text, True) for text in self._said(turn, marks, is_learnt=True) if text]
            for turn in pair
        ]
        if self.efficient_eos:
            for ending in answers or [found]:
                ending.append((marks.eos, True))
        return found, answers

    def stops_at(self, example: Example) -> str:
        """At what of this row the engine stops the whole training; empty when it takes the row.

        `files` where a text has a placeholder of what is not there, `tools`, `call`, or `calls`
        where one call is taken and several at once are not.
        """
        words = self.tool_words
        if example.holds(self.placeholders):
            return "files"
        if words.stops_at_tools(example.tools):
            return "tools"
        told = [(turn, example.learns(place)) for place, turn in enumerate(example.turns)]
        told += [(turn, True) for turn in (example.chosen, example.rejected) if turn]
        for turn, is_learnt in told:
            if turn.role != "function":
                continue
            content = turn.content if is_learnt else self._without_thoughts(turn.content)
            if words.stops_at_call(content):
                alone = replace(words, calls=words.calls or ("", "", ""))
                return "call" if alone.stops_at_call(content) else "calls"
        return ""

    def _said(
        self, turn: Turn, marks: Marks, is_learnt: bool, begins: Example | None = None
    ) -> Iterator[str]:
        """The turn in the template's words; the first one after the system prompt."""
        content = turn.content
        if begins is not None:
            yield from _filled(self.prefix, "", marks)
            tools = self.tool_words.tools_said(begins.tools)
            if system := (begins.system or self.default_system) + tools:
                written = list(_filled(self.system, system, marks))
                if not self.system_in_question:
                    yield from written
                elif turn.role == "user":
                    content = written[0] + content
        if turn.role in ANSWERING:
            content = self._without_thoughts(content) if not is_learnt else content
            if is_learnt and not any(word.strip() in content for word in self.thought_words):
                yield self.thought
        if turn.role == "function":
            content = self.tool_words.call_said(content)
        yield from _filled(getattr(self, turn.role), content, marks)

    def _without_thoughts(self, content: str) -> str:
        """The engine takes the thoughts off answers that only lead to the one that is judged."""
        if not self.thought_words:
            return content
        begin, end = map(re.escape, self.thought_words)
        return re.sub(f"{begin}.*?{end}", "", content, flags=re.DOTALL).lstrip("\n")


def _filled(slots: Slots, content: str, marks: Marks) -> Iterator[str]:
    for slot in slots:
        if isinstance(slot, str):
            yield slot.replace(PLACE, content, 1)
        else:
            yield slot.get("token") or (marks.bos if slot == BOS else marks.eos)
