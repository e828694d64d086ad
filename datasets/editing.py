"""A row as people change it: its texts with their places, others put there, and what is refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.models import DatasetVersion
from datasets.previews import mapping_of
from datasets.reading.indexed import PREVIEW_MAX, IndexedReader
from datasets.reading.refusals import BadFile
from datasets.reading.rows import parsed
from datasets.recipes.rows import decoded, plain
from datasets.shapes.examples import example_of
from datasets.shapes.findings import Dropped, words
from datasets.shapes.mapping import Mapping

ROLES = {"prompt": "user", "query": "user", "response": "assistant"}
ORDER = ("system", "history", "prompt", "query", "messages", "response", "chosen", "rejected")
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands in a row, whose it is, and the text."""

    path: Path
    role: str
    text: str

    @property
    def column(self) -> str:
        """The column of which the text is all; empty for a part of one."""
        return str(self.path[0]) if len(self.path) == 1 else ""


def row_value(version: DatasetVersion, number: int) -> Any:
    """The row with this number, from 0, as versions made of this one hold it.

    DomainError when there is none, or it is too long to be shown.
    """
    reader = IndexedReader(version.rows_path)
    lines = reader.page(number, 1) if 0 <= number < reader.count else []
    if not lines:
        raise DomainError(
            _("There is no row %(row)s: the version has %(rows)s.")
            % {"row": number + 1, "rows": reader.count},
            code="no_row",
        )
    if lines[0].data is None:
        raise DomainError(
            _("Row %(row)s is longer than %(limit)s KB. It can be left out, but not changed here.")
            % {"row": number + 1, "limit": PREVIEW_MAX >> 10},
            code="too_long",
        )
    return decoded(lines[0].value, mapping_of(version))


def places_of(value: Any, mapping: Mapping) -> list[Place]:
    """All texts of a row in the order in which they are read."""
    return list(_places(value, mapping)) if isinstance(value, dict) else []


def _places(value: dict[str, Any], mapping: Mapping) -> Iterator[Place]:
    for key in ORDER:
        column = mapping.columns.get(key, "")
        cell = value.get(column)
        if isinstance(cell, str):
            role = "text" if mapping.shape == "text" else ROLES.get(key, key)
            yield Place((column,), role, cell)
        elif key == "history" and isinstance(cell, list):
            for turn, pair in enumerate(cell):
                for side, text in enumerate(pair if isinstance(pair, list) else []):
                    if isinstance(text, str) and side < 2:
                        yield Place((column, turn, side), ("user", "assistant")[side], text)
        elif isinstance(cell, list):
            for turn, message in enumerate(cell):
                yield from _said(message, mapping, (column, turn), "")
        elif isinstance(cell, dict):
            yield from _said(cell, mapping, (column,), key)


def _said(message: Any, mapping: Mapping, path: Path, role: str) -> Iterator[Place]:
    if not isinstance(message, dict) or "content_tag" not in mapping.tags:
        return
    name = message.get(mapping.tags["role_tag"])
    role = role or mapping.role(name) or str(name)
    key = mapping.tags["content_tag"]
    content = message.get(key)
    if isinstance(content, str):
        yield Place((*path, key), role, content)
    for part, one in enumerate(content if isinstance(content, list) else []):
        if isinstance(one, dict) and isinstance(one.get("text"), str):
            yield Place((*path, key, part, "text"), role, one["text"])


def with_texts(value: Any, places: Sequence[Place], texts: Sequence[str]) -> Any:
    """The row with other texts in these places; line ends that a form rewrote count as before."""
    made = orjson.loads(orjson.dumps(value))
    for place, given in zip(places, texts, strict=True):
        text = given.replace("\r\n", "\n")
        if text == place.text.replace("\r\n", "\n"):
            continue
        inner = made
        for step in place.path[:-1]:
            inner = inner[step]
        inner[place.path[-1]] = text
    return made


def value_parsed(text: str) -> Any:
    """A row that was written as JSON; DomainError says where it is none."""
    data = text.strip().encode("utf-8", "surrogatepass")
    if len(data) > PREVIEW_MAX:
        raise _too_long()
    try:
        return parsed(data, 1, 1)
    except BadFile as bad:
        raise DomainError(bad.message, field="raw", code=bad.code) from bad


def value_checked(value: Any, mapping: Mapping) -> str:
    """The row as it is stored; DomainError when no training could use it, or it is too long."""
    try:
        stored = orjson.dumps(value).decode()
    except TypeError as error:  # numbers and signs that JSON has not
        raise DomainError(
            _("The row holds what JSON cannot: %(reason)s.") % {"reason": error},
            field="raw",
            code="broken_json",
        ) from error
    value_parsed(stored)  # what was given as a value is bounded like what was written
    try:
        example_of(value, plain(mapping))
    except Dropped as dropped:
        raise DomainError(
            _("The row could not be used so: %(reason)s")
            % {"reason": words(dropped.finding.code, dropped.finding.detail)},
            field="raw",
            code=dropped.finding.code,
        ) from dropped
    return stored


def _too_long() -> DomainError:
    return DomainError(
        _("A row that is changed by hand may have %(limit)s KB.") % {"limit": PREVIEW_MAX >> 10},
        field="raw",
        code="too_long",
    )
