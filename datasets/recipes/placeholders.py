"""Which number the placeholder of a thing gets: its own in each row, or one in all rows of a scope.

Numbers are given in the order in which things are met, so equal rows get equal numbers.
"""

import hashlib
import re
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import orjson

from datasets.recipes.columns import cell_of, refuse_no_column, text_of
from datasets.recipes.rows import Row
from datasets.recipes.spool import Spool

PLACEHOLDER = re.compile(r"\[([A-Z_]{2,12})_([0-9]{1,9})\]")
_CACHE = 64 * 1024  # kilobytes of the numbers' file that are held in memory


class Numbers(Protocol):
    """Numbers of things; what stands in placeholders already is not given again."""

    def of(self, kind: str, same: str) -> int:
        """The number of a thing of this kind, the same whenever it is asked for."""


def standing(value: Any) -> dict[str, int]:
    """The highest number of each name among the placeholders that a row holds."""
    text = orjson.dumps(value).decode()
    found: dict[str, int] = {}
    for name, number in PLACEHOLDER.findall(text) if "[" in text else ():
        found[name] = max(found.get(name, 0), int(number))
    return found


class RowNumbers:
    """Numbers of one row."""

    def __init__(self, value: Any) -> None:
        self._last = Counter(standing(value))
        self._known: dict[tuple[str, str], int] = {}

    def of(self, kind: str, same: str) -> int:
        """The thing's number in this row."""
        if (kind, same) not in self._known:
            self._last[kind.upper()] += 1
            self._known[kind, same] = self._last[kind.upper()]
        return self._known[kind, same]


def rows_numbered(rows: Iterator[Row], folder: Path, column: str) -> Iterator[tuple[Row, Numbers]]:
    """Each row with the numbers that it shares with all rows, or with those that have the same
    value in `column`; one without a value has its own. DomainError when no row has the column.

    All rows are seen before the first one goes on: placeholders of any of them may stand already.
    """
    spool = Spool(folder / "rows")
    with closing(_Ledger(folder / "numbers")) as ledger:
        has_column = not column
        for row in spool.fill(rows):
            cell = text_of(cell_of(row.value, column)) if column else ""
            has_column = has_column or bool(cell)
            if cell or not column:
                ledger.reserve(cell, standing(row.value))
        if spool.count and not has_column:
            raise refuse_no_column(column)
        for row in spool.read():
            cell = text_of(cell_of(row.value, column)) if column else ""
            yield row, _Shared(ledger, cell) if cell or not column else RowNumbers(row.value)


class _Shared:
    """Numbers of a scope."""

    def __init__(self, ledger: "_Ledger", scope: str) -> None:
        self._ledger = ledger
        self._scope = scope

    def of(self, kind: str, same: str) -> int:
        """The thing's number in this scope."""
        return self._ledger.number(self._scope, kind, same)


class _Ledger:
    """Numbers in a file, however many. It holds things only as hashes under a key that is drawn for
    this ledger, kept in memory and thrown away: numbers of phones could be guessed from plain ones.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._key = secrets.token_bytes(32)
        self._path = path
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE}"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute(
            "CREATE TABLE numbers (what BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID"
        )
        self._file.execute("BEGIN")

    def reserve(self, scope: str, last: dict[str, int]) -> None:
        """Numbers up to these are not given in the scope."""
        self._file.executemany(
            "INSERT INTO numbers VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET number = max(number, excluded.number)",
            [(self._hash(scope, "", name), number) for name, number in last.items()],
        )

    def number(self, scope: str, kind: str, same: str) -> int:
        """The thing's number in the scope; the next one when it is met for the first time."""
        what = self._hash(scope, kind, same)
        found = self._file.execute("SELECT number FROM numbers WHERE what = ?", [what]).fetchone()
        if found is None:
            [found] = self._file.execute(
                "INSERT INTO numbers VALUES (?, 1)"
                " ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number",
                [self._hash(scope, "", kind.upper())],
            ).fetchall()
            self._file.execute("INSERT INTO numbers VALUES (?, ?)", [what, *found])
        return int(found[0])

    def close(self) -> None:
        """The file is not needed any more."""
        self._file.close()
        self._path.unlink()

    def _hash(self, scope: str, kind: str, same: str) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=16)
        for part in (scope, kind, same):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data) + data)
        return digest.digest()
