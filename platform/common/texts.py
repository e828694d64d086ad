"""Texts that people and programs send, as far as they can be used."""

from collections.abc import Mapping


def storable(text: str) -> str:
    """The text as every database keeps it: without zero bytes, which PostgreSQL refuses, and with
    a question mark for half of a surrogate pair.
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def text_of(asked: Mapping[str, str], name: str, longest: int = 200) -> str:
    """The storable text of a name, without space around it and cut to `longest` letters."""
    return storable(asked.get(name, "")).strip()[:longest]


def whole(text: str, digits: int = 9) -> int | None:
    """The whole number that a text is; None for any other text, and for more than `digits` digits.

    Nine digits are any row or count; places in a file and keys of rows may have 18.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
