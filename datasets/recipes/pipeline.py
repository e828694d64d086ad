"""Steps one after another, and a few rows through them with what changed."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as Mappings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datasets.generation.asking import Asking
from datasets.recipes.compared import Stretch, TextChange, changes, shortened
from datasets.recipes.kinds import KINDS
from datasets.recipes.likeness import Likeness, similarity
from datasets.recipes.rows import (
    JOINED,
    Input,
    Row,
    StepOutcome,
    Work,
    decoded,
    origin_of,
    plain,
    texts_of,
)
from datasets.shapes.mapping import Mapping

NO_INPUTS: Mappings[str, Input] = {}
ADDED_SHOWN = 100  # rows in a preview that were not in the input
Dropped = Callable[[int, Row, str], None]  # the step's place, the row, the reason


def nobody(_place: int, _row: Row, _reason: str) -> None:
    """Nobody wants to know which rows are dropped."""


def apply(
    values: Iterable[Any],
    steps: list[dict[str, Any]],
    *,
    mapping: Mapping,
    seed: int,
    folder: Path,
    version: str = "",
    dropped: Dropped = nobody,
    inputs: Mappings[str, Input] = NO_INPUTS,
    tokenizer: Path | None = None,
    asking: Asking | None = None,
    likeness: Likeness = similarity,
) -> tuple[Iterator[Row], list[StepOutcome]]:
    """The rows that are left, as a stream, and what each step did, complete when it ends.

    Nothing is read before the stream is. `folder` takes what steps lay down on the disk, `version`
    is the id of the one that the rows are of, `inputs` are the further versions that steps name, by
    their ids, `tokenizer` is the folder of the one to count tokens with, `asking` asks the models
    that steps name, `likeness` is for new rows and the ones that they were made of.
    """
    names = any(KINDS[step["kind"]].makes for step in steps)
    rows = _rows(values, mapping, version, names=names)
    outcomes = []
    read_so = mappings_of(steps, mapping)
    for place, step in enumerate(steps):
        outcome = StepOutcome(step["kind"])
        work = Work(
            read_so[place],
            folder / f"step-{place}",
            seed,
            outcome,
            partial(dropped, place),
            inputs,
            tokenizer,
            place,
            asking,
            likeness,
            names,
        )
        kind = KINDS[step["kind"]]
        given = kind.complete(step["parameters"])
        rows = _counted_out(kind.run(_counted_in(rows, outcome), work, given), outcome)
        outcomes.append(outcome)
    return rows, outcomes


def _rows(values: Iterable[Any], mapping: Mapping, version: str, *, names: bool) -> Iterator[Row]:
    for number, value in enumerate(values):
        row = Row(number, decoded(value, mapping))
        row.origin = origin_of(row, version, names=names)
        yield row


def mappings_of(steps: list[dict[str, Any]], mapping: Mapping) -> list[Mapping]:
    """How rows are read before each step and, as the last one, in the end."""
    found = [plain(mapping)]
    for step in steps:
        kind = KINDS[step["kind"]]
        found.append(kind.reads(found[-1], kind.complete(step["parameters"])))
    return found


def _counted_in(rows: Iterator[Row], outcome: StepOutcome) -> Iterator[Row]:
    for row in rows:
        outcome.rows_in += 1
        yield row


def _counted_out(rows: Iterator[Row], outcome: StepOutcome) -> Iterator[Row]:
    for row in rows:
        outcome.rows_out += 1
        yield row


@dataclass
class RowChange:
    """What became of one row: its texts, its part, or which step dropped it and why.

    An `added` one was not in the input: it comes from another version, or was made of row `number`.
    """

    number: int
    texts: list[TextChange] = field(default_factory=list)
    changed: bool = False
    part: str = ""
    step: int | None = None
    reason: str = ""
    added: bool = False

    @property
    def joined(self) -> bool:
        """Whether the row goes on as a part of another one."""
        return self.reason == JOINED


@dataclass
class Preview:
    """What the steps do with the first rows."""

    rows: list[RowChange]
    outcomes: list[StepOutcome]

    @property
    def changed(self) -> int:
        """How many rows stay and are changed."""
        return sum(row.changed and row.step is None and not row.added for row in self.rows)

    @property
    def lost(self) -> int:
        """How many rows are dropped."""
        return sum(row.step is not None and not row.joined for row in self.rows)

    @property
    def added(self) -> int:
        """How many of the rows shown were not in the input."""
        return sum(row.added for row in self.rows)


def preview(
    values: list[Any],
    steps: list[dict[str, Any]],
    *,
    mapping: Mapping,
    seed: int,
    inputs: Mappings[str, Input] = NO_INPUTS,
    tokenizer: Path | None = None,
    asking: Asking | None = None,
) -> Preview:
    """What the steps do with these rows. DomainError as in a run."""
    read_so = mappings_of(steps, mapping)
    ends: dict[int, tuple[int, str, Any]] = {}  # of rows of the input

    def dropped(place: int, row: Row, reason: str) -> None:
        if not row.source and not row.piece:
            ends[row.number] = (place, reason, row.value)

    with tempfile.TemporaryDirectory() as folder:
        rows, outcomes = apply(
            values,
            steps,
            mapping=mapping,
            seed=seed,
            folder=Path(folder),
            dropped=dropped,
            inputs=inputs,
            tokenizer=tokenizer,
            asking=asking,
        )
        kept = list(rows)
    here = {row.number: row for row in kept if not row.source and not row.piece}
    added = [row for row in kept if row.source or row.piece][:ADDED_SHOWN]
    found = []
    for number, value in enumerate(values):
        before = decoded(value, mapping)
        after, read_after = before, read_so[0]
        change = RowChange(number + 1)
        if number in here:
            after, read_after, change.part = here[number].value, read_so[-1], here[number].part
        elif number in ends:
            place, change.reason, after = ends[number]
            change.step, read_after = place + 1, read_so[place]
        change.texts = changes(before, after, read_so[0], read_after)
        change.changed = before != after or (number not in here and number not in ends)
        found.append(change)
        of_it = (row for row in added if row.number == number and not row.source)
        found += [_added(row, read_so[-1]) for row in of_it]
    found += [_added(row, read_so[-1]) for row in added if row.source]
    return Preview(found, outcomes)


def _added(row: Row, read_so: Mapping) -> RowChange:
    texts = [
        TextChange(role, [], [Stretch(shortened(text), changed=True)])
        for role, text in texts_of(row.value, read_so)
    ]
    return RowChange(row.number + 1, texts, changed=True, part=row.part, added=True)
