"""Which rows stay together when a version is parted."""

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def together(
    keys: "NDArray[np.uint64]", origins: "NDArray[np.uint64]", most: int
) -> "NDArray[np.int64]":
    """Of each row the number of its group.

    Rows of one origin are always in one group, and so are rows with an equal key, unless these tie
    origins with other keys together to more than `most` rows: one sentence that stands in every
    document would make one group of all of them. Keys of few origins come first.
    """
    import numpy as np

    rows = len(keys)
    key, origin = (np.unique(one, return_inverse=True)[1] for one in (keys, origins))
    pairs = np.unique(origin * rows + key)
    ties = np.bincount(pairs // max(rows, 1), minlength=rows)[origin] > 1  # different keys
    _nodes, nodes, sizes = np.unique(
        np.where(ties, origin, rows + key), return_inverse=True, return_counts=True
    )
    links = np.unique(key * rows + nodes)
    linked = links % max(rows, 1)
    firsts = np.flatnonzero(np.diff(links // max(rows, 1), prepend=-1))
    counts = np.diff(firsts, append=len(links))
    groups = _Sets(sizes)
    for place in np.argsort(counts, kind="stable")[np.count_nonzero(counts == 1) :]:
        groups.join(linked[firsts[place] :][: counts[place]].tolist(), most)
    heads = np.fromiter(map(groups.head, range(len(sizes))), dtype=np.int64, count=len(sizes))
    return heads[nodes]


def parted(keys: "NDArray[np.uint64]", parts: "NDArray[np.int64]") -> int:
    """How many keys have rows in several parts."""
    import numpy as np

    key = np.unique(keys, return_inverse=True)[1]
    count = int(parts.max(initial=0)) + 1
    places = np.unique(key * count + parts) // count
    return int((np.bincount(places) > 1).sum())


class _Sets:
    """Sets that grow by being joined, each known by its head (union-find)."""

    def __init__(self, sizes: "NDArray[np.int64]") -> None:
        self._heads = array("q", range(len(sizes)))
        self._sizes = array("q", sizes.tolist())

    def head(self, one: int) -> int:
        """The head of the set that this one is in."""
        heads = self._heads
        while heads[one] != one:
            heads[one] = one = heads[heads[one]]
        return one

    def join(self, members: list[int], most: int) -> None:
        """Makes one set of those that these are in, unless it became larger than `most`."""
        first, *others = {self.head(one) for one in members}
        size = sum(self._sizes[one] for one in (first, *others))
        if size <= most:
            for one in others:
                self._heads[one] = first
            self._sizes[first] = size
