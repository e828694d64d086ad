"""Takes some of the rows, or parts them into training, validation and test.

Equal seeds give equal rows.
"""

import hashlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from datasets.recipes.columns import refuse_no_column
from datasets.recipes.rows import Row, Work, content_key, question_of
from datasets.recipes.spool import Spool
from datasets.recipes.tying import parted, together
from datasets.shapes.mapping import Mapping as RowMapping

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def sample(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """So many rows, or such a share of them, in their order; the others are `not_sampled`."""
    import numpy as np  # here, so that pages need not carry it

    spool = Spool(work.folder / "rows")
    lots = array("Q")
    for row in spool.fill(rows):
        lots.append(int.from_bytes(lot(work.seed, _number(row)), "little"))
    wanted = spool.count
    if parameters["by"] == "number":
        wanted = min(parameters["number"], spool.count)
    else:
        wanted = round(parameters["share"] * spool.count)
    taken = np.zeros(spool.count, dtype=bool)
    taken[np.argsort(np.frombuffer(lots, dtype=np.uint64), kind="stable")[:wanted]] = True
    for place, row in enumerate(spool.read()):
        if taken[place]:
            yield row
        else:
            work.drop(row, "not_sampled")


def split(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """All rows, each put into `train`, `validation` or `test`; groups are never parted.

    A group are rows with the same texts, with the same first question, or with the same value in
    a column (rows without one are grouped by their texts); and rows that come of the same one, here
    or in an earlier run, with all that are grouped with them. Texts and questions that would tie
    more than half of the rows together so do not, and count as `several` where they then stand in
    more than one part. Each part has the share that comes nearest, and a group at least while there
    are enough; groups larger than a part are for training, if others are left. DomainError when no
    row has the column.
    """
    import numpy as np

    group = _Groups(work.mapping, parameters)
    spool = Spool(work.folder / "rows")
    lots, origins = bytearray(), bytearray()
    for row in spool.fill(rows):
        lots += lot(work.seed, group.key(row.value))
        origins += lot(work.seed, row.origin.encode() or b"%d.%d" % (row.source, row.number))
    group.check(spool.count)
    drawn = np.frombuffer(lots, dtype=np.uint64)
    most = spool.count if parameters["by"] == "column" else spool.count // 2
    heads = together(drawn, np.frombuffer(origins, dtype=np.uint64), most)
    _groups, firsts, belongs, sizes = np.unique(
        heads, return_index=True, return_inverse=True, return_counts=True
    )
    shares = [(TEST, parameters["test_share"]), (VALIDATION, parameters["validation_share"])]
    shares = [(part, wanted) for part, wanted in shares if wanted]
    large = sizes > min(wanted for _part, wanted in shares) * spool.count
    order = np.lexsort([drawn[firsts], large])
    belongs = np.argsort(order)[belongs]
    sums = np.cumsum(sizes[order])
    ends: list[tuple[str, int]] = []  # of groups in the order of their lots
    begun, share = 0, 0.0
    for left, (part, wanted) in zip(range(len(shares), 0, -1), shares, strict=True):
        share += wanted
        nearest = int(np.argmin(np.abs(sums - share * spool.count))) + 1 if len(sizes) else 0
        begun = min(max(nearest, begun + 1), max(len(sizes) - left, begun))
        ends.append((part, begun))
    parts = np.searchsorted([end for _part, end in ends], belongs, side="right")
    if several := parted(drawn, parts):
        work.outcome.found["several"] = several
    names = [*(part for part, _end in ends), TRAIN]
    for row, number in zip(spool.read(), parts.tolist(), strict=True):
        part = names[number]
        work.outcome.parts[part] += 1
        yield replace(row, part=part)


class _Groups:
    """What must stay together has the same key."""

    def __init__(self, mapping: RowMapping, parameters: Mapping[str, Any]) -> None:
        self._mapping = mapping
        self._by = parameters["by"]
        self._column = parameters["column"]
        self._grouped = 0

    def key(self, value: Any) -> bytes:
        """The key of a row's group."""
        if self._by == "question" and (question := question_of(value, self._mapping)):
            return b"question " + question.encode("utf-8", "replace")
        if self._by == "column" and isinstance(value, dict):
            cell = value.get(self._column)
            self._grouped += self._column in value
            if cell is not None and cell != "":
                return b"column " + orjson.dumps(cell, option=orjson.OPT_SORT_KEYS)
        return content_key(value, self._mapping)

    def check(self, rows: int) -> None:
        """DomainError when rows were to be grouped by a column that none has."""
        if self._by == "column" and rows and not self._grouped:
            raise refuse_no_column(self._column)


def lot(seed: int, what: bytes) -> bytes:
    """Eight bytes that look random and depend on nothing but these two."""
    return hashlib.blake2b(what, digest_size=8, key=str(seed).encode()).digest()


def _number(row: Row) -> bytes:
    """The row's number; of rows that were added to those of the input also what tells them."""
    added = b"%d.%d" % (row.source, row.piece) if row.source or row.piece else b""
    return row.number.to_bytes(8, "little") + added
