"""Drops rows that say the same as an earlier one, or nearly the same.

Memory is some 60 bytes a row: keys and signatures lie in files, and one band of signatures is
sorted at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datasets.recipes.rows import Row, Work, comparable, content_key, decoded, mark_of, texts_of
from datasets.recipes.signatures import PERMUTATIONS, Signatures, SignatureWriter
from datasets.recipes.spool import Spool
from datasets.shapes.mapping import Mapping as RowMapping

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECALL = 0.99  # of pairs exactly as alike as the threshold that share a band
LOOKED_AT = 200_000  # characters of a row that are compared
COMPARED = 16  # rows of a band, unlike each other, that a row is compared with
AT_ONCE = 1 << 14  # pairs of signatures compared at a time
CLUSTERS_SHOWN, MEMBERS_SHOWN, SIGNS_SHOWN = 20, 5, 200


def deduplicate(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """The first row of each cluster; drops the others as `duplicate` or `near_duplicate`, and as
    `elsewhere` those that stand in one of the other versions.

    Exact duplicates have the same texts in the same roles, and the same mark. Near ones share at
    least `threshold` of their stretches of five characters (three in Chinese, Japanese and
    Korean), as MinHash estimates it. Marks apart, answers are no duplicates of each other.
    """
    spool = Spool(work.folder / "rows")
    looks = Looks(work.folder, near=parameters["mode"] == "near")
    for one in parameters["against"]:
        source = work.inputs[one["version"]]
        for value in source.values():
            looks.add(decoded(value, source.mapping), source.plain)
    known = looks.count
    for row in spool.fill(rows):
        looks.add(row.value, work.mapping)
    leaders, exact, near = looks.clusters(parameters["threshold"])
    gone = exact | near
    gone[:known] = False
    shown = _Shown(leaders, gone, known)
    work.outcome.clusters = shown.clusters
    for place, row in enumerate(spool.read(), start=known):
        shown.see(place, row, work.mapping)
        if not gone[place]:
            yield row
        elif leaders[place] < known:
            work.drop(row, "elsewhere")
        else:
            work.drop(row, "duplicate" if exact[place] else "near_duplicate")
    work.outcome.examples = shown.stored()


class Looks:
    """What rows look like to each other: keys, and with `near` signatures, in files of `folder`."""

    def __init__(self, folder: Path, *, near: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._keys = folder / "keys"
        self._signatures = folder / "signatures" if near else None
        self.count = 0
        self._key_file = self._keys.open("wb", buffering=1 << 20)
        self._writer = SignatureWriter(self._signatures) if self._signatures else None

    def add(self, value: Any, mapping: RowMapping) -> None:
        """The next row."""
        mark = mark_of(value, mapping)
        self._key_file.write(content_key(value, mapping, mark))
        if self._writer is not None:
            self._writer.add(_compared(value, mapping), mark)
        self.count += 1

    def clusters(
        self, threshold: float, progress: Callable[[float], None] = lambda _share: None
    ) -> tuple["NDArray[np.int64]", "NDArray[np.bool_]", "NDArray[np.bool_]"]:
        """When all rows were added: the first row of each one's cluster, and which rows are exact
        and which only near duplicates of an earlier one. The files are gone then.
        """
        import numpy as np  # here, so that pages need not carry it

        self._key_file.close()
        leaders = firsts_of(self._keys)
        self._keys.unlink()
        exact = leaders != np.arange(len(leaders))
        if self._writer is not None and self._signatures is not None:
            self._writer.close()
            if len(leaders):
                with Signatures(self._signatures) as signatures:
                    _unite_alike(leaders, signatures, threshold, progress)
            self._signatures.unlink()
        return leaders, exact, (leaders != np.arange(len(leaders))) & ~exact


def _compared(value: Any, mapping: RowMapping) -> str:
    texts = [text for _role, text in texts_of(value, mapping)]
    whole = "\n".join(texts) if texts else repr(value)
    return comparable(whole[: 2 * LOOKED_AT])[:LOOKED_AT].casefold()


class _Shown:
    """The largest clusters with their first rows, to be looked at by people."""

    def __init__(self, leaders: "NDArray[np.int64]", gone: "NDArray[np.bool_]", known: int) -> None:
        import numpy as np

        heads, sizes = np.unique(leaders[gone], return_counts=True)
        self.clusters = len(heads)
        largest = np.argsort(-sizes, kind="stable")[:CLUSTERS_SHOWN]
        self._known = known
        self._found: dict[int, dict[str, Any]] = {}
        self._places: dict[int, int] = {}
        for head, size in zip(heads[largest].tolist(), sizes[largest].tolist(), strict=True):
            self._found[head] = {"rows": size + 1, "elsewhere": head < known, "texts": []}
            members = np.flatnonzero((leaders == head) & gone)[: MEMBERS_SHOWN - 1]
            self._places |= dict.fromkeys([head, *members.tolist()], head)

    def see(self, place: int, row: Row, mapping: RowMapping) -> None:
        """Keeps the beginning of the row's texts if it is one of those that are shown."""
        if place in self._places:
            texts = [text for _role, text in texts_of(row.value, mapping)]
            text = " · ".join(texts) if texts else orjson.dumps(row.value).decode()
            line = {"number": row.number + 1, "text": text[:SIGNS_SHOWN]}
            self._found[self._places[place]]["texts"].append(line)

    def stored(self) -> list[dict[str, Any]]:
        """As JSON, the largest cluster first."""
        return list(self._found.values())


def bands_of(threshold: float) -> tuple[int, int]:
    """How many bands of how many numbers find pairs at the threshold with `RECALL`."""
    for width in range(16, 1, -1):
        bands = PERMUTATIONS // width
        if 1 - (1 - threshold**width) ** bands >= RECALL:
            return bands, width
    return PERMUTATIONS, 1


def firsts_of(keys: Path) -> "NDArray[np.int64]":
    """For each row the first one with the same key, of keys of 16 bytes in a file."""
    import numpy as np

    found = np.fromfile(keys, dtype=[("a", "<u8"), ("b", "<u8")])
    order = np.lexsort((found["b"], found["a"]))  # stable: equal ones in the order of the rows
    ordered = found[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    leaders = np.empty(len(order), dtype=np.int64)
    leaders[order] = order[begins][np.cumsum(begins) - 1]
    return leaders


def _unite_alike(
    leaders: "NDArray[np.int64]",
    signatures: Signatures,
    threshold: float,
    progress: Callable[[float], None],
) -> None:
    """Joins the clusters of rows that are alike; each keeps its first row as leader."""
    import numpy as np

    places = np.flatnonzero(leaders == np.arange(len(leaders)))
    bands, width = bands_of(threshold)
    for band in range(bands):
        hashes = signatures.hashes(places, band * width, width)
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        same = ordered[1:] == ordered[:-1]
        shared = np.r_[False, same] | np.r_[same, False]
        _unite_buckets(leaders, signatures, places[order[shared]], ordered[shared], threshold)
        _settle(leaders)
        progress((band + 1) / bands)


def _unite_buckets(
    leaders: "NDArray[np.int64]",
    signatures: Signatures,
    members: "NDArray[np.int64]",
    buckets: "NDArray[np.uint64]",
    threshold: float,
) -> None:
    """Compares the members of each bucket with its first one; those that are unlike it again with
    the first of them, and so on. Members of a bucket stand together, in the order of the rows.
    """
    import numpy as np

    for _round in range(COMPARED):
        if len(members) < 2:
            return
        begins = np.r_[True, buckets[1:] != buckets[:-1]]
        firsts = members[begins][np.cumsum(begins) - 1]
        alike = leaders[members] == leaders[firsts]
        asked = np.flatnonzero(~alike)
        for start in range(0, len(asked), AT_ONCE):
            some = asked[start : start + AT_ONCE]
            equal = signatures.shares(members[some], firsts[some]) >= threshold
            for place in some[equal].tolist():
                _join(leaders, int(members[place]), int(firsts[place]))
            alike[some] = equal
        members, buckets = members[~(alike | begins)], buckets[~(alike | begins)]


def _join(leaders: "NDArray[np.int64]", one: int, other: int) -> None:
    """Makes one cluster of two; the earlier leader leads."""
    one, other = _leader(leaders, one), _leader(leaders, other)
    leaders[max(one, other)] = min(one, other)


def _leader(leaders: "NDArray[np.int64]", place: int) -> int:
    while (up := int(leaders[place])) != place:
        place = up
    return place


def _settle(leaders: "NDArray[np.int64]") -> None:
    """Each row names the leader of its cluster itself."""
    while not (leaders[leaders] == leaders).all():
        leaders[:] = leaders[leaders]
