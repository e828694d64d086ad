"""Sentences that are stored: the message with its values, said in the language of whoever reads it.

`gettext` and `ngettext` are Django's, but what they give remembers the message it came from, also
through `%` and `format`. A `PhraseField` stores that and gives it back in the language that is
active when the row is read. What people typed and engines printed is stored and read as it is.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from django.db import models
from django.db.models.lookups import Contains, IContains
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import trans_real

from common.texts import storable

# Marks stored messages among plain texts, as RFC 7464 marks JSON in a stream; plain text that
# begins so is escaped, so that nobody can write a message by typing one.
MARK = "\x1e"
LONGEST = 8000  # characters that are stored
VALUE_LONGEST = 1000  # of one value inside a message
DEEPEST = 8  # sentences inside sentences; what lies deeper is kept as plain text
SAYINGS = 200  # messages that a search for words in translation looks for
_PLACE = re.compile(r"%\((\w+)\)|\{(\w+)")


@dataclass(frozen=True, slots=True)
class Message:
    """What is said, in no language: the message's id, and the values of its places."""

    id: str
    plural: str = ""
    number: int = 0
    values: Mapping[str, Any] | tuple[Any, ...] | None = None
    braces: bool = False  # its places are `{name}`, not `%(name)s`

    def filled(self, values: object, *, braces: bool = False) -> "Message":
        """With values for its places; those that have none are left out."""
        kept: Mapping[str, Any] | tuple[Any, ...]
        if isinstance(values, Mapping):
            places = {a or b for a, b in _PLACE.findall(self.id + self.plural)}
            kept = {name: _value(values[name]) for name in values if name in places}
        else:
            kept = tuple(_value(one) for one in (values if isinstance(values, tuple) else [values]))
        return replace(self, values=kept, braces=braces)

    @property
    def depth(self) -> int:
        """How many sentences lie inside each other."""
        values = self.values.values() if isinstance(self.values, Mapping) else self.values or ()
        return 1 + max((one.depth for one in values if isinstance(one, Message)), default=0)

    def text(self) -> str:
        """In the active language; in English where the translation does not fit the values."""
        if self.plural:
            found = translation.ngettext(self.id, self.plural, self.number)
        else:
            found = translation.gettext(self.id)
        try:
            return self._with_values(found)
        except (LookupError, ValueError, TypeError):
            return self._with_values(self.plural if self.plural and self.number != 1 else self.id)

    def _with_values(self, text: str) -> str:
        if self.values is None:
            return text
        if isinstance(self.values, tuple):
            ordered = tuple(_said(value) for value in self.values)
            return text.format(*ordered) if self.braces else text % ordered
        values = {name: _said(value) for name, value in self.values.items()}
        return text.format_map(values) if self.braces else text % values

    def stored(self) -> dict[str, Any]:
        """As JSON can hold it."""
        found: dict[str, Any] = {"id": self.id}
        if self.plural:
            found |= {"plural": self.plural, "number": self.number}
        if isinstance(self.values, tuple):
            found["values"] = [_stored(value) for value in self.values]
        elif self.values is not None:
            found["values"] = {name: _stored(value) for name, value in self.values.items()}
        return found | ({"braces": True} if self.braces else {})

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Message":
        """From `stored`; KeyError or TypeError for anything else."""
        values = stored.get("values")
        if isinstance(values, list):
            values = tuple(_restored(value) for value in values)
        elif values is not None:
            values = {name: _restored(value) for name, value in values.items()}
        return cls(
            stored["id"],
            stored.get("plural", ""),
            stored.get("number", 0),
            values,
            stored.get("braces", False),
        )


class Phrase(str):
    """A sentence in the language of its making that remembers its message.

    `%`, `format` and `str` keep the message; every other method gives plain text.
    """

    __slots__ = ("message",)
    message: Message

    def __new__(cls, text: str, message: Message) -> "Phrase":
        """`text` is what `message` says in the active language."""
        phrase = super().__new__(cls, text)
        phrase.message = message
        return phrase

    def __str__(self) -> str:
        return self

    def __mod__(self, values: Any) -> "Phrase":
        return Phrase(super().__mod__(values), self.message.filled(values))

    def format(self, *args: object, **values: object) -> "Phrase":
        """As of any text; places have names, or stand in order."""
        text = super().format(*args, **values)
        return Phrase(text, self.message.filled(args or values, braces=True))

    def __reduce__(self) -> tuple[Any, ...]:
        return Phrase, (self[:], self.message)


def gettext(message: str) -> str:
    """The translation, as a `Phrase`."""
    return Phrase(translation.gettext(message), Message(message))


def ngettext(singular: str, plural: str, number: int) -> str:
    """The translation of the form that the number takes, as a `Phrase`."""
    text = translation.ngettext(singular, plural, number)
    return Phrase(text, Message(singular, plural, number))


def either(names: Iterable[object]) -> str:
    """`this or that or another`, of one name or more."""
    sentence = gettext("%(one)s or %(other)s")
    return reduce(lambda one, other: sentence % {"one": one, "other": other}, map(said, names))


def dump(text: object) -> str:
    """What is stored of a text; `load` gives it back. For columns of JSON, which have no field."""
    message = _message(text)
    if message is not None:
        stored = MARK + _json(message.stored())
        if len(stored) <= LONGEST:
            return stored
    plain = _clean(str(text), LONGEST)
    return MARK + _json(plain) if plain.startswith(MARK) else plain


def load(stored: str) -> str:
    """A stored text, in the active language where it is a message."""
    if not stored.startswith(MARK):
        return stored
    try:
        found = json.loads(stored[1:])
        if isinstance(found, str):
            return found
        message = Message.of(found)
        return Phrase(message.text(), message)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return stored[1:]  # no release has written this


def said(text: object) -> str:
    """The text in the language that is active now, whatever language it was made in."""
    message = _message(text)
    return Phrase(message.text(), message) if message is not None else str(text)


def _message(text: object) -> Message | None:
    if isinstance(text, Phrase):
        return text.message
    if isinstance(text, Promise):
        with translation.override(None):  # untranslated, a lazy text is its own message
            return Message(str(text))
    return None


def _value(value: object) -> Any:
    """What is remembered of a value: messages and numbers as they are, else its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str | Promise) else str(value)
    message = _message(text)
    return message if message is not None and message.depth < DEEPEST else str(text)


def _said(value: Any) -> Any:
    return value.text() if isinstance(value, Message) else value


def _stored(value: Any) -> Any:
    if isinstance(value, Message):
        return value.stored()
    return _clean(value, VALUE_LONGEST) if isinstance(value, str) else value


def _restored(value: Any) -> Any:
    return Message.of(value) if isinstance(value, dict) else value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _clean(text: str, longest: int) -> str:
    """Without what databases refuse, and not longer than that."""
    text = storable(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


class PhraseField(models.TextField):  # type: ignore[type-arg]
    """A text for people that is read in the reader's language."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        """In the language that is active now."""
        return None if value is None else load(value)

    def get_prep_value(self, value: Any) -> Any:
        """The message, or the text as it is."""
        return None if value is None else dump(value)


@PhraseField.register_lookup
class Says(models.Lookup):
    """`field__says="words"`: rows that say so to whoever asks, in any case.

    Looks at what is stored (texts, values, the English of messages) and for every message whose
    translation into the active language has the words.
    """

    lookup_name = "says"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Any of these, as the database's own search for a part of a text has it."""
        words = str(self.rhs)
        stored = {words, _json(words)[1:-1]}
        tests: list[models.Lookup[Any]] = [IContains(self.lhs, one) for one in sorted(stored)]
        tests += [Contains(self.lhs, f'"id":{_json(one)}') for one in _messages_saying(words)]
        parts = [compiler.compile(test) for test in tests]
        sql = " OR ".join(part for part, _values in parts)
        return f"({sql})", tuple(value for _part, values in parts for value in values)


def _messages_saying(words: str) -> list[str]:
    """Ids of the messages whose translation into the active language has the words."""
    found = dict[str, None]()
    for key, text in getattr(trans_real.catalog(), "_catalog", {}).items():
        if key and words.casefold() in text.casefold():
            found[key if isinstance(key, str) else key[0]] = None
        if len(found) == SAYINGS:
            break
    return list(found)
