"""Rows of an evaluation: answers and their scores, read a page at a time from the files.

Sorting keeps one number and one offset per row; texts are read only for the rows of the page.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from registry.metrics import BY_KEY
from registry.models import Evaluation

INDEX = "index"


@dataclass(frozen=True)
class Row:
    """One row: what was asked and wanted, both answers, and the scores of each."""

    index: int
    prompt: str
    messages: list[dict[str, str]]
    reference: str
    prediction: str
    finish: str
    scores: dict[str, float]
    baseline_prediction: str | None = None
    baseline_scores: dict[str, float] = field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        """The answer equals the reference."""
        return bool(self.scores.get("exact_match"))

    @property
    def baseline_is_exact(self) -> bool:
        """The baseline's answer equals the reference."""
        return bool(self.baseline_scores.get("exact_match"))


def _scores(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    if not evaluation.row_scores.is_file():
        return
    with evaluation.row_scores.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def values(evaluation: Evaluation, metric: str) -> dict[int, float]:
    """One metric of every row, by the row's index."""
    return {row[INDEX]: row[metric] for row in _scores(evaluation) if metric in row}


def offsets(evaluation: Evaluation) -> dict[int, int]:
    """Where each row's answer lies in the file, by index."""
    return {row[INDEX]: row["offset"] for row in _scores(evaluation)}


def order(
    evaluation: Evaluation, *, sort: str = "", search: str = "", differing: bool = False
) -> list[int]:
    """Offsets of the answers in the wanted order.

    `sort` is a metric's key for the worst rows first, with a leading `-` for the best first; empty
    keeps the order of the data. `search` keeps rows with the text in question or answers;
    `differing` those whose exact match is not the baseline's.
    """
    key = sort.removeprefix("-")
    metric = BY_KEY.get(key)
    found = [(row.get(key, 0.0), row["offset"], row[INDEX]) for row in _scores(evaluation)]
    if differing and evaluation.baseline is not None:
        own, other = (values(one, "exact_match") for one in (evaluation, evaluation.baseline))
        found = [row for row in found if own.get(row[2]) != other.get(row[2])]
    if metric is not None:
        found.sort(key=lambda row: row[0], reverse=metric.lower_is_better != sort.startswith("-"))
    if search:
        kept = _matching(evaluation, search)
        found = [row for row in found if row[1] in kept]
    return [offset for _value, offset, _index in found]


def _matching(evaluation: Evaluation, search: str) -> set[int]:
    wanted, offset = search.casefold(), 0
    kept: set[int] = set()
    if not evaluation.predictions.is_file():
        return kept
    with evaluation.predictions.open("rb") as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                texts = (_question(row), row.get("reference"), row.get("prediction"))
                if any(wanted in str(text or "").casefold() for text in texts):
                    kept.add(offset)
            offset += len(line)
    return kept


def _question(row: dict[str, Any]) -> str:
    messages = row.get("messages") or []
    if messages:
        return str(messages[-1].get("content", ""))
    return str(row.get("prompt") or "")


def _read(evaluation: Evaluation, places: Sequence[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    if evaluation.predictions.is_file():
        with evaluation.predictions.open("rb") as file:
            for place in places:
                file.seek(place)
                found[place] = json.loads(file.readline())
    return found


def _scores_at(evaluation: Evaluation, indexes: set[int]) -> dict[int, dict[str, float]]:
    return {
        row[INDEX]: {key: value for key, value in row.items() if key in BY_KEY}
        for row in _scores(evaluation)
        if row[INDEX] in indexes
    }


def page(evaluation: Evaluation, places: Sequence[int]) -> list[Row]:
    """The rows at these offsets, with the baseline's answers to the same questions."""
    answers = _read(evaluation, places)
    at = {row["offset"]: row[INDEX] for row in _scores(evaluation) if row["offset"] in answers}
    numbered = {place: at[place] for place in answers if place in at}
    indexes = set(numbered.values())
    own = _scores_at(evaluation, indexes)
    other: dict[int, dict[str, Any]] = {}
    other_scores: dict[int, dict[str, float]] = {}
    baseline = evaluation.baseline
    if baseline is not None:
        where = {index: it for index, it in offsets(baseline).items() if index in indexes}
        read = _read(baseline, list(where.values()))
        other = {index: read[it] for index, it in where.items() if it in read}
        other_scores = _scores_at(baseline, indexes)
    return [
        Row(
            index=index,
            prompt=_question(answers[place]),
            messages=answers[place].get("messages") or [],
            reference=str(answers[place].get("reference", "")),
            prediction=str(answers[place].get("prediction", "")),
            finish=str(answers[place].get("finish", "")),
            scores=own.get(index, {}),
            baseline_prediction=other[index].get("prediction") if index in other else None,
            baseline_scores=other_scores.get(index, {}),
        )
        for place, index in numbered.items()
    ]
