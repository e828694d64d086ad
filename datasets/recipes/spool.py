"""Rows laid down on the disk by steps that must see all of them before they let one go on."""

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


def _write(file: BinaryIO, row: Row) -> None:
    fields = [row.number, row.value, row.part, row.source, row.piece, row.origin]
    file.write(orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE))
