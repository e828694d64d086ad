"""More rows of those there are, in words that a model finds."""

from collections.abc import Iterator, Mapping
from typing import Any

from datasets.generation.asking import Sampling
from datasets.generation.doors import Refused
from datasets.generation.endings import Unread
from datasets.generation.prompts import language_of, messages_of
from datasets.recipes.asked import TEXT_MAX, asking_of, sampling_of, text_of
from datasets.recipes.augment import ROLES, varied_of
from datasets.recipes.rows import Row, Work, texts_change, texts_of


def rewrite(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row, if it is kept, and after it its variants, which name it in a column `origin`.

    Variants that are too much like their row, or too little, are dropped as `too_close` and
    `too_far`; a row none of whose texts are to be changed has no variants.
    """
    how, roles = parameters["how"], _roles(parameters)

    async def one(row: Row) -> list[Any]:
        """Each variant's value, or the reason why there is none."""
        if not 0 < len(text_of(row, work)) <= TEXT_MAX:
            return []
        found = []
        for number in range(1, parameters["variants"] + 1):
            try:
                found.append(await _variant(row, work, parameters, number))
            except (Refused, Unread) as trouble:
                found.append(trouble.reason)
        return found

    asking = asking_of(work)
    for row, values in asking.each(rows, one, source=parameters["model"], failed=work.drop):
        if parameters["keep"]:
            yield row
        for number, value in enumerate(values, start=1):
            if isinstance(value, str):
                work.drop(work.made(row, row.value, number), value)
                continue
            made = work.made(row, {**value, "origin": f"{how}: {row.number + 1}"}, number)
            if value == row.value:
                work.drop(made, "too_close")
                continue
            before, after = (varied_of(one, work, roles) for one in (row, made))
            if work.fits(made, before, after, parameters):
                work.outcome.found[how] += 1
                yield made


def _roles(parameters: Mapping[str, Any]) -> frozenset[str]:
    return ROLES["answers" if parameters["how"] == "diversify" else parameters["where"]]


async def _variant(row: Row, work: Work, parameters: Mapping[str, Any], number: int) -> Any:
    """The row's value with its texts in other words."""
    roles = _roles(parameters)
    found: dict[str, str] = {}
    asked = ""
    for place, (role, text) in enumerate(texts_of(row.value, work.mapping)):
        if role in roles and text.strip() and text not in found:
            asker = _Asker(work, parameters, [work.place, *row.key, number, place])
            found[text] = await asker.other(text, asked)
        asked = text if role == "user" else asked
    return texts_change(row.value, work.mapping, lambda text: found.get(text, text))


class _Asker:
    """Asks for other words for one text."""

    def __init__(self, work: Work, parameters: Mapping[str, Any], place: list[object]) -> None:
        self._asking = asking_of(work)
        self._parameters = parameters
        self._place = place
        self._sampling: Sampling = sampling_of(parameters)

    async def other(self, text: str, asked: str) -> str:
        """Other words for a text; `asked` is the question that it answers."""
        how, style = self._parameters["how"], self._parameters["style"]
        if how == "translate":
            there = await self._say("translate", text, self._parameters["through"])
            return await self._say("translate", there, language_of(text))
        if how == "diversify":
            return await self._say("diversify", f"{asked}\n\n---\n{text}", "text", style)
        return await self._say("rewrite", text, "text", style)

    async def _say(self, task: str, text: str, into: str, style: str = "") -> str:
        return await self._asking.read(
            self._parameters["model"],
            messages_of(task, text, into=into, style=style),
            self._sampling,
            place=[*self._place, task, into],
            reader=lambda answer: answer.strip() or None,
        )
