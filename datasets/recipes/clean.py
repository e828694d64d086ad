"""Repairs texts, and drops rows by their length, repetition, signs, language and a pattern."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import regex

from datasets.recipes.boilerplate import RepeatedLines, is_phrase, lines_drop
from datasets.recipes.languages import UNTOLD, Recogniser
from datasets.recipes.markup import markup_strip
from datasets.recipes.patterns import fits
from datasets.recipes.ratios import repetition, symbols
from datasets.recipes.rows import Row, Work, texts_change, texts_of
from datasets.recipes.spool import Spool
from datasets.shapes.examples import example_of
from datasets.shapes.families import template_named
from datasets.shapes.findings import Dropped
from datasets.shapes.templates import Template

_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
_LINES = re.compile(r"\n{3,}")


def clean(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row with its texts repaired, unless it is dropped: too_short, too_long, repetitive,
    symbols, language, pattern, stops. Lengths are characters of all texts of the row.

    DomainError when the pattern takes too long.
    """
    if parameters["repeated_lines"]:
        rows = _unrepeated(rows, work, parameters["repeated_lines"])
    reasons = _Reasons(work, parameters)
    for row in rows:
        value = texts_change(row.value, work.mapping, lambda text: repaired(text, parameters))
        changed = _with(row, value, work)
        if reason := reasons.of(changed):
            work.drop(changed, reason)
        else:
            yield changed


def _with(row: Row, value: Any, work: Work) -> Row:
    """The row with another value, counted where it is another."""
    if value == row.value:
        return row
    work.outcome.changed += 1
    return replace(row, value=value)


def _unrepeated(rows: Iterator[Row], work: Work, often: int) -> Iterator[Row]:
    """The rows without the lines that stand in so many of them."""
    lines, spool = RepeatedLines(work.folder / "lines"), Spool(work.folder / "rows")
    for row in spool.fill(rows):
        lines.see(text for _role, text in texts_of(row.value, work.mapping))
    lines.count(often)
    for row in spool.read():
        value = texts_change(row.value, work.mapping, lambda text: lines_drop(text, lines.repeated))
        yield _with(row, value, work)


def repaired(text: str, parameters: Mapping[str, Any]) -> str:
    """The text with those repairs that the parameters ask for."""
    if parameters["encoding"] and not text.isascii():
        text = _encoding(text)
    if parameters["unicode"]:
        text = unicodedata.normalize("NFC", text)
    if parameters["markup"]:
        text = markup_strip(text)
    if parameters["boilerplate"]:
        text = lines_drop(text, is_phrase)
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


class _Reasons:
    """Why rows are dropped, with what is needed to tell made ready once."""

    def __init__(self, work: Work, parameters: Mapping[str, Any]) -> None:
        self._mapping = work.mapping
        self._given = parameters
        self._pattern = regex.compile(parameters["pattern"]) if parameters["pattern"] else None
        self._recogniser = Recogniser() if parameters["languages"] else None
        named = parameters["template"]
        self._template = template_named(named) if named else None

    def of(self, row: Row) -> str:
        """The reason; empty when the row stays."""
        texts = [text for _role, text in texts_of(row.value, self._mapping)]
        length = sum(len(text) for text in texts)
        if length < (self._given["min_chars"] or 0):
            return "too_short"
        if self._given["max_chars"] is not None and length > self._given["max_chars"]:
            return "too_long"
        if self._template is not None and self._stops(self._template, row.value):
            return "stops"
        return self._of_whole("\n".join(texts), row.number)

    def _stops(self, template: Template, value: Any) -> bool:
        """Whether the engine would stop at it; what it drops does not stop it."""
        try:
            return bool(template.stops_at(example_of(value, self._mapping)))
        except Dropped:
            return False

    def _of_whole(self, whole: str, number: int) -> str:
        limit = self._given["max_repetition"]
        if limit is not None and repetition(whole) > limit:
            return "repetitive"
        limit = self._given["max_symbols"]
        if limit is not None and symbols(whole) > limit:
            return "symbols"
        if self._recogniser is not None:
            language = self._recogniser.language(whole)
            if language not in UNTOLD and language not in self._given["languages"]:
                return "language"
        if self._pattern is not None:
            matches = fits(self._pattern, whole, number)
            if matches == (self._given["pattern_drops"] == "matching"):
                return "pattern"
        return ""
