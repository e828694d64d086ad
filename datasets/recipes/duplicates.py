"""Drops rows that say the same as an earlier one, or nearly the same.

Memory is some 40 bytes a row: keys and signatures lie in files, and one band of signatures is
sorted at a time.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.recipes.rows import Row, Work, comparable, content_key, mark_of, texts_of
from datasets.recipes.spool import Spool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PERMUTATIONS = 128
RECALL = 0.99  # of pairs exactly as alike as the threshold that share a band
LOOKED_AT = 200_000  # characters of a row that are compared
COMPARED = 16  # earlier rows of a band that a row is compared with
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # scripts without spaces


def deduplicate(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """The first row of each cluster; drops the others as `duplicate` or `near_duplicate`.

    Exact duplicates have the same texts in the same roles, and the same mark. Near ones share at
    least `threshold` of their stretches of five characters (three in Chinese, Japanese and
    Korean), as MinHash estimates it. Marks apart, answers are no duplicates of each other.
    """
    import numpy as np  # here, so that pages need not carry it

    near = parameters["mode"] == "near"
    spool = Spool(work.folder / "rows")
    keys, signatures = work.folder / "keys", work.folder / "signatures"
    work.folder.mkdir(parents=True, exist_ok=True)
    with keys.open("wb") as key_file, signatures.open("wb") as signature_file:
        for row in spool.fill(rows):
            mark = mark_of(row.value, work.mapping)
            key_file.write(content_key(row.value, work.mapping, mark))
            if near:
                digest = signature_of(row, work, mark)
                signature_file.write(np.asarray(digest, dtype="<u4").tobytes())
    leaders = _same(keys)
    exact = leaders != np.arange(len(leaders))
    if near and spool.count:
        _unite_alike(leaders, signatures, parameters["threshold"])
    gone = leaders != np.arange(len(leaders))
    work.outcome.clusters = len(np.unique(leaders[gone]))
    keys.unlink()
    signatures.unlink()
    for place, row in enumerate(spool.read()):
        if gone[place]:
            work.drop(row, "duplicate" if exact[place] else "near_duplicate")
        else:
            yield row


def signature_of(row: Row, work: Work, mark: str = "") -> list[int]:
    """The MinHash signature of the row's texts."""
    from rensa import RMinHash

    texts = [text for _role, text in texts_of(row.value, work.mapping)]
    text = comparable("\n".join(texts) if texts else repr(row.value))[:LOOKED_AT].casefold()
    signature = RMinHash(num_perm=PERMUTATIONS, seed=1)
    signature.update([mark + piece for piece in shingles(text)])
    found: list[int] = signature.digest()
    return found


def shingles(text: str) -> list[str]:
    """Stretches of five characters, or of three where the script has no spaces; each once."""
    head = text[:2000]
    size = 3 if len(_DENSE.findall(head)) * 3 > len(head) else 5
    if len(text) <= size:
        return [text]
    return list({text[place : place + size] for place in range(len(text) - size + 1)})


def bands_of(threshold: float) -> tuple[int, int]:
    """How many bands of how many numbers find pairs at the threshold with `RECALL`."""
    for width in range(16, 1, -1):
        bands = PERMUTATIONS // width
        if 1 - (1 - threshold**width) ** bands >= RECALL:
            return bands, width
    return PERMUTATIONS, 1


def _same(keys: Path) -> "NDArray[np.int64]":
    """For each row the first one with the same key."""
    import numpy as np

    found = np.fromfile(keys, dtype=[("a", "<u8"), ("b", "<u8")])
    order = np.lexsort((found["b"], found["a"]))  # stable: equal ones in the order of the rows
    ordered = found[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    leaders = np.empty(len(order), dtype=np.int64)
    leaders[order] = order[begins][np.cumsum(begins) - 1]
    return leaders


def _unite_alike(leaders: "NDArray[np.int64]", signatures: Path, threshold: float) -> None:
    """Joins the clusters of rows that are alike; each keeps its first row as leader."""
    import numpy as np

    table = np.memmap(signatures, dtype="<u4", mode="r").reshape(-1, PERMUTATIONS)
    places = np.flatnonzero(leaders == np.arange(len(leaders)))
    bands, width = bands_of(threshold)
    for band in range(bands):
        columns = table[:, band * width : (band + 1) * width]
        hashes = np.zeros(len(places), dtype=np.uint64)
        for column in range(width):
            hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + columns[places, column]
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True])
        for which in np.flatnonzero(np.diff(starts) > 1):
            _unite_bucket(
                leaders, table, places[order[starts[which] : starts[which + 1]]], threshold
            )
    for place in places:
        leaders[place] = _leader(leaders, int(place))
    leaders[:] = leaders[leaders]


def _unite_bucket(
    leaders: "NDArray[np.int64]",
    table: "NDArray[np.uint32]",
    members: "NDArray[np.int64]",
    threshold: float,
) -> None:
    """Compares each member with some that were before it and are unlike each other."""
    firsts: list[int] = []
    for member in members.tolist():
        for first in firsts:
            one, other = _leader(leaders, member), _leader(leaders, first)
            if one == other:
                break
            if (table[member] == table[first]).mean() >= threshold:
                leaders[max(one, other)] = min(one, other)
                break
        else:
            if len(firsts) < COMPARED:
                firsts.append(member)


def _leader(leaders: "NDArray[np.int64]", place: int) -> int:
    """The first row of the cluster; the way there is made shorter."""
    while (up := int(leaders[place])) != place:
        leaders[place] = leaders[up]
        place = up
    return place
