"""What columns hold: missing and empty cells, and how the values of a few are shared out."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from datasets.reading.rows import COLUMNS_MAX

VALUES_MAX = 1000  # different values of a column that are kept; of more the rarest are forgotten
REPEATED = 2  # times that values of a label occur on average
SHOWN = 20
_LABEL = 60  # characters; longer texts are no labels


@dataclass
class _Column:
    present: int = 0
    empty: int = 0
    values: Counter[str] | None = field(default_factory=Counter)  # None: it is no label
    counted: int = 0  # cells with a value
    forgotten: int = 0  # what a count may lack at most

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
        self.counted += 1
        if len(self.values) > 2 * VALUES_MAX:
            self._forget()

    def _forget(self) -> None:
        """Keeps the more frequent half. Without values that stand out it is no label."""
        assert self.values is not None
        ordered = self.values.most_common()
        kept, gone = ordered[:VALUES_MAX], ordered[VALUES_MAX:]
        self.forgotten += gone[0][1]
        self.values = Counter(dict(kept))
        if sum(count for _value, count in kept) * 2 < self.counted:
            self.values = None

    @property
    def is_label(self) -> bool:
        """Whether its values repeat, as those of labels, sources and marks do."""
        if self.values is None or len(self.values) < 2:
            return False
        return self.counted >= REPEATED * len(self.values)

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
        """Columns whose values repeat, such as labels, sources and marks: how often each occurs."""
        return [
            {"name": name, **one.shares()} for name, one in self._columns.items() if one.is_label
        ]
