"""Rows that a model gives marks, and those that are too poor left out."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from datasets.generation.prompts import messages_of
from datasets.generation.reading import json_found, said
from datasets.recipes.asked import askable, asking_of, sampling_of
from datasets.recipes.rows import Row, Work, texts_of

REASON_MAX = 500


def judge(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Each row with its score, 1 to 5, and the reason; poorer ones are dropped as `poor`."""
    asking, source, sampling = asking_of(work), parameters["model"], sampling_of(parameters)

    async def one(row: Row) -> tuple[int, str]:
        said_so = "\n\n".join(
            f"[{role}]\n{text}" for role, text in texts_of(row.value, work.mapping)
        )
        messages = messages_of(
            "judge", said_so, into=parameters["language"], style=parameters["criteria"]
        )
        place = [work.place, *row.key]
        return await asking.read(source, messages, sampling, place=place, reader=_score)

    for row, (score, reason) in asking.each(
        askable(rows, work), one, source=source, failed=work.drop
    ):
        work.outcome.found[f"score_{score}"] += 1
        if score < parameters["least"]:
            work.drop(row, "poor")
        elif parameters["keep"]:
            yield replace(row, value={**row.value, "score": score, "score_reason": reason})
        else:
            yield row


def _score(text: str) -> tuple[int, str] | None:
    found = json_found(text)
    if not isinstance(found, dict):
        return None
    try:
        score = round(float(found["score"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (score, said(found.get("reason"))[:REASON_MAX]) if 1 <= score <= 5 else None
