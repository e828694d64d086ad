"""Texts that people and programs send, as far as they can be used."""

import json
import sys
import uuid
from collections.abc import Mapping
from typing import Any

DEPTH_MAX = 100  # levels of JSON: whatever handles it later goes down them one call each


def storable(text: str) -> str:
    """The text as every database keeps it: without zero bytes, which PostgreSQL refuses, and with
    a question mark for half of a surrogate pair.
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def json_of(data: str | bytes) -> Any:
    """What the JSON of a program says that nobody vouches for, as every database keeps it.

    Texts are as `storable` gives them; a number that is none, or more than any, is None. Raises
    ValueError for what is no JSON, and for more than `DEPTH_MAX` levels of it.
    """
    try:
        return _kept(json.loads(data), DEPTH_MAX)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None


def _kept(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int | float):
        return value if -sys.float_info.max <= value <= sys.float_info.max else None
    if not value:
        return value
    if not levels:
        raise ValueError("the JSON is nested too deep")
    if isinstance(value, dict):
        return {storable(name): _kept(one, levels - 1) for name, one in value.items()}
    return [_kept(one, levels - 1) for one in value]


def text_of(asked: Mapping[str, str], name: str, longest: int = 200) -> str:
    """The storable text of a name, without space around it and cut to `longest` letters."""
    return storable(asked.get(name, "")).strip()[:longest]


def whole(text: str, digits: int = 9) -> int | None:
    """The whole number that a text is; None for any other text, and for more than `digits` digits.

    Nine digits are any row or count; places in a file and keys of rows may have 18.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def id_of(text: str) -> uuid.UUID | None:
    """The id that a text is; None for any other text."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
