"""Puts placeholders in the place of personal data and keys."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import regex

from datasets.recipes.parameters import rules_of
from datasets.recipes.patterns import PATTERN_SECONDS, spans
from datasets.recipes.personal import KINDS, Found, found_in
from datasets.recipes.placeholders import PLACEHOLDER, Numbers, RowNumbers, rows_numbered
from datasets.recipes.rows import Row, Work, texts_change

_REPEATED = 2  # characters that a name has at least when it is looked for without its context
_NAMES = 50  # that are looked for so in a row
Rules = Mapping[str, regex.Pattern[str]]
NO_RULES: Rules = {}


def mask(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row with `[EMAIL_1]` and the like; the same thing gets the same placeholder in a row, in
    all rows with the same value in a column, or in all rows, as `scope` says.

    All columns are looked at, also those that no training reads. `found` counts the things
    replaced, each time they occur. Own rules come first. DomainError when one takes too long, or
    when no row has the column.
    """
    kinds = [kind for kind in KINDS if kind in parameters["kinds"]]
    rules = {name: regex.compile(pattern) for name, pattern in rules_of(parameters["rules"])}
    for row, numbers in _numbered(rows, work, parameters):
        masker = Masker(kinds, numbers, rules, row.number)
        value = texts_change(row.value, work.mapping, masker.masked, everywhere=True)
        work.outcome.found.update(masker.found)
        work.outcome.changed += value != row.value
        yield replace(row, value=value)


def _numbered(
    rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]
) -> Iterator[tuple[Row, Numbers]]:
    if parameters["scope"] == "row":
        return ((row, RowNumbers(row.value)) for row in rows)
    column = parameters["scope_column"] if parameters["scope"] == "column" else ""
    return rows_numbered(rows, work.folder, column)


class Masker:
    """Masks the texts of one row; `numbers` gives the placeholders theirs."""

    def __init__(
        self, kinds: list[str], numbers: Numbers, rules: Rules = NO_RULES, number: int = 0
    ) -> None:
        self._kinds = kinds
        self._numbers = numbers
        self._rules = rules
        self._number = number
        self._seconds = PATTERN_SECONDS
        self._names: list[str] = []  # of people, in the order in which they were found
        self.found: Counter[str] = Counter()

    def masked(self, text: str) -> str:
        """The text with placeholders."""
        for name, pattern in self._rules.items():
            text = self._replaced(text, name, self._by_rule(text, pattern))
        for kind in self._kinds:
            text = self._replaced(text, kind, self._by_kind(text, kind))
        return text

    def _by_rule(self, text: str, pattern: regex.Pattern[str]) -> Iterator[Found]:
        """What an own rule finds; placeholders that stand there stay."""
        began = time.monotonic()
        kept = [match.span() for match in PLACEHOLDER.finditer(text)] if "[" in text else []
        for start, end in spans(pattern, text, self._number, self._seconds):
            if not any(start < there and end > here for here, there in kept):
                yield Found(start, end, text[start:end])
        self._seconds -= time.monotonic() - began

    def _by_kind(self, text: str, kind: str) -> Iterator[Found]:
        """What is found of a kind; a name that was found once counts without its context, too."""
        names = list(self._names) if kind == "name" else []
        for one in found_in(text, kind):
            yield one
            if kind == "name" and one.same not in names[:_NAMES]:
                names.append(one.same)
        for name in names[:_NAMES]:
            if len(name) >= _REPEATED:
                end = "" if not name[-1].isascii() else r"(?![A-Za-z])"
                for match in re.finditer(re.escape(name) + end, text):
                    yield Found(match.start(), match.end(), name)

    def _replaced(self, text: str, kind: str, found: Iterable[Found]) -> str:
        pieces: list[str] = []
        here = 0
        for one in sorted(found, key=lambda one: (one.start, -one.end)):
            if one.start < here:
                continue
            number = self._numbers.of(kind, one.same)
            pieces += [text[here : one.start], f"[{kind.upper()}_{number}]"]
            if kind == "name" and len(self._names) < _NAMES and one.same not in self._names:
                self._names.append(one.same)
            here = one.end
            self.found[kind] += 1
        return "".join([*pieces, text[here:]]) if pieces else text
