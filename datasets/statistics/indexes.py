"""Rows by the values of a column, so that millions are filtered and sorted at once.

An index of a column is its rows' numbers in the order of its values, rising (`up.bin`) and falling
(`down.bin`), and every value beside the place where its rows begin (`keys.jsonl`). An index of
words is the numbers of the rows that hold them in that column (`hits.bin`).

Numbers come first, also those written as text, as a table's are; then texts in the order of
Unicode; last, in both directions, rows whose cell is empty, null or not there. Space around a
value does not count. Rows of the same value stay in the order of the file.
"""

import hashlib
import heapq
import json
import marshal
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.reading.indexed import IndexedReader, IndexedWriter, texts_within
from datasets.statistics.drawing import drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

UP, DOWN, KEYS, HITS = "up.bin", "down.bin", "keys.jsonl", "hits.bin"
TEXT_MAX = 100  # characters of a text that tell its place, and of a value that is asked for
NUMBER, TEXT, EMPTY = range(3)
OPERATORS = ("is", "isnt", "contains", "least", "most", "empty", "filled")
WITHOUT_VALUE = ("empty", "filled")
RUN_BYTES = 128 * 2**20  # of memory in which rows are put in order at once
_ENTRY_BYTES = 250  # of memory for a row besides its text
_BLOCK = 4096  # rows of a run that are read at once
_JUDGED = 400  # rows by which the room for all of them is judged
# Others have too many digits for a number, or are a name made of digits, such as 007.
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]{0,14})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")
_EXACT = 10**15

Key = tuple[int] | tuple[int, float] | tuple[int, str]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Index:
    """What one index is of: a column, or words in it, whatever their case."""

    column: str
    words: str = ""

    @property
    def name(self) -> str:
        """A name for its folder."""
        told = json.dumps([self.column, self.words.casefold()])
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()

    def room(self, rows: Path) -> int:
        """About how many bytes of disk making it takes, judged by some of the rows."""
        reader = IndexedReader(rows)
        if self.words:
            return 4 * reader.count
        numbers = drawn(reader.count, _JUDGED / max(reader.count, 1))
        cells = [_cell(value, self.column) for _number, value in reader.some(numbers)]
        keys = sum(len(marshal.dumps((key_of(cell), 0))) for cell in cells) / max(len(cells), 1)
        # Runs and values have the keys each, and values a place in their file; two orders.
        return int(reader.count * (2 * keys + 16 + 8))

    def write(self, rows: Path, target: Path, progress: Progress) -> None:
        """Makes the index into the folder `target`, in memory that does not grow with texts."""
        if self.words:
            _hits_write(rows, self, target, progress)
        else:
            _order_write(rows, self.column, target, progress)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a row must have in a column: an operator of `OPERATORS`, and a value where it needs one.

    `least` and `most` compare numbers with numbers and texts with texts.
    """

    column: str
    operator: str
    value: str = ""

    @property
    def index(self) -> Index:
        """The index that answers it."""
        return Index(self.column, self.value if self.operator == "contains" else "")

    @property
    def is_negative(self) -> bool:
        """Whether `numbers` are those rows that do not meet it."""
        return self.operator in {"isnt", "filled"}

    def numbers(self, indexes: Path) -> "NDArray[Any]":
        """The rows that meet it, or those that do not, in any order."""
        folder = indexes / self.index.name
        if self.operator == "contains":
            return mapped(folder / HITS)
        order = mapped(folder / UP)
        first, last = self._places(IndexedReader(folder / KEYS), len(order))
        return order[first:last]

    def _places(self, keys: IndexedReader, total: int) -> tuple[int, int]:
        """From which place in the column's order on, and up to which."""

        def begins(place: int) -> int:
            return keys.page(place, 1)[0].source_line if place < keys.count else total

        def stored(place: int) -> Any:
            return keys.page(place, 1)[0].value

        def before(key: list[Any]) -> int:
            return begins(bisect_left(range(keys.count), key, key=stored))

        if self.operator in WITHOUT_VALUE:
            return before([EMPTY]), total
        key: list[Any] = list(key_of(self.value))
        kind = key[0]
        after = begins(bisect_right(range(keys.count), key, key=stored))
        if self.operator == "least":
            return before(key), before([kind + 1])
        if self.operator == "most":
            return before([kind]), after
        return before(key), after


def mapped(path: Path) -> "NDArray[Any]":
    """Numbers of rows that lie in a file."""
    import numpy as np

    if not path.stat().st_size:
        return np.empty(0, dtype="<u4")
    return np.memmap(path, dtype="<u4", mode="r")


def key_of(value: Any) -> Key:
    """What tells the place of a value."""
    if value is None:
        return (EMPTY,)
    if isinstance(value, float) or (type(value) is int and abs(value) < _EXACT):
        return (NUMBER, value)
    text = (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).strip()
    if not text:
        return (EMPTY,)
    if len(text) <= TEXT_MAX and isinstance(value, str) and _NUMBER.fullmatch(text):
        return (NUMBER, float(text))
    return (TEXT, text[: TEXT_MAX + 1])


def _order_write(rows: Path, column: str, target: Path, progress: Progress) -> None:
    up, starts, empty = array("I"), array("I"), None
    before: Key | None = None
    with IndexedWriter(target / KEYS) as keys:
        for key, number in heapq.merge(*_runs(IndexedReader(rows), column, target, progress)):
            if key != before:
                before = key
                keys.write(key, len(up))
                if key == (EMPTY,):
                    empty = len(up)
                else:
                    starts.append(len(up))
            up.append(number)
    present = len(up) if empty is None else empty
    starts.append(present)
    down = array("I")
    for last, first in pairwise(reversed(starts)):
        down.extend(up[first:last])
    down.extend(up[present:])
    for name, numbers in ((UP, up), (DOWN, down)):
        (target / name).write_bytes(memoryview(numbers))
    for run in target.glob("*.run"):
        run.unlink()


def _runs(
    reader: IndexedReader, column: str, target: Path, progress: Progress
) -> list[Iterator[tuple[Key, int]]]:
    """Keys and numbers of all rows, in orderly runs, of which only the last is in memory."""
    runs: list[Iterator[tuple[Key, int]]] = []
    entries: list[tuple[Key, int]] = []
    held = 0
    for number, value in _cells(reader, column, progress):
        key = key_of(value)
        entries.append((key, number))
        held += _ENTRY_BYTES + (4 * len(key[1]) if len(key) > 1 and isinstance(key[1], str) else 0)
        if held > RUN_BYTES:
            runs.append(_spooled(sorted(entries), target / f"{len(runs)}.run"))
            entries, held = [], 0
    return [*runs, iter(sorted(entries))]


def _spooled(entries: list[tuple[Key, int]], path: Path) -> Iterator[tuple[Key, int]]:
    """The entries by way of a file."""
    with path.open("wb") as file:
        for begin in range(0, len(entries), _BLOCK):
            marshal.dump(entries[begin : begin + _BLOCK], file)
    return _read(path)


def _read(path: Path) -> Iterator[tuple[Key, int]]:
    with path.open("rb") as file:
        while file.peek(1):
            yield from marshal.load(file)  # noqa: S302  what this process wrote


def _hits_write(rows: Path, index: Index, target: Path, progress: Progress) -> None:
    wanted, hits = index.words.casefold(), array("I")
    for number, value in _cells(IndexedReader(rows), index.column, progress):
        if any(wanted in text.casefold() for text in texts_within(value)):
            hits.append(number)
    (target / HITS).write_bytes(memoryview(hits))


def _cells(reader: IndexedReader, column: str, progress: Progress) -> Iterator[tuple[int, Any]]:
    """Number and the column's value of all rows."""
    for number, _line, value in reader.all():
        if number % 4096 == 0:
            progress(number / reader.count)
        yield number, _cell(value, column)


def _cell(value: Any, column: str) -> Any:
    return value.get(column) if isinstance(value, dict) else None
