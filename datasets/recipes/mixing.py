"""Mixes rows of several versions by weight. Equal seeds give equal rows."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from datasets.recipes.convert import Unfit, from_turns
from datasets.recipes.parameters import VERSIONS_MAX
from datasets.recipes.rows import Input, Row, Work, decoded, origin_of
from datasets.recipes.sampling import lot
from datasets.recipes.spool import Spool
from datasets.shapes.examples import example_of
from datasets.shapes.findings import Dropped


def mix(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Rows of all versions in the proportion of the weights, evenly among each other.

    Which ones is drawn by the seed; those of this version that are not are `not_sampled`. Without
    a number of `rows` there are so many that none has to be repeated.
    """
    spool = Spool(work.folder / "rows")
    for _row in spool.fill(rows):
        pass
    others = [(one["version"], work.inputs[one["version"]]) for one in parameters["versions"]]
    counts = [spool.count, *(other.rows for _version, other in others)]
    weights = [parameters["weight"], *(one["weight"] for one in parameters["versions"])]
    wanted = shares(counts, weights, parameters["rows"], repeat=parameters["repeat"])
    streams = [_drawn(spool.read(), counts[0], wanted[0], work)]
    for source, (version, other) in enumerate(others, start=1):
        found = _rows_of(version, other, VERSIONS_MAX * work.place + source, work)
        streams.append(_drawn(found, counts[source], wanted[source], work))
    yield from _among(streams, wanted)


def shares(counts: list[int], weights: list[float], rows: int | None, *, repeat: bool) -> list[int]:
    """How many rows of each: by weight, `rows` in all. Fewer when none may be repeated."""
    weights = [weight if count else 0 for count, weight in zip(counts, weights, strict=True)]
    total = sum(weights)
    if not total:
        return [0] * len(counts)
    most = min(
        count * total / weight for count, weight in zip(counts, weights, strict=True) if weight
    )
    all_rows = rows or sum(counts) if repeat else min(rows or most, most)
    found = [round(all_rows * weight / total) for weight in weights]
    if repeat:
        return found
    return [min(one, count) for one, count in zip(found, counts, strict=True)]


def _rows_of(version: str, other: Input, source: int, work: Work) -> Iterator[Row]:
    """The rows of another version, read as ours are."""
    same = other.plain == work.mapping
    for number, value in enumerate(other.values()):
        row = Row(number, decoded(value, other.mapping), source=source)
        row.origin = origin_of(row, version, names=work.names)
        try:
            made = row.value if same else from_turns(example_of(value, other.mapping), work.mapping)
        except (Unfit, Dropped):
            work.drop(row, "unfit")
            continue
        yield replace(row, value=made)


def _drawn(rows: Iterable[Row], count: int, wanted: int, work: Work) -> Iterator[Row]:
    """So many of the rows in their order: each as often as it must be, and some once more."""
    import numpy as np

    times, more = divmod(wanted, count) if count else (0, 0)
    lots = array("Q", bytes(8 * count))
    extra = np.zeros(count, dtype=bool)
    for place in range(count):
        lots[place] = int.from_bytes(lot(work.seed, place.to_bytes(8, "little")), "little")
    extra[np.argsort(np.frombuffer(lots, dtype=np.uint64), kind="stable")[:more]] = True
    for place, row in enumerate(rows):
        again = times + bool(extra[place])
        for turn in range(again):
            yield work.made(row, row.value, turn)
        if not again and not row.source:
            work.drop(row, "not_sampled")


def _among(streams: list[Iterator[Row]], wanted: list[int]) -> Iterator[Row]:
    """One row after another of the stream that lags most behind its share; all to their ends."""
    given = [0] * len(streams)
    left = set(range(len(streams)))
    while left:
        place = min(left, key=lambda one: ((given[one] + 1) / max(wanted[one], 1), one))
        row = next(streams[place], None)
        if row is None:
            left.discard(place)
            continue
        given[place] += 1
        yield row
