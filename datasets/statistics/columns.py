"""What columns hold: missing and empty cells, and how the values of a few are shared out."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from datasets.reading.rows import COLUMNS_MAX

VALUES_MAX = 50  # different values of a column that are counted; with more it is no label
SHOWN = 20
_LABEL = 60  # characters; longer texts are no labels


@dataclass
class _Column:
    present: int = 0
    empty: int = 0
    values: Counter[str] | None = field(default_factory=Counter)

    def add(self, cell: Any) -> None:
        self.present += 1
        if cell in ("", [], {}) or (isinstance(cell, str) and not cell.strip()):
            self.empty += 1
        elif self.values is not None:
            self._count(cell)

    def _count(self, cell: Any) -> None:
        assert self.values is not None
        if isinstance(cell, bool | int):
            cell = str(cell).lower()
        if not isinstance(cell, str) or len(cell) > _LABEL:
            self.values = None
            return
        self.values[cell] += 1
        if len(self.values) > VALUES_MAX:
            self.values = None


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
        """Each column with its cells that are missing or empty."""
        return [
            {"name": name, "missing": self._rows - one.present, "empty": one.empty}
            for name, one in self._columns.items()
        ]

    def balance(self) -> list[dict[str, Any]]:
        """Columns of few values, such as labels, sources and marks: how often each occurs."""
        return [
            {"name": name, "distinct": len(one.values), "values": one.values.most_common(SHOWN)}
            for name, one in self._columns.items()
            if one.values
            and len(one.values) >= 2
            and sum(one.values.values()) >= 2 * len(one.values)
        ]
