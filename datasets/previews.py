"""Rows of a version as a person reads them."""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from django.utils.safestring import SafeString

from datasets.models import DatasetVersion, Revision, RowDecision
from datasets.reading.indexed import PAGE_BYTES, IndexedReader, Line
from datasets.recipes.rows import plain
from datasets.shapes.examples import example_of
from datasets.shapes.findings import Dropped, words
from datasets.shapes.mapping import Mapping
from datasets.shapes.turns import Example
from datasets.sight import markup, tokens_seen
from datasets.statistics.choosing import Choice, Known, RowFacts, Wanted, chosen, facts_of
from datasets.statistics.tokenizers import Tokenizer
from datasets.tokenizing import Seen

SEARCH_SECONDS = 0.6
_ALL = Choice()


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
    facts: RowFacts | None = None
    example: Example | None = None  # what a model learns from it; none of a dropped row
    seen: Seen | None = None  # as tokens, where these are asked for, see `rows_as_tokens`
    decision: RowDecision | None = None  # of the draft; a changed row is shown as it will be
    document: str = ""  # that the row was read from, if it was one
    place: int = 0  # in the document, from 1: a page of a PDF, else a section

    @property
    def too_long(self) -> bool:
        """Whether the row is too long for a page."""
        return not self.raw

    @property
    def is_page(self) -> bool:
        """Whether the row's place in its document is a page."""
        return self.document.lower().endswith(".pdf")

    @property
    def tokens(self) -> SafeString:
        """The tokens for a page."""
        return markup(self.seen) if self.seen else SafeString()


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a page; of a search also how far it looked and whether it came to the end.

    `total` is all rows, `matching` those that the choice leaves: `start` and `next_start` count
    these. A search counts rows of the file.
    """

    rows: list[ShownRow]
    total: int
    matching: int
    start: int
    next_start: int | None
    looked: int = 0


def rows_page(
    version: DatasetVersion,
    *,
    start: int,
    count: int,
    words: str = "",
    choice: Choice = _ALL,
    among: list[int] | None = None,
) -> Page:
    """Rows from number `start` (from 0) on; with `words` only those that hold them.

    A page is found by an index, however many rows there are; those of columns that the choice needs
    must be there. A search looks for at most `SEARCH_SECONDS` and tells where to go on; it goes
    through the file in its own order. Of a choice, without statistics only columns count.
    `among` are the numbers of the few rows that come into question; None: all.
    """
    reader = IndexedReader(version.rows_path)
    start = max(0, min(start, reader.count))
    if not version.is_counted:
        choice = choice.without_facts()
    known = Known(
        reader.count,
        version.counts.get("usable", 0),
        version.check_directory,
        version.indexes_directory,
    )
    if words:
        found = reader.search(
            words,
            start=start,
            count=count,
            seconds=SEARCH_SECONDS,
            keep=Wanted(known, choice, among),
        )
        more = found.looked if found.looked < reader.count else None
        shown = _shown(version, found.lines)
        return Page(shown, reader.count, reader.count, start, more, found.looked)
    if choice.filters or choice.order or among is not None:
        numbers, matching = chosen(known, choice, start=start, count=count, among=among)
        lines = _lines(reader, numbers)
    else:
        lines, matching = reader.page(start, count), reader.count
    following = start + len(lines)
    return Page(
        _shown(version, lines),
        reader.count,
        matching,
        start,
        following if following < matching else None,
    )


def _lines(reader: IndexedReader, numbers: list[int]) -> list[Line]:
    """These lines, as many as a page may hold."""
    lines: list[Line] = []
    held = 0
    for number in numbers:
        lines += reader.page(number, 1)
        held += len(lines[-1].data or b"")
        if held > PAGE_BYTES:
            break
    return lines


def _shown(version: DatasetVersion, lines: list[Line]) -> list[ShownRow]:
    facts: dict[int, RowFacts] = {}
    if version.is_counted:
        facts = facts_of(version.check_directory, [line.number for line in lines])
    return [replace(row_shown(version, line), facts=facts.get(line.number)) for line in lines]


def rows_as_tokens(rows: list[ShownRow], tokenizer: Tokenizer) -> list[ShownRow]:
    """The rows with their tokens by this tokenizer; raises what `tokens_seen` raises."""
    examples = [row.example for row in rows if row.example]
    found = iter(tokens_seen(examples, tokenizer) if examples else [])
    return [replace(row, seen=next(found)) if row.example else row for row in rows]


def mapping_of(version: DatasetVersion) -> Mapping:
    """How the version's rows are read."""
    return Mapping.of(
        version.shape, version.columns, version.tags, from_csv=version.file_format == "csv"
    )


def row_shown(version: DatasetVersion, line: Line) -> ShownRow:
    """A stored line as a person reads it."""
    if line.data is None:
        return ShownRow(line.number + 1, line.source_line, line.size, "")
    shown = value_shown(line.value, mapping_of(version))
    return replace(shown, number=line.number + 1, line=line.source_line, size=line.size)


def value_shown(value: Any, mapping: Mapping) -> ShownRow:
    """A row, wherever it comes from, as a person reads it."""
    raw = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    facts = _origin(value)
    if mapping.shape:
        try:
            facts |= _facts(example_of(value, mapping))
        except Dropped as dropped:
            facts |= {"problem": words(dropped.finding.code, dropped.finding.detail)}
    return ShownRow(0, 0, len(raw), raw, **facts)


def _origin(value: Any) -> dict[str, Any]:
    """The document and the place in it that a row of `parsing.sections` was read from."""
    match value:
        case {"text": str(), "document": str(name), "place": int(place), "heading": str()}:
            return {"document": name, "place": place}
    return {}


def decided_on(draft: Revision | None, sort: str) -> list[int]:
    """Numbers of the rows that a draft decides on so, see `RowDecisionQuerySet.of_sort`."""
    if draft is None:
        return []
    return list(draft.decisions.of_sort(sort).order_by("row").values_list("row", flat=True))


def rows_decided(
    version: DatasetVersion,
    draft: Revision | None,
    rows: list[ShownRow],
) -> list[ShownRow]:
    """The rows with what is decided about them; changed ones as they will be."""
    if draft is None:
        return rows
    numbers = [row.number - 1 for row in rows]
    decisions = draft.decisions.filter(row__in=numbers).select_related("by")
    found = {one.number: one for one in decisions}
    return [_decided(version, row, found.get(row.number)) for row in rows]


def _decided(
    version: DatasetVersion,
    row: ShownRow,
    decision: RowDecision | None,
) -> ShownRow:
    if decision is None or not decision.value:
        return replace(row, decision=decision)
    shown = value_shown(decision.changed_value, plain(mapping_of(version)))
    return replace(
        shown, number=row.number, line=row.line, size=row.size, facts=row.facts, decision=decision
    )


def _facts(example: Example) -> dict[str, Any]:
    return {
        "turns": turns_shown(example),
        "warnings": [words(one.code, one.detail) for one in example.warnings],
        "mark": example.kto_tag,
        "characters": example.characters,
        "example": example,
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
    for place, turn in enumerate(example.turns):
        shown.append(ShownTurn(turn.role, turn.content, example.learns(place)))
    for role, answer in (("chosen", example.chosen), ("rejected", example.rejected)):
        if answer is not None:
            shown.append(ShownTurn(role, answer.content, learnt=True))
    return shown
