"""Which rows ask what an evaluation set asks: a model that learnt them is not measured by it."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.preparing import Progress
from datasets.reading.indexed import IndexedReader
from datasets.recipes.rows import decoded, plain, texts_of
from datasets.shapes.mapping import Mapping

SET_ROWS = 10_000  # of an evaluation set; of bigger ones so many are drawn evenly
LISTED = 200  # rows that are named
PROMPT_MAX = 2000  # characters of a prompt that are compared
THRESHOLD = 0.8  # share of stretches that near prompts have in common
_GRAM = 4  # words in a row that near prompts must share at least once
_SHARED = 16  # prompts of the set that a stretch of words is kept for; commoner ones say little
_COMPARED = 4
_DENSE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_DENSE_SIGN = re.compile(f"[{_DENSE}]")
_WORD = re.compile(rf"[{_DENSE}]|[^\W{_DENSE}]+")


@dataclass
class Overlap:
    """What a version shares with one evaluation set; `rows` are both rows' numbers from 1."""

    of: int  # rows of the set
    looked: int  # those that were compared
    exact: int = 0
    near: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: int, other: int, *, exact: bool) -> None:
        """Counts a row of the version with the row of the set that asks the same."""
        if exact:
            self.exact += 1
        else:
            self.near += 1
        if len(self.rows) < LISTED:
            self.rows.append({"row": row + 1, "other": other + 1, "exact": exact})


def prompt_words(value: Any, mapping: Mapping) -> list[str]:
    """The words of what a row asks; of a plain text its beginning. Neither case nor signs count."""
    texts = texts_of(decoded(value, mapping), plain(mapping))
    asked = " ".join(text for role, text in texts if role in {"user", "text"})[:PROMPT_MAX]
    return _WORD.findall(unicodedata.normalize("NFKC", asked).casefold())


class Prompts:
    """The prompts of an evaluation set, to be asked for."""

    def __init__(self, rows: Path, mapping: Mapping) -> None:
        reader = IndexedReader(rows)
        self.count = reader.count
        numbers = range(0, reader.count, -(-reader.count // SET_ROWS) or 1)
        self.looked = len(numbers)
        self._texts: dict[int, str] = {}
        self._exact: dict[str, int] = {}
        self._grams: dict[int, list[int]] = {}
        for number, value in reader.some(numbers):
            words = prompt_words(value, mapping)
            if not words:
                continue
            self._texts[number] = text = " ".join(words)
            self._exact.setdefault(text, number)
            for gram in _grams(words):
                known = self._grams.setdefault(gram, [])
                if len(known) < _SHARED:
                    known.append(number)

    def find(self, words: list[str]) -> tuple[int, bool] | None:
        """The row that asks the same, and whether in the same words; None without one."""
        text = " ".join(words)
        if (same := self._exact.get(text)) is not None:
            return same, True
        shared: Counter[int] = Counter()
        for gram in _grams(words):
            shared.update(self._grams.get(gram, ()))
        if not shared:
            return None
        mine = _stretches(text)
        for number, _count in shared.most_common(_COMPARED):
            if _alike(mine, self._texts[number]):
                return number, False
        return None


def _stretches(text: str) -> set[str]:
    """All stretches of five characters, or of three where the script has no spaces."""
    size = 3 if len(_DENSE_SIGN.findall(text)) * 3 > len(text) else 5
    return {text[place : place + size] for place in range(max(len(text) - size + 1, 1))}


def _grams(words: list[str]) -> set[int]:
    return {hash(gram) for gram in zip(*(words[place:] for place in range(_GRAM)), strict=False)}


def _alike(mine: set[str], other: str) -> bool:
    theirs = _stretches(other)
    both = len(mine & theirs)
    return both >= THRESHOLD * (len(mine) + len(theirs) - both)


def overlap_find(rows: Path, mapping: Mapping, prompts: Prompts, *, progress: Progress) -> Overlap:
    """Looks at every row of a version."""
    reader = IndexedReader(rows)
    found = Overlap(prompts.count, prompts.looked)
    for number, _line, value in reader.all():
        words = prompt_words(value, mapping)
        if words and (match := prompts.find(words)):
            found.add(number, match[0], exact=match[1])
        if number % 1024 == 0:
            progress("comparing", number / reader.count)
    return found
