"""Rows of a comparison as people read them: before and after, word by word."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from datasets.comparing import pairs
from datasets.models import Comparison, DatasetVersion
from datasets.previews import mapping_of
from datasets.reading.indexed import IndexedReader
from datasets.recipes.compared import Stretch, TextChange, changes, compared
from datasets.recipes.rows import decoded, plain

PAGE_BYTES = 1 << 19  # a page ends early when its rows have more


@dataclass
class ComparedRow:
    """A row of one kind: its numbers from 1, its texts before and after; none when too long."""

    before: int | None
    after: int | None
    texts: list[TextChange] = field(default_factory=list)


class _Side:
    def __init__(self, version: DatasetVersion) -> None:
        self.mapping = mapping_of(version)
        self.plain = plain(self.mapping)
        self._reader = IndexedReader(version.rows_path)

    def value(self, number: int | None) -> tuple[Any, int]:
        """The row's value and size; None for none, and for one that is too long for a page."""
        if number is None:
            return None, 0
        line = self._reader.page(number, 1)[0]
        return decoded(line.value, self.mapping), len(line.data or b"")


def compared_rows(
    comparison: Comparison, kind: str, *, start: int, count: int
) -> list[ComparedRow]:
    """Rows of a kind from this place on, as many as a page may hold, but one."""
    one, other = _Side(comparison.before), _Side(comparison.after)
    found: list[ComparedRow] = []
    held = 0
    for before, after in pairs(comparison.found, kind, start, count):
        (was, size), (now, more) = one.value(before), other.value(after)
        held += size + more
        if found and held > PAGE_BYTES:
            break
        found.append(
            ComparedRow(
                before + 1 if before is not None else None,
                after + 1 if after is not None else None,
                _texts(was, now, one, other),
            )
        )
    return found


def _texts(was: Any, now: Any, one: _Side, other: _Side) -> list[TextChange]:
    if was is None and now is None:
        return []
    if now is None:
        return changes(was, was, one.plain, one.plain)
    if was is None:
        same = changes(now, now, other.plain, other.plain)
        return [
            TextChange(text.role, [], [Stretch(part.text, changed=True) for part in text.before])
            for text in same
        ]
    texts = changes(was, now, one.plain, other.plain)
    if one.plain == other.plain and not any(text.changed for text in texts):
        # What differs is no text: other columns, marks, or their order.
        texts.append(TextChange("JSON", *compared(_json(was), _json(now))))
    return texts


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
