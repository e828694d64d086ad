"""Rows of a version as a person reads them."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from datasets.models import DatasetVersion
from datasets.reading.indexed import IndexedReader, Line
from datasets.shapes.examples import Example, Turn, example_of
from datasets.shapes.findings import Dropped, words
from datasets.shapes.mapping import Mapping

SEARCH_SECONDS = 0.6
ANSWERING = frozenset({"assistant", "function"})


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """One turn: role (also system, tools, text, chosen, rejected), text, whether it is learnt."""

    role: str
    text: str
    learnt: bool = False


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row: its number from 1, its line in the file, its turns, and what is wrong with it."""

    number: int
    line: int
    size: int
    raw: str
    turns: list[ShownTurn] = field(default_factory=list)
    problem: str = ""
    warnings: list[str] = field(default_factory=list)
    mark: bool | None = None
    characters: int = 0

    @property
    def too_long(self) -> bool:
        """Whether the row is too long for a page."""
        return not self.raw


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a page; of a search also how far it looked and whether it came to the end."""

    rows: list[ShownRow]
    total: int
    start: int
    next_start: int | None
    looked: int = 0


def rows_page(version: DatasetVersion, *, start: int, count: int, words: str = "") -> Page:
    """Rows from number `start` (from 0) on; with `words` only those that hold them.

    A page is found by the index, however many rows there are. A search looks for at most
    `SEARCH_SECONDS` and tells where to go on.
    """
    reader = IndexedReader(version.rows_path)
    start = max(0, min(start, reader.count))
    if words:
        found = reader.search(words, start=start, count=count, seconds=SEARCH_SECONDS)
        more = found.looked if found.looked < reader.count else None
        shown = [row_shown(version, line) for line in found.lines]
        return Page(shown, reader.count, start, more, found.looked)
    lines = reader.page(start, count)
    following = start + len(lines)
    return Page(
        [row_shown(version, line) for line in lines],
        reader.count,
        start,
        following if following < reader.count else None,
    )


def mapping_of(version: DatasetVersion) -> Mapping:
    """How the version's rows are read."""
    return Mapping.of(
        version.shape, version.columns, version.tags, from_csv=version.file_format == "csv"
    )


def row_shown(version: DatasetVersion, line: Line) -> ShownRow:
    """A stored line as a person reads it."""
    if line.data is None:
        return ShownRow(line.number + 1, line.source_line, line.size, "")
    value = line.value
    raw = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    facts: dict[str, Any] = {}
    if version.shape:
        try:
            facts = _facts(example_of(value, mapping_of(version)))
        except Dropped as dropped:
            facts = {"problem": words(dropped.finding.code, dropped.finding.detail)}
    return ShownRow(line.number + 1, line.source_line, line.size, raw, **facts)


def _facts(example: Example) -> dict[str, Any]:
    return {
        "turns": turns_shown(example),
        "warnings": [words(one.code, one.detail) for one in example.warnings],
        "mark": example.kto_tag,
        "characters": example.characters,
    }


def turns_shown(example: Example) -> list[ShownTurn]:
    """The turns in order, with what the model learns marked."""
    if example.text is not None:
        return [ShownTurn("text", example.text, learnt=True)]
    shown = [
        ShownTurn(role, text)
        for role, text in (("system", example.system), ("tools", example.tools))
        if text
    ]
    last = len(example.turns) - 1
    judged = example.kto_tag is not None
    for place, turn in enumerate(example.turns):
        shown.append(_turn_shown(turn, learnt=place == last if judged else True))
    for role, answer in (("chosen", example.chosen), ("rejected", example.rejected)):
        if answer is not None:
            shown.append(ShownTurn(role, answer.content, learnt=role == "chosen"))
    if example.chosen is not None:  # of a preference only the answers count
        shown = [
            turn if turn.role in {"chosen", "rejected"} else ShownTurn(turn.role, turn.text)
            for turn in shown
        ]
    return shown


def _turn_shown(turn: Turn, *, learnt: bool) -> ShownTurn:
    return ShownTurn(turn.role, turn.content, learnt and turn.role in ANSWERING)
