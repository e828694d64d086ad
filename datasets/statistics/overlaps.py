"""Which rows hold what evaluation sets ask: a model that learnt them is not measured by these."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.preparing import Progress
from datasets.reading.indexed import IndexedReader
from datasets.recipes.rows import decoded, plain, texts_of
from datasets.shapes.mapping import Mapping
from datasets.statistics.drawing import drawn
from datasets.statistics.questions import GAP, LEAST, Questions, Said, letters_of

SET_ROWS = 100_000  # of an evaluation set; of bigger ones so many are drawn evenly
SET_BYTES = 64 * 2**20  # of its rows, likewise
LETTERS = 16_000_000  # of questions that are looked for in one reading of the rows
TOGETHER = 1 << 18  # letters of rows that are looked at together
LISTED = 200  # rows that are named
_SHORT = 4 * max(LEAST.values())  # characters; longer texts are no short question
_ASKED = frozenset({"user", "text"})


@dataclass
class Overlap:
    """What a version shares with one evaluation set; `rows` are both rows' numbers from 1."""

    of: int  # rows of the set
    looked: int  # those that were compared
    exact: int = 0
    near: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: int, other: int, *, exact: bool) -> None:
        """Counts a row of the version with the row of the set that asks what it says."""
        if exact:
            self.exact += 1
        else:
            self.near += 1
        if len(self.rows) < LISTED:
            self.rows.append({"row": row + 1, "other": other + 1, "exact": exact})


class Sets:
    """Evaluation sets that are looked for in one reading of a version's rows."""

    def __init__(self) -> None:
        self.found: list[Overlap] = []  # in the order in which they were added
        self.questions = Questions()

    @property
    def is_full(self) -> bool:
        """Whether further sets are for the next reading."""
        return self.questions.letters >= LETTERS

    def add(self, rows: Path, mapping: Mapping) -> None:
        """Takes the questions of a set."""
        reader = IndexedReader(rows)
        share = min(SET_ROWS / max(reader.count, 1), SET_BYTES / max(reader.size, 1))
        numbers = drawn(reader.count, share)
        for number, value in reader.some(numbers):
            texts = texts_of(decoded(value, mapping), plain(mapping))
            self.questions.add(letters_of(_asked(texts)), len(self.found), number)
        self.found.append(Overlap(reader.count, len(numbers)))


def _asked(texts: list[tuple[str, str]]) -> str:
    return " ".join(text for role, text in texts if role in _ASKED)


def said_of(texts: list[tuple[str, str]]) -> Said:
    """A row as questions are sought in it: in all of its texts, whoever says them, and in what is
    asked, read without the answers between.
    """
    whole, asked = letters_of(" ".join(text for _role, text in texts)), letters_of(_asked(texts))
    alone = (letters_of(text) for _role, text in texts if len(text) <= _SHORT)
    apart = "" if asked in whole else GAP + asked
    return Said(whole + apart, tuple({asked, *alone} - {""}))


def overlaps_count(rows: Path, mapping: Mapping, sets: Sets, *, progress: Progress) -> None:
    """Looks at every row of a version, and counts in `sets` what it finds."""
    finder = sets.questions.finder()
    count = IndexedReader(rows).count
    for start, together in _together(rows, mapping):
        for place, match in finder.find(together):
            sets.found[match.set].add(start + place, match.row, exact=match.exact)
        progress("comparing", (start + len(together)) / count)


def _together(rows: Path, mapping: Mapping) -> Iterator[tuple[int, list[Said]]]:
    """Some rows at a time, with the number of their first one."""
    read = plain(mapping)
    held: list[Said] = []
    letters = start = 0
    for number, _line, value in IndexedReader(rows).all():
        held.append(said_of(texts_of(decoded(value, mapping), read)))
        letters += len(held[-1].letters)
        if letters >= TOGETHER:
            yield start, held
            held, letters, start = [], 0, number + 1
    if held:
        yield start, held
