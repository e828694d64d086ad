"""Repairs texts, and drops rows by their length, repetition, signs and a pattern."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import regex

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.recipes.markup import markup_strip
from datasets.recipes.rows import Row, Work, texts_change, texts_of

PATTERN_MAX = 200  # characters of a pattern
PATTERN_SECONDS = 0.5  # for one row: a pattern may take time that doubles with each letter
LOOKED_AT = 100_000  # characters of a row that ratios are computed from
SHINGLE = 10  # characters; what occurs again in this length counts as repeated
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
_LINES = re.compile(r"\n{3,}")


def clean(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row with its texts repaired, unless it is dropped: too_short, too_long, repetitive,
    symbols, pattern. Lengths are characters of all texts of the row.

    DomainError when the pattern takes too long.
    """
    pattern = regex.compile(parameters["pattern"]) if parameters["pattern"] else None
    for row in rows:
        value = texts_change(row.value, work.mapping, lambda text: repaired(text, parameters))
        if value != row.value:
            work.outcome.changed += 1
            row = Row(row.number, value, row.part)
        if reason := _reason(row, work, parameters, pattern):
            work.drop(row, reason)
        else:
            yield row


def repaired(text: str, parameters: Mapping[str, Any]) -> str:
    """The text with those repairs that the parameters ask for."""
    if parameters["encoding"] and not text.isascii():
        text = _encoding(text)
    if parameters["unicode"]:
        text = unicodedata.normalize("NFC", text)
    if parameters["markup"]:
        text = markup_strip(text)
    if parameters["space"]:
        text = _space(text)
    return text


def _encoding(text: str) -> str:
    """Text that was decoded wrongly, read as it was meant. Chinese punctuation stays as it is."""
    import ftfy  # here, so that pages need not carry its tables

    return ftfy.fix_text(
        text,
        ftfy.TextFixerConfig(
            unescape_html=False,
            fix_character_width=False,
            uncurl_quotes=False,
            fix_latin_ligatures=False,
            normalization=None,
        ),
    )


def _space(text: str) -> str:
    """One kind of line end and of space, no invisible signs, no more than one empty line."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text))
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _LINES.sub("\n\n", text).strip(" \t\n")


def _reason(
    row: Row, work: Work, parameters: Mapping[str, Any], pattern: regex.Pattern[str] | None
) -> str:
    texts = [text for _role, text in texts_of(row.value, work.mapping)]
    length = sum(len(text) for text in texts)
    if length < (parameters["min_chars"] or 0):
        return "too_short"
    if parameters["max_chars"] is not None and length > parameters["max_chars"]:
        return "too_long"
    whole = "\n".join(texts)
    limit = parameters["max_repetition"]
    if limit is not None and repetition(whole) > limit:
        return "repetitive"
    limit = parameters["max_symbols"]
    if limit is not None and symbols(whole) > limit:
        return "symbols"
    if pattern is not None:
        matches = _matches(pattern, whole, row.number)
        if matches == (parameters["pattern_drops"] == "matching"):
            return "pattern"
    return ""


def repetition(text: str) -> float:
    """The share of stretches of ten characters that occurred before, 0 to 1."""
    text = text[:LOOKED_AT]
    count = len(text) - SHINGLE + 1
    if count < 2:
        return 0.0
    return 1 - len({text[place : place + SHINGLE] for place in range(count)}) / count


def symbols(text: str) -> float:
    """The share of signs that are neither letters nor digits among all but white space, 0 to 1."""
    signs = "".join(text[:LOOKED_AT].split())
    if not signs:
        return 0.0
    return sum(unicodedata.category(sign)[0] not in "LMN" for sign in signs) / len(signs)


def _matches(pattern: regex.Pattern[str], text: str, number: int) -> bool:
    try:
        return pattern.search(text, timeout=PATTERN_SECONDS) is not None
    except TimeoutError as error:
        raise DomainError(
            _(
                "The pattern “%(pattern)s” takes too long on row %(row)s."
                " Write it without repetitions inside repetitions."
            )
            % {"pattern": pattern.pattern, "row": number + 1},
            field="steps",
            code="pattern_slow",
        ) from error


def pattern_problem(pattern: str) -> str:
    """Why the pattern cannot be used; empty when it can."""
    if len(pattern) > PATTERN_MAX:
        return _("At most %(limit)s characters are taken.") % {"limit": PATTERN_MAX}
    try:
        regex.compile(pattern)
    except regex.error as error:
        return _("This is no regular expression: %(reason)s.") % {"reason": str(error)}
    return ""
