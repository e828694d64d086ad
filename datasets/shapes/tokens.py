"""How many tokens a row takes in a chat template, just as the engine counts them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from datasets.shapes.templates import Marks, Stretch, Template
from datasets.shapes.turns import Example

AT_ONCE = 1 << 16  # characters; the tokenizer takes some 200 bytes for each while it is at them
FACTS = ("special_tokens_map.json", "tokenizer_config.json")  # the later one counts
FACTS_MAX = 16 * 2**20  # bytes; those of known models have up to 2 MB


class TokenCounter:
    """Counts the tokens of examples for one tokenizer and template.

    A row is cut where it has more than the limit: the engine then keeps that many of its tokens.
    Texts of more than `AT_ONCE` characters are counted in parts, and can differ by a token at each
    seam.
    """

    def __init__(self, tokenizer_dir: Path, template: Template) -> None:
        from tokenizers import Tokenizer  # heavy, and most processes count nothing

        self._tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._template = template
        told = _special_tokens(tokenizer_dir)
        eos = template.stop_words[0] if template.replace_eos else told.get("eos_token")
        self._marks = Marks(told.get("bos_token", ""), eos or "<|endoftext|>")
        special = [self._marks.bos, self._marks.eos, *template.tokens]
        self._tokenizer.add_special_tokens([token for token in special if token])

    def lengths(self, examples: list[Example]) -> list[int]:
        """Tokens of each example; of two answers the longer one counts."""
        rows = [self._template.stretches(example, self._marks) for example in examples]
        texts = {text: 0 for row, answers in rows for part in (row, *answers) for text, _ in part}
        sizes = dict(zip(texts, self._sizes(list(texts)), strict=True))

        def length(stretches: list[Stretch]) -> int:
            return sum(sizes[text] for text, _learns in stretches)

        return [length(row) + max(map(length, answers), default=0) for row, answers in rows]

    def said(self, example: Example) -> list[Stretch]:
        """What the model reads, and whether it learns to say it. See `Example.learns`."""
        row, answers = self._template.stretches(example, self._marks)
        return [*row, *(stretch for answer in answers for stretch in answer)]

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


def _special_tokens(tokenizer_dir: Path) -> dict[str, str]:
    """The tokenizer's special tokens by their names, as far as its files tell."""
    found: dict[str, Any] = {}
    for name in FACTS:
        path = tokenizer_dir / name
        try:
            told = orjson.loads(path.read_bytes()) if path.stat().st_size <= FACTS_MAX else {}
        except (OSError, ValueError):
            continue
        found |= told if isinstance(told, dict) else {}
    texts = {
        name: told.get("content") if isinstance(told, dict) else told
        for name, told in found.items()
        if name.endswith("_token")
    }
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _parts(text: str) -> Iterator[str]:
    """The text in parts of at most `AT_ONCE` characters, cut before a word where there is one."""
    start = 0
    while len(text) - start > AT_ONCE:
        end = text.rfind(" ", start + AT_ONCE // 2, start + AT_ONCE)
        end = end if end > start else start + AT_ONCE
        yield text[start:end]
        start = end
    yield text[start:] if start else text
