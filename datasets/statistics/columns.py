"""What columns hold: missing and empty cells, and how the values of a few are shared out."""

import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from datasets.reading.rows import COLUMNS_MAX

VALUES_MAX = 1000  # different values of a column that are kept; of more the rarest are forgotten
REPEATED = 2  # times that values of a label occur on average
SHOWN = 20
LABEL = 60  # characters; of longer values so many are kept
_NESTED = (list, dict)
_EXACT = 2**53  # whole numbers below it are floats without loss


@dataclass
class _Column:
    present: int = 0
    empty: int = 0
    values: Counter[str] | None = field(default_factory=Counter)  # None: they do not repeat
    counted: int = 0  # cells with a value
    long: int = 0  # those of them that are longer than a label
    nested: int = 0  # cells with lists and objects, which are not counted
    forgotten: int = 0  # what a count may lack at most

    def add(self, cell: Any) -> None:
        self.present += 1
        if isinstance(cell, str):
            if not cell or cell.isspace():
                self.empty += 1
            elif self.values is not None:
                self._count(cell)
        elif isinstance(cell, _NESTED):
            self.nested += bool(cell)
            self.empty += not cell
        elif self.values is not None:
            self._count(_written(cell))

    def _count(self, value: str) -> None:
        assert self.values is not None
        if len(value) > LABEL:
            self.long += 1
            value = _cut(value)
        self.values[value] += 1
        self.counted += 1
        if len(self.values) > 2 * VALUES_MAX:
            self._forget()

    def _forget(self) -> None:
        """Keeps the more frequent half. Without values that stand out they do not repeat."""
        assert self.values is not None
        ordered = self.values.most_common()
        kept, gone = ordered[:VALUES_MAX], ordered[VALUES_MAX:]
        self.forgotten += gone[0][1]
        self.values = Counter(dict(kept))
        if sum(count for _value, count in kept) * 2 < self.counted:
            self.values = None

    @property
    def uncounted(self) -> str:
        """Why its values are not shown: `nothing` (there are none), `nested` (lists and objects),
        `texts` (long ones) or `varied` (values that hardly repeat), `single` (always the same).
        Empty for values that repeat, as those of labels, sources and marks do.
        """
        if not self.counted:
            return "nested" if self.nested else "nothing"
        if self.nested > self.counted:
            return "nested"
        if self.values is None or (
            len(self.values) > 1 and self.counted < REPEATED * len(self.values)
        ):
            return "texts" if 2 * self.long > self.counted else "varied"
        return "" if len(self.values) > 1 else "single"

    def shares(self) -> dict[str, Any]:
        """How often the most frequent values occur, and how many cells hold others.

        Where values were forgotten, `exact` is false, `distinct` is the least that there are, and
        counts may be up to `forgotten` too low.
        """
        assert self.values is not None
        shown = self.values.most_common(SHOWN)
        return {
            "distinct": len(self.values),
            "values": shown,
            "others": self.counted - sum(count for _value, count in shown),
            "exact": not self.forgotten,
            "forgotten": self.forgotten,
        }


def _written(cell: Any) -> str:
    """A number or mark as a text; tables write whole numbers as `1.0` where cells are missing."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT:
        cell = int(cell)
    return str(cell).lower()


def _cut(value: str) -> str:
    """The beginning of a long value, with a hash that tells it from others that begin so."""
    return f"{value[:LABEL]}… #{zlib.crc32(value.encode('utf-8', 'surrogatepass')):08x}"


class Columns:
    """Counts the cells of rows by column."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._rows = 0

    def add(self, value: Any) -> None:
        """Counts a row; one that is no object has no cells. `null` is missing."""
        self._rows += 1
        if not isinstance(value, dict):
            return
        for name, cell in value.items():
            column = self._columns.get(name)
            if column is None:
                if len(self._columns) >= COLUMNS_MAX:
                    continue
                column = self._columns[name] = _Column()
            if cell is not None:
                column.add(cell)

    def gaps(self) -> list[dict[str, Any]]:
        """Each column with its cells that are missing or empty, and why it has no balance."""
        return [
            {
                "name": name,
                "missing": self._rows - one.present,
                "empty": one.empty,
                "uncounted": one.uncounted,
            }
            for name, one in self._columns.items()
        ]

    def balance(self) -> list[dict[str, Any]]:
        """Columns whose values repeat, such as labels, sources and marks: how often each occurs."""
        return [
            {"name": name, **one.shares()}
            for name, one in self._columns.items()
            if not one.uncounted
        ]
