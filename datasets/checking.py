"""From ingested rows to checked ones: reads, checks and writes, all in files.

Knows nothing of the database, so that it can run in a process of its own and be killed at any
moment: what it writes becomes visible by one rename at its end.
"""

import contextlib
import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.phrases import gettext as _
from datasets.ingest import no_progress
from datasets.preparing import Progress
from datasets.reading.indexed import IndexedReader, IndexedWriter
from datasets.reading.refusals import BadFile
from datasets.shapes.engine import DATE, as_conversations, engine_row, info_entry
from datasets.shapes.examples import example_of
from datasets.shapes.families import template_named, ways_digest, ways_to_stop
from datasets.shapes.findings import Dropped, Finding
from datasets.shapes.mapping import Mapping
from datasets.shapes.tokens import TokenCounter
from datasets.shapes.turns import Example

FINDINGS = "findings.jsonl"
TRAIN = "train.jsonl"
LENGTHS = "lengths.bin"  # tokens of the counted rows, unsigned 32 bit each
COUNTED_BYTES = 32 * 2**20  # of rows whose tokens are counted; of bigger files every n-th row is
REPORTED = 200  # findings in the report itself
DATE_RUN = 50  # so many answers in a row that look like dates could fill a block of the engine's


class Spread:
    """Percentiles of whole numbers within one per cent, in bounded memory."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = self.sum = 0
        self._max = 0

    def add(self, value: int, times: int = 1) -> None:
        """Counts a value that occurs so many times."""
        self._buckets[round(math.log1p(value) * 100)] += times
        self.count += times
        self.sum += value * times
        self._max = max(self._max, value)

    def summary(self) -> dict[str, Any]:
        """Sum, mean, percentiles, and a histogram of 24 equal steps up to the 99th percentile."""
        if not self.count:
            return {}
        marks = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
        found = {name: self._percentile(share) for name, share in marks.items()}
        return {
            "count": self.count,
            "sum": self.sum,
            "mean": round(self.sum / self.count, 1),
            **found,
            "max": self._max,
            "histogram": self._histogram(max(found["p99"], 24)),
        }

    def buckets(self) -> list[list[int]]:
        """Values, within one per cent, and how often they were counted."""
        return [
            [min(round(math.expm1(bucket / 100)), self._max), count]
            for bucket, count in sorted(self._buckets.items())
        ]

    def _percentile(self, share: float) -> int:
        wanted, seen = math.ceil(share * self.count), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(round(math.expm1(bucket / 100)), self._max)
        return self._max

    def _histogram(self, top: int) -> dict[str, Any]:
        step = math.ceil(top / 24)
        counts = [0] * 24
        for bucket, count in self._buckets.items():
            counts[min(int(math.expm1(bucket / 100) / step), 23)] += count
        return {"step": step, "counts": counts}


@dataclass
class Outcome:
    """What the check of all rows found."""

    rows: int = 0
    usable: int = 0
    with_findings: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    first: list[dict[str, Any]] = field(default_factory=list)
    characters: Spread = field(default_factory=Spread)
    entry: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    stops: dict[str, dict[str, Any]] = field(default_factory=dict)
    stops_of: str = ""  # `ways_digest` of the templates that these were found with

    def report(self) -> dict[str, Any]:
        """The report that is kept with the version."""
        return {
            "rows": self.rows,
            "usable": self.usable,
            "dropped": self.rows - self.usable,
            "with_findings": self.with_findings,
            "counts": dict(self.counts.most_common()),
            "findings": self.first,
            "characters": self.characters.summary(),
            "tokens": self.tokens,
            "stops": self.stops,
            "entry": self.entry,
        }


@dataclass(frozen=True)
class Counting:
    """With which model's tokenizer and template tokens are counted at the check."""

    name: str
    tokenizer_dir: Path
    template: str


class _Stops:
    """Counts the rows at which the engine would stop the training, by chat template."""

    def __init__(self) -> None:
        self._ways = ways_to_stop()
        templates = [template for template, _names in self._ways]
        self._placeholders = {word for one in templates for word in one.placeholders}
        self._found: dict[int, dict[str, Any]] = {}

    def add(self, example: Example, number: int) -> None:
        """Looks at a usable row; only tools and placeholders of files can stop the engine then."""
        has_tools = example.tools or any(turn.role == "function" for turn in example.said)
        if not has_tools and not example.holds(self._placeholders):
            return
        for place, (template, _names) in enumerate(self._ways):
            if why := template.stops_at(example):
                first = {"rows": 0, "row": number, "why": why}
                self._found.setdefault(place, first)["rows"] += 1

    def found(self) -> dict[str, dict[str, Any]]:
        """By template how many `rows`, the number of the first `row`, and `why` at that."""
        ways = [(self._ways[place][1], found) for place, found in self._found.items()]
        return {name: found for names, found in ways for name in names}


class _DateRuns:
    """Watches for long runs of answers (or texts) that look like dates."""

    def __init__(self, mapping: Mapping) -> None:
        self._watches = not mapping.by_messages
        self._runs: Counter[int] = Counter()
        self._longest = 0

    def add(self, example: Example) -> None:
        """Looks at the texts that get a column of their own."""
        if not self._watches:
            return
        for place, text in enumerate(_lone_texts(example)):
            self._runs[place] = self._runs[place] + 1 if DATE.fullmatch(text) else 0
            self._longest = max(self._longest, self._runs[place])

    def found(self, usable: int) -> bool:
        """Whether a run is so long that the engine could take the column for dates."""
        return bool(usable) and self._longest >= min(DATE_RUN, usable)


def _lone_texts(example: Example) -> list[str]:
    if example.text is not None:
        return [example.text]
    if example.chosen and example.rejected:
        return [example.chosen.content, example.rejected.content]
    return [example.turns[-1].content]


def counted_every(reader: IndexedReader) -> int:
    """The tokens of every so-manieth usable row are counted."""
    return math.ceil(reader.size / COUNTED_BYTES)


def counting_key(tokenizer_dir: Path, template: str) -> str:
    """What lengths counted with this tokenizer and template are filed under."""
    facts = (tokenizer_dir / "tokenizer.json").stat()
    words = template_named(template).digest
    return f"{tokenizer_dir.name}:{facts.st_size}:{facts.st_mtime_ns}:{template}:{words}"


def rows_check(
    rows: Path,
    target: Path,
    mapping: Mapping,
    *,
    counting: Counting | None = None,
    progress: Progress = no_progress,
) -> Outcome:
    """Checks all rows; writes `findings.jsonl`, and `train.jsonl` that the engine reads."""
    dates_seen, of = _DateRuns(mapping), ways_digest()
    outcome = _findings_write(rows, target, mapping, dates_seen, progress)
    outcome.stops_of = of
    dates = dates_seen.found(outcome.usable)
    given = as_conversations(mapping, dates=dates)
    if dates and (given is mapping or mapping.shape == "preference"):
        raise BadFile(
            _(
                "All texts look like dates. The engine would read them as dates and drop them:"
                " write the answers as sentences."
            ),
            code="dates",
        )
    outcome.entry = info_entry(given, TRAIN)
    _train_write(rows, target, mapping, given, counting, outcome, progress)
    return outcome


def _findings_write(
    rows: Path, target: Path, mapping: Mapping, dates: _DateRuns, progress: Progress
) -> Outcome:
    outcome = Outcome()
    reader, stops = IndexedReader(rows), _Stops()
    with IndexedWriter(target / FINDINGS) as findings:
        for number, line, value in reader.all():
            outcome.rows += 1
            found = _look_at(value, mapping, outcome, dates, stops)
            outcome.with_findings += bool(found)
            for finding in found:
                outcome.counts[finding.code] += 1
                entry = _entry(finding, number, line)
                findings.write(entry, line)
                if len(outcome.first) < REPORTED:
                    outcome.first.append(entry)
            progress("checking", 0.5 * outcome.rows / reader.count)
    outcome.stops = stops.found()
    return outcome


def stops_find(
    rows: Path, mapping: Mapping, *, progress: Progress = no_progress
) -> dict[str, dict[str, Any]]:
    """The rows at which the engine would stop, as the check finds them, of rows checked before."""
    reader, stops = IndexedReader(rows), _Stops()
    for number, _line, value in reader.all():
        with contextlib.suppress(Dropped):
            stops.add(example_of(value, mapping), number + 1)
        progress("counting", number / reader.count)
    return stops.found()


def _look_at(
    value: Any, mapping: Mapping, outcome: Outcome, dates: _DateRuns, stops: _Stops
) -> list[Finding]:
    try:
        example = example_of(value, mapping)
    except Dropped as dropped:
        return [dropped.finding]
    outcome.usable += 1
    outcome.characters.add(example.characters)
    dates.add(example)
    stops.add(example, outcome.rows)
    return example.warnings


def _entry(finding: Finding, number: int, line: int) -> dict[str, Any]:
    return {
        "line": line,
        "row": number,
        "code": finding.code,
        "drops": finding.drops,
        "detail": finding.detail,
    }


def _train_write(
    rows: Path,
    target: Path,
    mapping: Mapping,
    given: Mapping,
    counting: Counting | None,
    outcome: Outcome,
    progress: Progress,
) -> None:
    reader = IndexedReader(rows)
    counter = None
    if counting:
        counter = TokenCounter(counting.tokenizer_dir, template_named(counting.template))
    tokens, batch = Spread(), list[Example]()
    every = counted_every(reader)
    with IndexedWriter(target / TRAIN) as train, (target / LENGTHS).open("wb") as lengths:
        for number, line, value in reader.all():
            try:
                example = example_of(value, mapping)
            except Dropped:
                continue
            train.write(engine_row(example, given), line)
            if counter and train.count % every == 0:
                batch.append(example)
                if len(batch) >= 64:
                    _count_tokens(counter, batch, tokens, lengths.write)
            progress("writing", 0.5 + 0.5 * number / reader.count)
        if counter and batch:
            _count_tokens(counter, batch, tokens, lengths.write)
    if counting:
        outcome.tokens = tokens.summary() | {
            "sum": tokens.sum * outcome.usable // max(tokens.count, 1),
            "sampled": every > 1,
            "of": counting.name,
            "template": counting.template,
            "key": counting_key(counting.tokenizer_dir, counting.template),
        }
    else:
        os.unlink(target / LENGTHS)  # noqa: PTH108


def _count_tokens(
    counter: TokenCounter, batch: list[Example], tokens: Spread, write: Callable[[bytes], int]
) -> None:
    for length in counter.lengths(batch):
        tokens.add(length)
        write(length.to_bytes(4, "little"))
    batch.clear()
