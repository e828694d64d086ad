"""Cells of a row by the names of their columns."""

from typing import Any

import orjson

from common.errors import DomainError
from common.phrases import gettext as _


def cell_of(value: Any, name: str) -> Any:
    """The cell of this name, or for `a.b` what is called b within a; None where there is none."""
    if isinstance(value, dict) and name in value:
        return value[name]
    first, dot, rest = name.partition(".")
    if dot and isinstance(value, dict):
        return cell_of(value.get(first), rest)
    return None


def text_of(cell: Any) -> str:
    """A cell as a text: nothing is empty, what is no text is written as JSON."""
    if cell is None or isinstance(cell, str):
        return cell or ""
    return orjson.dumps(cell).decode()


def refuse_no_column(column: str) -> DomainError:
    """What is said when a column was named that no row has."""
    return DomainError(
        _("No row has a column “%(column)s”. Name one of the file's columns.") % {"column": column},
        field="steps",
        code="no_column",
    )
