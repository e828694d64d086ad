"""Which of millions of rows a reader wants to see, and in which order."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.statistics.facts import (
    DROPPED,
    DUPLICATE,
    ESTIMATED,
    FACTS,
    NEAR,
    ORDER,
    PERSONAL,
    RECORD,
    UNUSUAL,
    WARNED,
)
from datasets.statistics.indexes import DOWN, UP, Condition, Index, mapped
from datasets.statistics.languages import LANGUAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 1 << 20  # rows; a few tens of megabytes of memory
WINDOW = 1 << 20  # rows that a search finds out about at once; about as many as a step looks at
FLAGS = {
    "dropped": DROPPED,
    "warned": WARNED,
    "duplicate": DUPLICATE,
    "near": NEAR,
    "personal": PERSONAL,
    "unusual": UNUSUAL,
}
CUT = "cut"  # longer than the limit
ORDERS = ("short", "long")
COLUMN_ORDERS = {"up": UP, "down": DOWN}
_RECORD = struct.Struct("<IHBB")


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What is known of a row. `length` is tokens or characters, whichever are counted."""

    length: int
    turns: int
    language: str
    flags: int

    @property
    def estimated(self) -> bool:
        """Whether the length was not counted."""
        return bool(self.flags & ESTIMATED)

    @property
    def found(self) -> list[str]:
        """Names of `FLAGS` that are worth a word."""
        worth = ("duplicate", "near", "personal", "unusual")
        return [name for name in worth if self.flags & FLAGS[name]]


@dataclass(frozen=True, slots=True)
class Choice:
    """Filters, each empty when all rows will do, and an order.

    The order is of `ORDERS`, of `COLUMN_ORDERS` by the column `by`, or the file's own.
    """

    flag: str = ""  # of FLAGS, or CUT
    language: str = ""
    shortest: int | None = None
    longest: int | None = None
    order: str = ""
    cutoff: int = 2048
    where: tuple[Condition, ...] = ()
    by: str = ""

    @property
    def asks_facts(self) -> bool:
        """Whether a filter needs what was counted of each row."""
        lengths = self.shortest is not None or self.longest is not None
        return bool(self.flag or self.language) or lengths

    @property
    def filters(self) -> bool:
        """Whether it leaves rows out."""
        return self.asks_facts or bool(self.where)

    @property
    def indexes(self) -> list[Index]:
        """The indexes of columns that it needs, each once."""
        found = [one.index for one in self.where]
        return list(dict.fromkeys([*found, Index(self.by)] if self.by else found))

    def without_facts(self) -> "Choice":
        """What is left of it while rows are not counted."""
        order = self.order if self.by else ""
        return Choice(cutoff=self.cutoff, where=self.where, order=order, by=self.by)


@dataclass(frozen=True, slots=True)
class Known:
    """What is written down of a version's rows: how many there are, how many of them are not
    dropped, and the folders of the facts and of the indexes of columns.
    """

    total: int
    usable: int
    facts: Path
    indexes: Path


def facts_of(directory: Path, numbers: list[int]) -> dict[int, RowFacts]:
    """The facts of some rows; none when the rows are not counted yet."""
    found: dict[int, RowFacts] = {}
    try:
        with (directory / FACTS).open("rb") as file:
            for number in numbers:
                file.seek(number * _RECORD.size)
                length, turns, language, flags = _RECORD.unpack(file.read(_RECORD.size))
                found[number] = RowFacts(length, turns, LANGUAGES[language], flags)
    except FileNotFoundError:
        return {}
    return found


def chosen(
    known: Known, choice: Choice, *, start: int, count: int, among: list[int] | None = None
) -> tuple[list[int], int]:
    """The rows that are wanted from place `start` (from 0) on, and how many there are in all.

    `among` are the few that come into question; None: all. What the choice needs must be there.
    """
    import numpy as np  # here, so that pages that need no choice need not carry it

    if not choice.filters and among is None:
        ends = min(start + count, known.total)
        return _numbers(known, choice, start, ends).tolist(), known.total
    mask = _wanted(known, choice, among, 0, known.total)
    matching = int(np.count_nonzero(mask))
    found: list[int] = []
    seen = 0
    for begin in range(0, known.total, AT_ONCE):
        if len(found) >= min(count, matching - start):
            break
        numbers = _numbers(known, choice, begin, min(begin + AT_ONCE, known.total))
        numbers = numbers[mask[numbers]]
        found += numbers[max(start - seen, 0) :][: count - len(found)].tolist()
        seen += len(numbers)
    return found, matching


class Wanted:
    """Tells of one row after the other whether it is wanted, looking only at those around it."""

    def __init__(self, known: Known, choice: Choice, among: list[int] | None = None) -> None:
        self._given = known, choice, among
        self._all = not choice.filters and among is None
        self._first = self._last = 0
        self._mask: NDArray[Any] | None = None

    def __call__(self, number: int) -> bool:
        if self._all:
            return True
        if self._mask is None or not self._first <= number < self._last:
            self._first, self._last = number, min(number + WINDOW, self._given[0].total)
            self._mask = _wanted(*self._given, self._first, self._last)
        return bool(self._mask[number - self._first])


def _wanted(
    known: Known, choice: Choice, among: list[int] | None, first: int, last: int
) -> "NDArray[Any]":
    """Of the rows from `first` on and before `last` whether they are wanted."""
    import numpy as np

    mask = np.ones(last - first, dtype=bool)
    if choice.asks_facts:
        table = np.memmap(known.facts / FACTS, dtype=RECORD, mode="r")[first:last]
        for begin in range(0, last - first, AT_ONCE):
            rows, part = table[begin : begin + AT_ONCE], mask[begin : begin + AT_ONCE]
            for one in _conditions(rows, choice):
                part &= one
    for condition in choice.where:
        mask &= _at(condition.numbers(known.indexes), first, last) ^ condition.is_negative
    if among is not None:
        mask &= _at(among, first, last)
    return mask


def _at(numbers: Any, first: int, last: int) -> "NDArray[Any]":
    """Of the rows from `first` on and before `last` whether they are among these."""
    import numpy as np

    mask = np.zeros(last - first, dtype=bool)
    for begin in range(0, len(numbers), AT_ONCE):
        part = np.asarray(numbers[begin : begin + AT_ONCE], dtype=np.int64)
        mask[part[(part >= first) & (part < last)] - first] = True
    return mask


def _numbers(known: Known, choice: Choice, first: int, last: int) -> "NDArray[Any]":
    """The rows that stand at the places from `first` on and before `last`."""
    import numpy as np

    if choice.by:
        folder = known.indexes / Index(choice.by).name
        return mapped(folder / COLUMN_ORDERS[choice.order])[first:last]
    places = np.arange(first, last)
    if not choice.order:
        return places
    if choice.order == "long":
        places = np.where(places < known.usable, known.usable - 1 - places, places)
    return mapped(known.facts / ORDER)[places]


def _conditions(rows: "NDArray[Any]", choice: Choice) -> Iterator["NDArray[Any]"]:
    usable = rows["flags"] & DROPPED == 0
    if choice.flag == CUT:
        yield usable & (rows["length"] > choice.cutoff)
    elif choice.flag:
        yield rows["flags"] & FLAGS[choice.flag] > 0
    if choice.language:
        yield rows["language"] == LANGUAGES.index(choice.language)
    if choice.shortest is not None:
        yield usable & (rows["length"] >= choice.shortest)
    if choice.longest is not None:
        yield usable & (rows["length"] <= choice.longest)
