"""Which rows of a version say nearly the same as an earlier one, sought among all of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.preparing import Progress
from datasets.reading.indexed import IndexedReader
from datasets.recipes.duplicates import Looks
from datasets.recipes.rows import decoded, plain
from datasets.shapes.mapping import Mapping
from datasets.statistics.drawing import drawn
from datasets.statistics.facts import FACTS, NEAR, RECORD

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLD = 0.8  # share of stretches that near duplicates have in common
ROWS_MAX = 4_000_000  # that are compared, each in some 140 bytes; of more so many are drawn
ROW_BYTES = 544  # of disk that a row takes meanwhile


def near_find(
    rows: Path, folder: Path, mapping: Mapping, *, progress: Progress
) -> tuple[dict[str, int], "NDArray[Any]"]:
    """How many rows are near duplicates, in how many clusters, among how many that were `looked`
    at; and the numbers of these rows, from 0. Needs the empty `folder` meanwhile.
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
    found = {
        "rows": int(near.sum()),
        "clusters": len(np.unique(leaders[near])),
        "looked": len(numbers),
    }
    return found, np.asarray(numbers, dtype=np.int64)[near]


def near_mark(facts: Path, folder: Path, rows: "NDArray[Any]") -> None:
    """Writes `facts.bin` with these rows marked, and no others, into `folder`; the one in `facts`
    stays.
    """
    import numpy as np

    table = np.fromfile(facts / FACTS, dtype=RECORD)
    table["flags"] &= np.uint8(0xFF ^ NEAR)
    table["flags"][rows] |= np.uint8(NEAR)
    (folder / FACTS).write_bytes(table.data)
