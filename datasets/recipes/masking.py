"""Puts placeholders in the place of personal data and keys."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from datasets.recipes.personal import KINDS, found_in
from datasets.recipes.rows import Row, Work, texts_change

_PLACEHOLDER = re.compile(r"\[([A-Z_]{2,12})_([0-9]{1,6})\]")


def mask(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row with `[EMAIL_1]` and the like; in one row the same thing gets the same placeholder.

    All columns are looked at, also those that no training reads. `found` counts the things
    replaced, each time they occur.
    """
    kinds = [kind for kind in KINDS if kind in parameters["kinds"]]
    for row in rows:
        masker = Masker(kinds, row.value)
        value = texts_change(row.value, work.mapping, masker.masked, everywhere=True)
        work.outcome.found.update(masker.found)
        work.outcome.changed += value != row.value
        yield Row(row.number, value, row.part)


class Masker:
    """Masks the texts of one row. Numbers of placeholders that it holds already are not used."""

    def __init__(self, kinds: list[str], value: Any) -> None:
        self._kinds = kinds
        self._known: dict[str, dict[str, int]] = defaultdict(dict)
        self._last: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        text = orjson.dumps(value).decode()
        if "[" in text:
            for name, number in _PLACEHOLDER.findall(text):
                self._last[name] = max(self._last[name], int(number))

    def masked(self, text: str) -> str:
        """The text with placeholders."""
        for kind in self._kinds:
            text = self._mask(text, kind)
        return text

    def _mask(self, text: str, kind: str) -> str:
        pieces: list[str] = []
        here = 0
        taken = sorted(found_in(text, kind), key=lambda one: (one.start, -one.end))
        for one in taken:
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
