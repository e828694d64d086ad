"""Which rows of a version say nearly the same as an earlier one, sought among all of them."""

from pathlib import Path

from datasets.preparing import Progress
from datasets.reading.indexed import IndexedReader
from datasets.recipes.duplicates import Looks
from datasets.recipes.rows import decoded, plain
from datasets.shapes.mapping import Mapping
from datasets.statistics.drawing import drawn
from datasets.statistics.facts import FACTS, NEAR, RECORD

THRESHOLD = 0.8  # share of stretches that near duplicates have in common
ROWS_MAX = 4_000_000  # that are compared, each in some 140 bytes; of more so many are drawn
ROW_BYTES = 544  # of disk that a row takes meanwhile


def near_find(
    rows: Path, facts: Path, folder: Path, mapping: Mapping, *, progress: Progress
) -> dict[str, int]:
    """How many rows are near duplicates, in how many clusters, among how many that were `looked`
    at. Writes `facts.bin` with these rows marked into the empty `folder`; the one in `facts` stays.
    """
    import numpy as np  # here, so that pages need not carry it

    reader = IndexedReader(rows)
    numbers = drawn(reader.count, ROWS_MAX / max(reader.count, 1))
    looks, read = Looks(folder, near=True), plain(mapping)
    for _number, value in reader.some(numbers):
        looks.add(decoded(value, mapping), read)
        if looks.count % 1024 == 0:
            progress("comparing", 0.8 * looks.count / len(numbers))
    leaders, _exact, near = looks.clusters(
        THRESHOLD, lambda share: progress("comparing", 0.8 + 0.2 * share)
    )
    table = np.fromfile(facts / FACTS, dtype=RECORD)
    table["flags"] &= np.uint8(0xFF ^ NEAR)
    table["flags"][np.asarray(numbers, dtype=np.int64)[near]] |= np.uint8(NEAR)
    (folder / FACTS).write_bytes(table.data)
    return {
        "rows": int(near.sum()),
        "clusters": len(np.unique(leaders[near])),
        "looked": len(numbers),
    }
