"""Texts of a row before and after, in stretches; long ones cut down to what changed."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import orjson

from datasets.recipes.rows import texts_of
from datasets.shapes.mapping import Mapping

COMPARED = 8000  # characters of a text that are compared
UNITS = 600  # words, or sentences, that are matched with each other at once
SHORT = 400  # characters of a text that is shown whole
AROUND = 80  # characters left on either side of what changed
STRETCHES = 6  # in an excerpt: about three changes
_WORD = re.compile("[\u3400-\u9fff]|\\w+|\\s+|.", re.DOTALL)
_SENTENCE = re.compile(r".+?(?:[.!?。！？\n]+\s*|$)", re.DOTALL)


@dataclass(frozen=True)
class Stretch:
    """A piece of a text: the same on both sides, or not; or so many characters left out."""

    text: str
    changed: bool
    left_out: int = 0


@dataclass(frozen=True)
class TextChange:
    """One text of a row before and after; `after` is empty when nothing changed, or all is gone."""

    role: str
    before: list[Stretch]
    after: list[Stretch]

    @property
    def changed(self) -> bool:
        """Whether anything of it differs."""
        return any(one.changed for one in (*self.before, *self.after))

    @property
    def is_long(self) -> bool:
        """Whether a page shows an excerpt of it first."""
        return max(map(_size, (self.before, self.after))) > SHORT

    @property
    def excerpt(self) -> "TextChange":
        """What changed with a little around it; of what did not change the beginning."""
        return TextChange(self.role, list(_excerpt(self.before)), list(_excerpt(self.after)))


def _size(stretches: list[Stretch]) -> int:
    return sum(len(one.text) for one in stretches)


def _excerpt(stretches: list[Stretch]) -> Iterator[Stretch]:
    if _size(stretches) <= SHORT:
        yield from stretches
        return
    alone = len(stretches) == 1
    for place, one in enumerate(stretches[:STRETCHES]):
        head = 0 if place == 0 else AROUND
        tail = 0 if place == min(len(stretches), STRETCHES) - 1 else AROUND
        if one.changed or alone:
            head, tail = 2 * AROUND, AROUND
        if len(one.text) <= head + tail + AROUND:
            yield one
            continue
        first = one.text[:head].rpartition(" ")[0] or one.text[:head]  # whole words, where spaces
        last = one.text[len(one.text) - tail :]
        last = last.partition(" ")[2] or last
        if first:
            yield Stretch(first, one.changed)
        yield Stretch("", changed=False, left_out=len(one.text) - len(first) - len(last))
        if last:
            yield Stretch(last, one.changed)
    if rest := _size(stretches[STRETCHES:]):
        yield Stretch("", changed=False, left_out=rest)


def changes(before: Any, after: Any, read_so: Mapping, read_after: Mapping) -> list[TextChange]:
    """Each text before and after, with what differs.

    Of a row that got another form first its columns, as they were, and then its texts as new ones.
    """
    if read_after != read_so or not read_so.shape:
        texts = [TextChange(name, [_plain(text)], []) for name, text in _columns(before)]
        return texts + [
            TextChange(role, [], [Stretch(shortened(text), changed=True)])
            for role, text in texts_of(after, read_after)
        ]
    old, new = texts_of(before, read_so), texts_of(after, read_after)
    found = []
    for (role, one), (new_role, other) in zip_longest(old, new, fillvalue=("", "")):
        if one == other:
            found.append(TextChange(role, [_plain(one)], []))
        else:
            found.append(TextChange(role or new_role, *compared(one, other)))
    return found


def _columns(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return [("", orjson.dumps(value).decode())]
    return [
        (name, cell if isinstance(cell, str) else orjson.dumps(cell).decode())
        for name, cell in value.items()
    ]


def _plain(text: str) -> Stretch:
    return Stretch(shortened(text), changed=False)


def shortened(text: str, start: int = 0) -> str:
    """As much of a text as is compared, from this place on."""
    end = start + COMPARED
    return "…" * (start > 0) + text[start:end] + "…" * (end < len(text))


def compared(before: str, after: str) -> tuple[list[Stretch], list[Stretch]]:
    """Both texts in stretches, word by word, Han character by Han character.

    Of texts that are too long, what stands around the first difference.
    """
    start = 0
    if max(len(before), len(after)) > COMPARED:
        signs = enumerate(zip(before, after, strict=False))
        first = next((n for n, (one, other) in signs if one != other), min(len(before), len(after)))
        start = max(0, first - COMPARED // 2)
    sides: tuple[list[Stretch], list[Stretch]] = ([], [])
    for old, new, changed in _aligned(shortened(before, start), shortened(after, start), _WORD):
        for side, text in zip(sides, (old, new), strict=True):
            _add(side, text, changed=changed)
    return sides


def _aligned(before: str, after: str, unit: re.Pattern[str]) -> Iterator[tuple[str, str, bool]]:
    """Pieces of both texts that belong together, with whether they differ.

    Where too many words differ, sentences are matched first, and then the words of these.
    """
    old, new = unit.findall(before), unit.findall(after)
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    rest = shorter - head
    tail = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    ends = len(old) - tail, len(new) - tail
    yield "".join(old[:head]), "".join(new[:head]), False
    if max(ends) - head <= UNITS:
        yield from _matched(old[head : ends[0]], new[head : ends[1]], unit)
    elif unit is _WORD:
        yield from _aligned("".join(old[head : ends[0]]), "".join(new[head : ends[1]]), _SENTENCE)
    else:
        yield "".join(old[head : ends[0]]), "".join(new[head : ends[1]]), True
    yield "".join(old[ends[0] :]), "".join(new[ends[1] :]), False


def _matched(
    old: list[str], new: list[str], unit: re.Pattern[str]
) -> Iterator[tuple[str, str, bool]]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag != "replace" or unit is _WORD:
            yield "".join(old[a:b]), "".join(new[c:d]), tag != "equal"
            continue
        blocks = old[a:b], new[c:d]
        if b - a != d - c:  # they cannot be paired
            blocks = ["".join(blocks[0])], ["".join(blocks[1])]
        for one, other in zip(*blocks, strict=True):
            if max(_words(one), _words(other)) <= UNITS:
                yield from _aligned(one, other, _WORD)
            else:
                yield one, other, True


def _add(side: list[Stretch], text: str, *, changed: bool) -> None:
    """One more piece, as one with the last where that is alike."""
    if text and side and side[-1].changed == changed:
        side[-1] = Stretch(side[-1].text + text, changed)
    elif text:
        side.append(Stretch(text, changed))


def _words(text: str) -> int:
    return len(_WORD.findall(text))
