"""Rows that a model makes of texts: questions, answers, pairs and conversations."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from datasets.generation.prompts import messages_of
from datasets.generation.reading import items_found, said
from datasets.recipes.asked import askable, asking_of, sampling_of, text_of
from datasets.recipes.rows import Row, Work, texts_of
from datasets.shapes.mapping import Mapping as RowMapping

CONTEXT = "context"  # the column with the text that a row was made of
_QUESTION = {"prompt": "instruction", "query": "input"}
_ALPACA = RowMapping.of("alpaca", {**_QUESTION, "response": "output"})
_SHAPES = {
    "pairs": _ALPACA,
    "questions": RowMapping.of("text", {"prompt": "text"}),
    "answers": _ALPACA,
    "preference": RowMapping.of(
        "preference", {**_QUESTION, "chosen": "chosen", "rejected": "rejected"}
    ),
    "dialogues": RowMapping.of("openai", {"messages": "messages"}),
}


def generate(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """What a model makes of each row's texts, in the place of the row.

    New rows say in a column `origin` what they are and of which row, and in `context` the text if
    it is kept. Rows whose answers cannot be read are dropped as `unreadable`.
    """
    asking, what = asking_of(work), parameters["what"]
    source, sampling = parameters["model"], sampling_of(parameters)
    reader = partial(_READERS[what], most=parameters["count"])

    async def one(row: Row) -> list[dict[str, Any]]:
        messages = messages_of(
            what,
            _asked(row, work) if what == "answers" else text_of(row, work),
            into=parameters["language"],
            template=parameters["template"],
            count=parameters["count"],
        )
        place = [work.place, *row.key]
        return await asking.read(source, messages, sampling, place=place, reader=reader)

    for row, found in asking.each(askable(rows, work), one, source=source, failed=work.drop):
        text = text_of(row, work)
        for number, values in enumerate(found, start=1):
            made = work.made(row, _value(row, values, text, work, parameters), number)
            if work.fits(made, text, "\n".join(_texts(made, what)), parameters):
                work.outcome.found[what] += 1
                yield made


def generated(_mapping: RowMapping, parameters: Mapping[str, Any]) -> RowMapping:
    """How rows are read once they are generated."""
    return _SHAPES[parameters["what"]]


def _value(
    row: Row, values: dict[str, Any], text: str, work: Work, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    what = parameters["what"]
    if what == "answers":
        question = _question(row, work)
        text = str(row.value.get(CONTEXT) or "")
        values = {"instruction": question, "input": "", **values}
    kept = {**row.value, CONTEXT: text} if parameters["keep"] else {}
    if what == "questions":
        kept[CONTEXT] = text
    return {**kept, **values, "origin": f"{what}: {row.number + 1}"}


def _texts(made: Row, what: str) -> list[str]:
    return [text for _role, text in texts_of(made.value, _SHAPES[what])]


def _question(row: Row, work: Work) -> str:
    """What a row asks, or all of a plain text."""
    asked: list[str] = []
    for role, text in texts_of(row.value, work.mapping):
        if role in {"user", "text"}:
            asked.append(text)
        elif asked:
            break
    return "\n\n".join(asked)


def _asked(row: Row, work: Work) -> str:
    """The question with the material that it was made of."""
    question, material = _question(row, work), row.value.get(CONTEXT)
    return f"{question}\n\n---\n{material}" if isinstance(material, str) else question


def _pairs(text: str, most: int) -> list[dict[str, Any]] | None:
    found = [
        {"instruction": said(one.get("question")), "input": "", "output": said(one.get("answer"))}
        for one in items_found(text)
        if isinstance(one, dict)
    ]
    return [one for one in found if one["instruction"] and one["output"]][:most] or None


def _questions(text: str, most: int) -> list[dict[str, Any]] | None:
    return [{"text": said(one)} for one in items_found(text) if said(one)][:most] or None


def _answer(text: str, most: int) -> list[dict[str, Any]] | None:
    return [{"output": text.strip()}] if text.strip() else None


def _preferences(text: str, most: int) -> list[dict[str, Any]] | None:
    found = [
        {
            "instruction": said(one.get("question")),
            "input": "",
            "chosen": said(one.get("good")),
            "rejected": said(one.get("bad")),
        }
        for one in items_found(text)
        if isinstance(one, dict)
    ]
    whole = [one for one in found if one["instruction"] and one["chosen"] and one["rejected"]]
    return [one for one in whole if one["chosen"] != one["rejected"]][:most] or None


def _dialogues(text: str, most: int) -> list[dict[str, Any]] | None:
    items = items_found(text)
    if items and all(isinstance(one, str) for one in items):
        items = [items]  # one conversation without the list around it
    found = [turns for one in items if (turns := _turns(one))]
    return [{"messages": turns} for turns in found][:most] or None


def _turns(given: Any) -> list[dict[str, str]]:
    """User and assistant in turn; empty where it is no conversation that ends with an answer."""
    texts = [said(one) for one in given] if isinstance(given, list) else []
    if len(texts) < 2 or len(texts) % 2 or not all(texts):
        return []
    return [
        {"role": "assistant" if place % 2 else "user", "content": text}
        for place, text in enumerate(texts)
    ]


_READERS: dict[str, Callable[..., list[dict[str, Any]] | None]] = {
    "pairs": _pairs,
    "questions": _questions,
    "answers": _answer,
    "preference": _preferences,
    "dialogues": _dialogues,
}
