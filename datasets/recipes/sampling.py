"""Takes some of the rows, or parts them into training and test. Equal seeds give equal rows."""

import hashlib
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from datasets.recipes.rows import Row, Work, content_key
from datasets.recipes.spool import Spool

TRAIN, TEST = "train", "test"


def sample(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """So many rows, or such a share of them, in their order; the others are `not_sampled`."""
    import numpy as np  # here, so that pages need not carry it

    spool = Spool(work.folder / "rows")
    lots = array("Q")
    for row in spool.fill(rows):
        lots.append(int.from_bytes(_lot(work.seed, row.number.to_bytes(8, "little")), "little"))
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
    """All rows, each put into `train` or `test`; rows with the same texts are never parted.

    The test part has the share that comes nearest, and a row at least where there are two
    different ones.
    """
    import numpy as np

    spool = Spool(work.folder / "rows")
    lots = bytearray()
    for row in spool.fill(rows):
        lots += _lot(work.seed, content_key(row.value, work.mapping))
    drawn = np.frombuffer(lots, dtype=np.uint64)
    groups, belongs, sizes = np.unique(drawn, return_inverse=True, return_counts=True)
    wanted = parameters["test_share"] * spool.count
    sums = np.cumsum(sizes)
    nearest = int(np.argmin(np.abs(sums - wanted))) + 1 if len(groups) else 0
    tested = min(max(nearest, 1), len(groups) - 1)
    for place, row in enumerate(spool.read()):
        part = TEST if belongs[place] < tested else TRAIN
        work.outcome.parts[part] += 1
        yield Row(row.number, row.value, part)


def _lot(seed: int, what: bytes) -> bytes:
    """Eight bytes that look random and depend on nothing but these two."""
    return hashlib.blake2b(what, digest_size=8, key=str(seed).encode()).digest()
