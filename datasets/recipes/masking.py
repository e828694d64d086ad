"""Puts placeholders in the place of personal data and keys."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson
import regex

from datasets.recipes.parameters import rules_of
from datasets.recipes.patterns import PATTERN_SECONDS, spans
from datasets.recipes.personal import KINDS, Found, found_in
from datasets.recipes.rows import Row, Work, texts_change

_PLACEHOLDER = re.compile(r"\[([A-Z_]{2,12})_([0-9]{1,6})\]")
_REPEATED = 2  # characters that a name has at least when it is looked for without its context
_NAMES = 50  # that are looked for so in a row
Rules = Mapping[str, regex.Pattern[str]]
NO_RULES: Rules = {}


def mask(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row with `[EMAIL_1]` and the like; in one row the same thing gets the same placeholder.

    All columns are looked at, also those that no training reads. `found` counts the things
    replaced, each time they occur. Own rules come first. DomainError when one takes too long.
    """
    kinds = [kind for kind in KINDS if kind in parameters["kinds"]]
    rules = {name: regex.compile(pattern) for name, pattern in rules_of(parameters["rules"])}
    for row in rows:
        masker = Masker(kinds, row.value, rules, row.number)
        value = texts_change(row.value, work.mapping, masker.masked, everywhere=True)
        work.outcome.found.update(masker.found)
        work.outcome.changed += value != row.value
        yield replace(row, value=value)


class Masker:
    """Masks the texts of one row. Numbers of placeholders that it holds already are not used."""

    def __init__(
        self, kinds: list[str], value: Any, rules: Rules = NO_RULES, number: int = 0
    ) -> None:
        self._kinds = kinds
        self._rules = rules
        self._number = number
        self._seconds = PATTERN_SECONDS
        self._known: dict[str, dict[str, int]] = defaultdict(dict)
        self._last: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        text = orjson.dumps(value).decode()
        if "[" in text:
            for name, number_ in _PLACEHOLDER.findall(text):
                self._last[name] = max(self._last[name], int(number_))

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
        kept = [match.span() for match in _PLACEHOLDER.finditer(text)] if "[" in text else []
        for start, end in spans(pattern, text, self._number, self._seconds):
            if not any(start < there and end > here for here, there in kept):
                yield Found(start, end, text[start:end])
        self._seconds -= time.monotonic() - began

    def _by_kind(self, text: str, kind: str) -> Iterator[Found]:
        """What is found of a kind; a name that was found once counts without its context, too."""
        names = list(self._known[kind]) if kind == "name" else []
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
            pieces += [text[here : one.start], self._placeholder(kind, one.same)]
            here = one.end
            self.found[kind] += 1
        return "".join([*pieces, text[here:]]) if pieces else text

    def _placeholder(self, kind: str, same: str) -> str:
        name, known = kind.upper(), self._known[kind]
        if same not in known:
            self._last[name] += 1
            known[same] = self._last[name]
        return f"[{name}_{known[same]}]"
