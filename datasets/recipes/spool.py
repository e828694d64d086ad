"""Rows laid down on the disk by steps that must see all of them before they let one go on."""

import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from datasets.recipes.rows import Row

_BLOCK = 1 << 20


class Spool:
    """Rows in a file: written once, read once, gone afterwards."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = 0

    def fill(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Lays each row down and gives it on, to be looked at."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("wb", buffering=_BLOCK) as file:
            for row in rows:
                _write(file, row)
                self.count += 1
                yield row

    def read(self) -> Iterator[Row]:
        """The rows in the order in which they came."""
        with self._path.open("rb", buffering=_BLOCK) as file:
            for line in file:
                yield Row(*orjson.loads(line))
        self._path.unlink()


class Shelf:
    """Rows in a file, to be taken out by their places, as often as wanted; gone when closed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("w+b", buffering=_BLOCK)
        self.ends = array("Q", [0])  # where the first row begins, and where each one ends

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.ends) - 1

    def add(self, row: Row) -> None:
        """Lays the next row down."""
        self.ends.append(self.ends[-1] + _write(self._file, row))

    def size(self, place: int) -> int:
        """Bytes of the row at this place."""
        return self.ends[place + 1] - self.ends[place]

    def at(self, place: int) -> Row:
        """The row at this place, from 0 in the order in which they came."""
        self._file.flush()
        # Past the buffer, which would be filled anew for each row.
        data = os.pread(self._file.fileno(), self.size(place), self.ends[place])
        return Row(*orjson.loads(data))

    def close(self) -> None:
        """The rows are not needed any more."""
        self._file.close()
        self._path.unlink()


def _write(file: BinaryIO, row: Row) -> int:
    """How many bytes were written."""
    fields = [row.number, row.value, row.part, row.source, row.piece, row.origin]
    return file.write(orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE))
