"""Which of millions of rows a reader wants to see, and in which order."""

import struct
from collections.abc import Callable, Iterator
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
    WARNED,
)
from datasets.statistics.languages import LANGUAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 1 << 20  # rows; a few tens of megabytes of memory
FLAGS = {
    "dropped": DROPPED,
    "warned": WARNED,
    "duplicate": DUPLICATE,
    "near": NEAR,
    "personal": PERSONAL,
}
CUT = "cut"  # longer than the limit
ORDERS = ("short", "long")
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
        return [name for name in ("duplicate", "near", "personal") if self.flags & FLAGS[name]]


@dataclass(frozen=True, slots=True)
class Choice:
    """Filters, each empty when all rows will do, and an order (of `ORDERS`, or the file's own)."""

    flag: str = ""  # of FLAGS, or CUT
    language: str = ""
    shortest: int | None = None
    longest: int | None = None
    order: str = ""
    cutoff: int = 2048

    @property
    def filters(self) -> bool:
        """Whether it leaves rows out."""
        lengths = self.shortest is not None or self.longest is not None
        return bool(self.flag or self.language) or lengths


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
    directory: Path, choice: Choice, *, usable: int, start: int, count: int
) -> tuple[list[int], int]:
    """The rows that are wanted from place `start` (from 0) on, and how many there are in all.

    `usable` is the number of rows that are not dropped: the others come last in any order.
    """
    import numpy as np  # here, so that pages that need no choice need not carry it

    table = np.memmap(directory / FACTS, dtype=RECORD, mode="r")
    found: list[int] = []
    seen = 0
    if not choice.filters:
        places = np.arange(start, min(start + count, len(table)))
        return _numbers(directory, choice, usable, places).tolist(), len(table)
    for begin in range(0, len(table), AT_ONCE):
        places = np.arange(begin, min(begin + AT_ONCE, len(table)))
        numbers = _numbers(directory, choice, usable, places)
        rows = table[numbers] if choice.order else table[begin : begin + AT_ONCE]
        numbers = numbers[_mask(rows, choice)]
        wanted = numbers[max(start - seen, 0) :][: count - len(found)]
        found += wanted.tolist() if len(found) < count else []
        seen += len(numbers)
    return found, seen


def chosen_among(directory: Path, choice: Choice, numbers: list[int]) -> list[int]:
    """Those of these few rows that are wanted, in the order that is. They come in the file's."""
    import numpy as np

    table = np.memmap(directory / FACTS, dtype=RECORD, mode="r")
    found = np.asarray(numbers, dtype=np.int64)
    rows = table[found]
    mask = _mask(rows, choice)
    found, rows = found[mask], rows[mask]
    if choice.order:
        sign = -1 if choice.order == "long" else 1
        found = found[np.lexsort((sign * rows["length"].astype(np.int64), rows["flags"] & DROPPED))]
    return [int(number) for number in found]


def keeper(directory: Path, choice: Choice) -> Callable[[int], bool]:
    """Whether a row is wanted, for rows that are asked for one by one."""
    import numpy as np

    table = np.memmap(directory / FACTS, dtype=RECORD, mode="r")
    return lambda number: bool(_mask(table[number : number + 1], choice)[0])


def _numbers(
    directory: Path, choice: Choice, usable: int, places: "NDArray[Any]"
) -> "NDArray[Any]":
    """The rows that stand at these places, which rise."""
    import numpy as np

    if not choice.order:
        return places
    order = np.memmap(directory / ORDER, dtype="<u4", mode="r")
    if choice.order == "long":
        places = np.where(places < usable, usable - 1 - places, places)
    return np.asarray(order[places])


def _mask(rows: "NDArray[Any]", choice: Choice) -> "NDArray[Any]":
    import numpy as np

    kept = np.ones(len(rows), dtype=bool)
    for one in _conditions(rows, choice):
        kept &= one
    return kept


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
