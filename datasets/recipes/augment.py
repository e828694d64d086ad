"""More rows of those there are: with slips of the pen, and with other words for the same."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from datasets.recipes.rows import Row, Work, texts_change, texts_of
from datasets.recipes.sampling import lot
from datasets.recipes.synonyms import SYNONYMS, WORDS

_KEPT = re.compile(
    r"```.*?(?:```|$)|`[^`\n]{1,200}`|https?://\S{1,500}|\[[A-Z_]{2,12}_[0-9]{1,9}\]|\{[^{}\n]{1,80}\}"
    r"|[0-9][0-9.,:%]*",
    re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z]{4,30}|[\u4e00-\u9fff]+")
_NEAR = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuioposdfghjkkxcvbnmnn", strict=True))
_ALIKE = dict(
    zip("的地得在再做作那哪像象坐座即既账帐", "地得的再在作做哪那象像座坐既即帐账", strict=True)
)  # signs that are written for each other, since they sound alike
Change = Callable[[str, random.Random, float], str]


def augment(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row and after it its variants, which say in a column `origin` what they were made of.

    Variants that are too much like their row, or too little, are dropped as `too_close` and
    `too_far`. Fenced code, addresses of pages, numbers and placeholders stay as they are.
    """
    roles = ROLES[parameters["where"]]
    for row in rows:
        yield row
        if not isinstance(row.value, dict):
            continue
        before = varied_of(row, work, roles)
        changed = {text for role, text in texts_of(row.value, work.mapping) if role in roles}
        number = 0
        for kind in parameters["kinds"]:
            for _turn in range(parameters["variants"]):
                number += 1
                made = _variant(row, work, kind, number, changed, parameters["strength"])
                if made.value == row.value:
                    work.drop(made, "too_close")
                elif work.fits(made, before, varied_of(made, work, roles), parameters):
                    value = {**made.value, "origin": f"{kind}: {row.number + 1}"}
                    work.outcome.found[kind] += 1
                    yield replace(made, value=value)


ROLES = {
    "questions": frozenset({"user", "text"}),
    "answers": frozenset({"assistant", "chosen", "rejected"}),
    "all": frozenset({"user", "text", "assistant", "chosen", "rejected", "system"}),
}


def varied_of(row: Row, work: Work, roles: frozenset[str]) -> str:
    """The texts that are varied: what stays as it is says nothing of how alike rows are."""
    return "\n".join(text for role, text in texts_of(row.value, work.mapping) if role in roles)


def _variant(
    row: Row, work: Work, kind: str, number: int, changed: set[str], strength: float
) -> Row:
    what = b"%s %d %d %d %d %d" % (kind.encode(), work.place, *row.key, number)
    drawn = random.Random(lot(work.seed, what))  # noqa: S311

    def change(text: str) -> str:
        return varied(text, CHANGES[kind], drawn, strength) if text in changed else text

    value = texts_change(row.value, work.mapping, change)
    return work.made(row, value, number)


def varied(text: str, change: Change, drawn: random.Random, strength: float) -> str:
    """The text with its words changed; what must stay as it is stays."""
    found, here = [], 0
    for kept in _KEPT.finditer(text):
        found += [change(text[here : kept.start()], drawn, strength), kept[0]]
        here = kept.end()
    return "".join([*found, change(text[here:], drawn, strength)])


def noise(text: str, drawn: random.Random, strength: float) -> str:
    """Slips in words and in Chinese signs: swapped, doubled, left out, or a near one taken."""

    def slip(match: re.Match[str]) -> str:
        word = match[0]
        if word[0].isascii():
            return _slip(word, drawn) if drawn.random() < strength * 4 else word
        return "".join(_sign(sign, drawn) if drawn.random() < strength else sign for sign in word)

    return _WORD.sub(slip, text)


def _slip(word: str, drawn: random.Random) -> str:
    at = drawn.randrange(1, len(word) - 1)
    near = _NEAR.get(word[at], word[at])
    middle = (
        word[at + 1] + word[at],
        word[at] * 2 + word[at + 1],
        word[at + 1],
        near + word[at + 1],
    )
    return word[:at] + drawn.choice(middle) + word[at + 2 :]


def _sign(sign: str, drawn: random.Random) -> str:
    return drawn.choice((_ALIKE.get(sign, sign * 2), sign * 2, ""))


def synonyms(text: str, drawn: random.Random, strength: float) -> str:
    """Some of the words that the list knows replaced by others that mean the same."""

    def other(match: re.Match[str]) -> str:
        if drawn.random() >= min(strength * 8, 1):
            return match[0]
        word = drawn.choice(SYNONYMS[match[0].lower()])
        return word.capitalize() if match[0][0].isupper() else word

    return WORDS.sub(other, text)


CHANGES: dict[str, Change] = {"noise": noise, "synonyms": synonyms}
