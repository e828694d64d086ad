"""JSON lines with an index beside them, so that any page of millions is found at once.

The index holds two unsigned 64-bit numbers a line: where the line begins in the file, and the line
of the uploaded file it comes from.
"""

import json
import struct
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

_RECORD = struct.Struct("<QQ")
_BLOCK = 1 << 20
PREVIEW_MAX = 256 * 1024  # a longer line is not shown in a page
PAGE_BYTES = 1 << 19  # a page ends early when its lines have more
_OVERLAP = 4096  # bytes that two parts of a long line share; longer than any words searched for


@dataclass(frozen=True, slots=True)
class Line:
    """One stored line: its number from 0, the line of the uploaded file, its bytes.

    `data` is None when the line has more than `PREVIEW_MAX` bytes; `size` always tells how many.
    """

    number: int
    source_line: int
    data: bytes | None
    size: int

    @property
    def value(self) -> Any:
        """The parsed line, None when it is too long."""
        return None if self.data is None else orjson.loads(self.data)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, and up to which line it has looked."""

    lines: list[Line]
    looked: int  # the next line to look at
    total: int


def index_of(path: Path) -> Path:
    """Where the index of a file of lines lies."""
    return path.with_suffix(".idx")


class IndexedWriter:
    """Writes lines and their index; nothing is promised before it is closed."""

    def __init__(self, path: Path) -> None:
        self._lines = path.open("wb", buffering=_BLOCK)
        self._index = index_of(path).open("wb", buffering=_BLOCK // 16)
        self._offset = 0
        self.count = 0

    def write(self, value: Any, source_line: int) -> int:
        """Appends one value; the bytes it took."""
        data = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
        self._index.write(_RECORD.pack(self._offset, source_line))
        self._lines.write(data)
        self._offset += len(data)
        self.count += 1
        return len(data)

    def mark(self) -> tuple[int, int]:
        """A place that `back` returns to."""
        return self.count, self._offset

    def back(self, mark: tuple[int, int]) -> None:
        """Forgets all lines written since the mark."""
        self.count, self._offset = mark
        self._lines.seek(self._offset)
        self._lines.truncate()
        self._index.seek(self.count * _RECORD.size)
        self._index.truncate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._index.close()


class IndexedReader:
    """Reads pages of lines written by `IndexedWriter`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size
        self.count = index_of(path).stat().st_size // _RECORD.size

    def page(self, start: int, count: int) -> list[Line]:
        """Up to `count` lines from number `start`; fewer, but one, when they are long."""
        marks = self._marks(start, count + 1)
        lines: list[Line] = []
        held = 0
        with self._path.open("rb") as file:
            for place, (offset, source_line) in enumerate(marks[:count]):
                end = marks[place + 1][0] if place + 1 < len(marks) else self.size
                size = end - offset - 1
                data = None
                if size <= PREVIEW_MAX:
                    held += size
                    if lines and held > PAGE_BYTES:
                        break
                    file.seek(offset)
                    data = file.read(size)
                lines.append(Line(start + place, source_line, data, size))
        return lines

    def all(self, start: int = 0) -> Iterator[tuple[int, int, Any]]:
        """Number, line of the uploaded file and value of every line from `start` on."""
        number = start
        with self._path.open("rb", buffering=_BLOCK) as file:
            while marks := self._marks(number, 4096):
                file.seek(marks[0][0])
                for _offset, source_line in marks:
                    yield number, source_line, orjson.loads(file.readline())
                    number += 1

    def some(self, numbers: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Number and value of these lines."""
        following = -1
        with self._path.open("rb") as file, index_of(self._path).open("rb") as index:
            for number in numbers:
                if number != following:
                    index.seek(number * _RECORD.size)
                    file.seek(_RECORD.unpack(index.read(_RECORD.size))[0])
                following = number + 1
                yield number, orjson.loads(file.readline())

    def search(
        self,
        words: str,
        *,
        start: int,
        count: int,
        seconds: float,
        keep: Callable[[int], bool] = lambda _number: True,
    ) -> Found:
        """Lines from `start` on in whose values the words occur, whatever their case.

        `keep` says which of these are wanted.

        Stops after `count` lines, or so many as fill a page, or when `seconds` are over; `looked`
        tells where to go on.
        """
        fold = _folding(words)
        needle = fold(json.dumps(words, ensure_ascii=False)[1:-1].encode())
        deadline = time.monotonic() + seconds
        found: list[Line] = []
        number, held = start, 0
        begun = False  # whether the line of which there was a part has the words
        for block, whole in self._blocks(start):
            folded = fold(block)
            if not whole:
                begun = begun or needle in folded
                continue
            if not begun and needle not in folded:
                number += block.count(b"\n")
            else:
                for line in folded.split(b"\n")[:-1]:
                    if (begun or needle in line) and keep(number):
                        found += [row for row in self.page(number, 1) if _holds(row, words)]
                        held = sum(len(row.data or b"") for row in found)
                    begun = False
                    number += 1
                    if len(found) == count or held > PAGE_BYTES:
                        return Found(found, number, self.count)
            if time.monotonic() > deadline:
                break
        return Found(found, number, self.count)

    def _marks(self, start: int, count: int) -> list[tuple[int, int]]:
        numbers = array("Q")
        with index_of(self._path).open("rb") as file:
            file.seek(start * _RECORD.size)
            numbers.frombytes(file.read(max(count, 0) * _RECORD.size))
        return list(zip(numbers[0::2], numbers[1::2], strict=True))

    def _blocks(self, start: int) -> Iterator[tuple[bytes, bool]]:
        """Whole lines of up to a megabyte together; of a longer line first parts that overlap.

        The second value tells whether the block ends with a line.
        """
        marks = self._marks(start, 1)
        if not marks:
            return
        with self._path.open("rb") as file:
            file.seek(marks[0][0])
            while block := file.read(_BLOCK):
                end = block.rfind(b"\n") + 1
                if not end and len(block) < _BLOCK:
                    return  # nothing that was written ends so
                file.seek((end or _BLOCK - _OVERLAP) - len(block), 1)
                yield block[: end or _BLOCK], bool(end)


def _folding(words: str) -> Callable[[bytes], bytes]:
    """How capitals are made small: for words without accented letters the fast way will do."""
    if all(letter.isascii() or letter.lower() == letter.upper() for letter in words):
        return bytes.lower
    # A part of a long line begins and ends anywhere.
    return lambda data: data.decode("utf-8", "ignore").casefold().encode()


def _holds(line: Line, words: str) -> bool:
    """Whether a value, not only a column's name, holds the words; long lines are not asked."""
    if line.data is None:
        return True
    return any(words.casefold() in text.casefold() for text in texts_within(line.value))


def texts_within(value: Any) -> Iterator[str]:
    """All texts of a value, and what else it holds as JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts_within(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts_within(part)
    elif value is not None:
        yield json.dumps(value)
