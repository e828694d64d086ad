"""Examples as the engine reads them: rows of one form, and the entry of its `dataset_info.json`.

The engine reads a file as one typed table. A number among texts, or a list that is empty in the
first ten megabytes, stops it; texts that all look like dates are read as dates and dropped. So it
is given only checked rows, only mapped columns, and in each column values of one type.
"""

import re
from typing import Any

from datasets.shapes.mapping import SHAREGPT_TAGS, Mapping
from datasets.shapes.turns import Example, Turn

COLUMNS = (
    "prompt",
    "query",
    "response",
    "history",
    "messages",
    "system",
    "tools",
    "images",
    "videos",
    "audios",
    "chosen",
    "rejected",
    "kto_tag",
)
DATE = re.compile(
    r"\s*\d{4}-\d\d-\d\d([ T]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)?\s*(Z|[+-]\d\d(:?\d\d)?)?)?\s*"
)


def as_conversations(mapping: Mapping, *, dates: bool) -> Mapping:
    """The mapping of what the engine gets: the file's own, or conversations where that is safer.

    Questions and answers in columns become conversations when there are earlier turns (their list
    may be empty for long) or when `dates`, answers that look like dates, would be read as such.
    """
    if mapping.shape == "text" or mapping.by_messages:
        return mapping
    if "history" not in mapping.columns and not dates:
        return mapping
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    columns |= {key: key for key in ("chosen", "rejected", "kto_tag") if key in mapping.columns}
    return Mapping(mapping.shape, columns, dict(SHAREGPT_TAGS))


def engine_row(example: Example, given: Mapping) -> dict[str, Any]:
    """The row of the file that the engine reads."""
    if given.shape == "text":
        return {given.columns["prompt"]: example.text}
    row: dict[str, Any] = {}
    if given.by_messages:
        row[given.columns["messages"]] = [_message(turn, given) for turn in example.turns]
        if example.chosen and example.rejected:
            row[given.columns["chosen"]] = _message(example.chosen, given)
            row[given.columns["rejected"]] = _message(example.rejected, given)
    else:
        _into_columns(row, example, given)
    if example.kto_tag is not None:
        row[given.columns["kto_tag"]] = example.kto_tag
    for key, text in (("system", example.system), ("tools", example.tools)):
        if key in given.columns:
            row[given.columns[key]] = text
        elif key == "system" and text:
            row[given.columns["messages"]].insert(0, _system(text, given))
    return row


def _message(turn: Turn, given: Mapping) -> dict[str, str]:
    return {
        given.tags["role_tag"]: given.tag(turn.role),
        given.tags["content_tag"]: turn.content,
    }


def _system(text: str, given: Mapping) -> dict[str, str]:
    return {given.tags["role_tag"]: given.tags["system_tag"], given.tags["content_tag"]: text}


def _into_columns(row: dict[str, Any], example: Example, given: Mapping) -> None:
    """Question and answers into their columns; the further input is already in the question."""
    question = next(turn.content for turn in reversed(example.turns) if turn.role == "user")
    row[given.columns["prompt"]] = question
    if example.chosen and example.rejected:
        row[given.columns["chosen"]] = example.chosen.content
        row[given.columns["rejected"]] = example.rejected.content
    else:
        row[given.columns["response"]] = example.turns[-1].content


def info_entry(given: Mapping, file_name: str) -> dict[str, Any]:
    """The entry of `dataset_info.json`, with every key the engine knows.

    Keys that are left out of `columns` and `tags` would become null in the engine, not their
    defaults. OpenAI's messages are written as `sharegpt` with their own tags: the engine's form
    `openai` adds words to the system prompt.
    """
    columns: dict[str, str | None] = {key: given.columns.get(key) for key in COLUMNS}
    columns["query"] = None  # see `_into_columns`
    return {
        "file_name": file_name,
        "formatting": "sharegpt" if given.by_messages else "alpaca",
        "ranking": given.shape == "preference",
        "subset": None,
        "split": "train",
        "folder": None,
        "num_samples": None,
        "columns": columns,
        "tags": given.tags if given.by_messages else dict(SHAREGPT_TAGS),
    }
