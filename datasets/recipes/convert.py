"""Rows of any columns into the shapes that engines read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from common.phrases import gettext as _
from datasets.recipes.columns import cell_of, text_of
from datasets.recipes.parameters import Refused
from datasets.recipes.rows import Row, Work
from datasets.shapes.engine import engine_row
from datasets.shapes.examples import example_of
from datasets.shapes.findings import Dropped
from datasets.shapes.mapping import Mapping as RowMapping
from datasets.shapes.turns import Example, Turn

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]{1,200})\}|[{}]")
_NEEDED = {
    "alpaca": ("prompt", "response"),
    "sharegpt": ("prompt", "response"),
    "openai": ("prompt", "response"),
    "preference": ("prompt", "chosen", "rejected"),
    "kto": ("prompt", "response", "mark"),
    "text": ("text",),
}
_TALK = ("prompt", "query", "system")
_USED = {
    **dict.fromkeys(("alpaca", "sharegpt", "openai"), (*_TALK, "response")),
    "preference": (*_TALK, "chosen", "rejected"),
    "kto": (*_TALK, "response", "mark"),
    "text": ("text",),
}
_MARKS = {
    **dict.fromkeys(("true", "1", "1.0", "yes", "good", "+1", "是", "好", "对"), True),
    **dict.fromkeys(("false", "0", "0.0", "no", "bad", "-1", "否", "坏", "差", "错"), False),
}
_MESSAGES = {"messages": "conversations", "system": "system", "tools": "tools"}
SHAPES = {
    "sharegpt": RowMapping.of("sharegpt", _MESSAGES),
    "openai": RowMapping.of("openai", {"messages": "messages", "tools": "tools"}),
    "preference": RowMapping.of(
        "preference", {**_MESSAGES, "chosen": "chosen", "rejected": "rejected"}
    ),
    "kto": RowMapping.of("kto", {**_MESSAGES, "kto_tag": "good"}),
    "text": RowMapping.of("text", {"prompt": "text"}),
}
_ALPACA = {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}


class Unfit(Exception):
    """The row does not hold what the shape needs."""


def convert(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row in the shape that is asked for; drops those that do not fit it as `unfit`."""
    target = converted(work.mapping, parameters)
    for row in rows:
        try:
            if parameters["source"] == "columns":
                made = from_columns(row.value, target, parameters)
            else:
                made = from_turns(example_of(row.value, work.mapping), target)
        except (Unfit, Dropped):
            work.drop(row, "unfit")
            continue
        if parameters["keep"] and isinstance(row.value, dict):
            made = {**row.value, **made}
        work.outcome.changed += made != row.value
        yield replace(row, value=made)


def converted(_mapping: RowMapping, parameters: Mapping[str, Any]) -> RowMapping:
    """How rows are read once they are converted."""
    shape = parameters["shape"]
    if shape != "alpaca":
        return SHAPES[shape]
    by_turns = {} if parameters["source"] == "columns" else {"history": "history"}
    return RowMapping.of("alpaca", {**_ALPACA, **by_turns})


def convert_check(given: Mapping[str, Any]) -> None:
    """`Refused` when a template that counts is missing or cannot be read."""
    if given["source"] != "columns":
        return
    for name in _USED[given["shape"]]:
        if problem := template_problem(given[name]):
            raise Refused(name, problem)
    for name in _NEEDED[given["shape"]]:
        if not given[name]:
            raise Refused(
                name, _("This format needs it. Name a column in braces, such as {question}.")
            )


TEMPLATES = ("prompt", "query", "response", "system", "chosen", "rejected", "mark", "text")


def template_problem(template: str) -> str:
    """Why a template cannot be read; empty when it can."""
    if any(piece[0] in {"{", "}"} for piece in _PIECE.finditer(template)):
        return _("A brace stands alone. Write {{ or }} for a brace that is meant as such.")
    return ""


def filled(template: str, value: Any) -> str:
    """The template with the row's columns in the place of `{name}`; `{a.b}` is b within a."""

    def piece(match: re.Match[str]) -> str:
        return text_of(cell_of(value, match[1])) if match[1] else match[0][0]

    return _PIECE.sub(piece, template)


def from_columns(value: Any, target: RowMapping, given: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its texts made by templates. `Unfit` when one that is needed stays empty."""
    texts = {name: filled(given[name], value) for name in _USED[target.shape] if given[name]}
    if any(not texts.get(name, "").strip() for name in _NEEDED[target.shape]):
        raise Unfit
    if target.shape == "text":
        return {"text": texts["text"]}
    if target.shape == "alpaca":
        return {column: texts.get(key, "") for key, column in target.columns.items()}
    question = "\n".join(filter(None, (texts["prompt"], texts.get("query", ""))))
    example = Example([Turn("user", question)], system=texts.get("system", ""))
    if target.shape == "preference":
        example.chosen = Turn("assistant", texts["chosen"])
        example.rejected = Turn("assistant", texts["rejected"])
    else:
        example.turns.append(Turn("assistant", texts["response"]))
    if target.shape == "kto":
        example.kto_tag = _MARKS.get(texts["mark"].strip().lower())
    return from_turns(example, target)


def from_turns(example: Example, target: RowMapping) -> dict[str, Any]:
    """The example as a row of the shape. Of a pair the better answer counts, where one does.

    `Unfit` when it lacks something, or holds what the shape has no place for; of marked answers
    only good ones become questions with answers.
    """
    if target.shape == "text":
        return {target.columns["prompt"]: _joined(example)}
    if example.text is not None:
        raise Unfit
    wanted_pair, wanted_mark = target.shape == "preference", target.shape == "kto"
    if wanted_pair != (example.chosen is not None):
        if wanted_pair or example.chosen is None:
            raise Unfit
        example = replace(
            example, turns=[*example.turns, example.chosen], chosen=None, rejected=None
        )
    if wanted_mark != (example.kto_tag is not None):
        if wanted_mark or not example.kto_tag:
            raise Unfit
        example = replace(example, kto_tag=None)
    if target.by_messages:
        if example.tools and "tools" not in target.columns:
            raise Unfit
        return engine_row(example, target)
    return _into_columns(example, target)


def _into_columns(example: Example, target: RowMapping) -> dict[str, Any]:
    """Question and answer in columns of their own, earlier turns in pairs before them."""
    sides = [turn.content for turn in example.turns]
    if example.tools or any(turn.role not in {"user", "assistant"} for turn in example.turns):
        raise Unfit
    answers = {
        "chosen": example.chosen.content if example.chosen else "",
        "rejected": example.rejected.content if example.rejected else "",
        "response": sides.pop() if example.chosen is None else "",
    }
    question = sides.pop()
    pairs = [[sides[at], sides[at + 1]] for at in range(0, len(sides), 2)]
    if ("history" not in target.columns and pairs) or (
        "system" not in target.columns and example.system
    ):
        raise Unfit
    cells: dict[str, Any] = {**answers, "prompt": question, "query": "", "tools": ""}
    cells |= {"system": example.system, "history": pairs, "kto_tag": example.kto_tag}
    return {column: cells[key] for key, column in target.columns.items()}


def _joined(example: Example) -> str:
    if example.text is not None:
        return example.text
    texts = [example.system, *(turn.content for turn in example.turns)]
    texts += [example.chosen.content] if example.chosen else []
    return "\n\n".join(filter(None, texts))
