"""Two versions row by row: what is the same, changed, added and removed; some 60 bytes a row.

Rows are the same when their lines are, or their values are whatever the order of the keys. Of the
others those belong together that ask the same first, or else give the same long answer; what is
left between two rows that have partners is put together where the texts are alike.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datasets.reading.indexed import IndexedReader
from datasets.recipes.rows import (
    ORIGIN,
    comparable,
    decoded,
    names_origin,
    plain,
    question_in,
    texts_of,
)
from datasets.shapes.mapping import Mapping

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHANGED, ADDED, REMOVED = KINDS = ("changed", "added", "removed")
ALIKE = 0.3  # share of stretches that two texts have in common at least
AHEAD = 16  # rows that are looked at to find where two runs meet again
MISSES_MAX = 2000  # rows in a run without a partner, after which none is looked for
ANSWER_MIN = 20  # characters of an answer that tells a row from others
_SHINGLE, _LOOKED = 3, 600  # characters
_KINDS, _NONE = 128, 2**32 - 1
AT_ONCE = 64  # texts that are sketched together

Progress = Callable[[float], None]  # called with the share that is done


@dataclass(frozen=True)
class Side:
    """Rows of a version, and how they are read."""

    rows: Path
    mapping: Mapping

    def value(self, stored: Any) -> Any:
        """A row as it is compared: cells of CSV as what they mean."""
        return decoded(stored, self.mapping)


def compare(before: Side, after: Side, folder: Path, progress: Progress) -> dict[str, int]:
    """How many rows there are of each kind; writes a file of row numbers for each of `KINDS`."""
    import numpy as np

    sides = (before, after)
    readers = [IndexedReader(side.rows) for side in sides]
    partners = [np.full(reader.count, -1, dtype=np.int64) for reader in readers]
    lines = [_line_keys(side.rows) for side in sides]
    progress(0.3)
    _match(partners, [np.arange(len(keys)) for keys in lines], lines)
    lines.clear()
    rest = [np.flatnonzero(partner < 0) for partner in partners]
    keys = [
        _value_keys(side, reader, numbers)
        for side, reader, numbers in zip(sides, readers, rest, strict=True)
    ]
    progress(0.6)
    _match(partners, rest, [values for values, _asked, _said in keys])
    open_rows = partners[0] < 0
    _match(partners, rest, [asked for _values, asked, _said in keys])
    _match(partners, rest, [_lone(said) for _values, _asked, said in keys])
    keys.clear()
    progress(0.7)
    loose = max(int((partners[0] < 0).sum()), 1)
    for number, (one, other) in enumerate(_neighbours(sides, readers, partners)):
        partners[0][one], partners[1][other] = other, one
        progress(0.7 + 0.3 * number / loose)
    return _write(folder, partners, open_rows)


def _line_keys(path: Path) -> "NDArray[np.uint64]":
    keys = array("q")
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            keys.append(_key(line))
    return _as_numpy(keys)


def _key(data: str | bytes) -> int:
    """64 bits that only this process gives the same; never 0, which stands for none."""
    return hash(data) or 1


def _as_numpy(keys: "array[int]") -> "NDArray[np.uint64]":
    import numpy as np

    return np.frombuffer(keys, dtype=np.uint64) if keys else np.zeros(0, dtype=np.uint64)


def _value_keys(
    side: Side, reader: IndexedReader, numbers: "NDArray[np.int64]"
) -> tuple["NDArray[np.uint64]", "NDArray[np.uint64]", "NDArray[np.uint64]"]:
    """Of each row the keys of its value, of what it asks first, and of what it answers."""
    values, asked, said = array("q"), array("q"), array("q")
    mapping = plain(side.mapping)
    for _number, stored in reader.some(numbers.tolist()):
        value = side.value(stored)
        values.append(_key(orjson.dumps(_unnamed(value), option=orjson.OPT_SORT_KEYS)))
        texts = texts_of(value, mapping)
        question = question_in(texts)
        asked.append(_key(question) if question else 0)
        answer = comparable(" ".join(text for role, text in texts if role not in _ASKING))
        said.append(_key(answer) if len(answer) >= ANSWER_MIN else 0)
    return _as_numpy(values), _as_numpy(asked), _as_numpy(said)


_ASKING = frozenset({"user", "text", "system"})


def _unnamed(value: Any) -> Any:
    """The row without the name of its origin, which recipes add."""
    if isinstance(value, dict) and names_origin(value.get(ORIGIN)):
        return {name: cell for name, cell in value.items() if name != ORIGIN}
    return value


def _lone(keys: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """Keys that no other row has; 0 for the others."""
    import numpy as np

    _unique, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.where(counts[inverse] == 1, keys, 0).astype(np.uint64) if len(keys) else keys


def _match(
    partners: "list[NDArray[np.int64]]",
    numbers: "list[NDArray[np.int64]]",
    keys: "list[NDArray[np.uint64]]",
) -> None:
    """Makes partners of rows without one that have the same key.

    Of several with the same key the first goes with the first, the second with the second.
    """
    import numpy as np

    free = [
        (partner[number] < 0) & (key > 0)
        for partner, number, key in zip(partners, numbers, keys, strict=True)
    ]
    left = [key[mask] for key, mask in zip(keys, free, strict=True)]
    places = [number[mask] for number, mask in zip(numbers, free, strict=True)]
    _common, one, other = np.intersect1d(
        _ranked(left[0]), _ranked(left[1]), assume_unique=True, return_indices=True
    )
    partners[0][places[0][one]] = places[1][other]
    partners[1][places[1][other]] = places[0][one]


def _ranked(keys: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """The keys, made different from each other by how often each came before."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    places = np.arange(len(keys), dtype=np.uint64)
    begins = np.r_[True, ordered[1:] != ordered[:-1]] if len(keys) else np.zeros(0, dtype=bool)
    ranks = places - np.maximum.accumulate(np.where(begins, places, 0).astype(np.uint64))
    found = np.empty_like(keys)
    found[order] = ordered ^ (ranks * np.uint64(0x9E3779B97F4A7C15))
    return found


def _neighbours(
    sides: tuple[Side, Side],
    readers: list[IndexedReader],
    partners: "list[NDArray[np.int64]]",
) -> Iterator[tuple[int, int]]:
    """Pairs of rows that stand between the same partners, and are alike or alone there."""
    import numpy as np

    free = np.flatnonzero(partners[0] < 0)
    taken = np.append(np.flatnonzero(partners[1] >= 0), len(partners[1]))
    for run in np.split(free, np.flatnonzero(np.diff(free) > 1) + 1) if len(free) else ():
        begin = int(partners[0][run[0] - 1]) + 1 if run[0] else 0
        end = int(taken[np.searchsorted(taken, begin)])
        if end - begin == len(run) == 1:
            yield int(run[0]), begin
        elif end > begin:
            yield from _aligned(
                _sketches(sides[0], readers[0], range(int(run[0]), int(run[-1]) + 1)),
                _sketches(sides[1], readers[1], range(begin, end)),
            )


_Sketch = tuple[int, "NDArray[np.uint32]"]


def _sketches(side: Side, reader: IndexedReader, numbers: range) -> Iterator[_Sketch]:
    """Each row's number and a sketch of its texts."""
    mapping = plain(side.mapping)
    rows = reader.some(numbers)
    while some := list(islice(rows, AT_ONCE)):
        texts = []
        for _number, stored in some:
            value = side.value(stored)
            said = " ".join(text for _role, text in texts_of(value, mapping))[:_LOOKED]
            texts.append(said or orjson.dumps(value).decode()[:_LOOKED])
        yield from zip((number for number, _stored in some), _sketched(texts), strict=True)


def _sketched(texts: list[str]) -> "NDArray[np.uint32]":
    """Of each text its least stretches of three characters, one of each of so many kinds.

    Two texts share as many of them, in proportion, as they share stretches (MinHash with one
    permutation); kinds that a text has no stretch of are `_NONE`.
    """
    import numpy as np

    gap = "\0" * (_SHINGLE - 1)
    signs = np.frombuffer(gap.join([*texts, ""]).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    hashes = np.zeros(len(signs) - len(gap), dtype=np.uint32)
    for place in range(_SHINGLE):
        hashes = (hashes ^ signs[place : place + len(hashes)]) * np.uint32(0x9E3779B1)
        hashes ^= hashes >> np.uint32(15)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + len(gap)
    places = np.repeat(np.arange(len(texts)) * _KINDS, lengths)[: len(hashes)] + hashes % _KINDS
    inside = signs[: len(hashes)] != 0  # what begins in a gap reaches into the next text
    found = np.full(len(texts) * _KINDS, _NONE, dtype=np.uint32)
    np.minimum.at(found, places[inside], hashes[inside])
    return found.reshape(-1, _KINDS)


def _aligned(one: Iterator[_Sketch], other: Iterator[_Sketch]) -> Iterator[tuple[int, int]]:
    """Pairs in the order of both runs; rows in between have no partner."""
    left: deque[_Sketch] = deque()
    right: deque[_Sketch] = deque()
    misses = 0
    while misses < MISSES_MAX:
        for queue, run in ((left, one), (right, other)):
            while len(queue) < AHEAD and (following := next(run, None)):
                queue.append(following)
        if not (left and right):
            return
        skip = _meeting(left, right)
        for queue, number in zip((left, right), skip or (1, 1), strict=True):
            for _time in range(number):
                queue.popleft()
        if skip:
            misses = 0
            yield left.popleft()[0], right.popleft()[0]
        else:
            misses += 1


def _meeting(left: "deque[_Sketch]", right: "deque[_Sketch]") -> tuple[int, int] | None:
    """How many rows of each side come before the next two that are alike; None: not in sight."""
    for ahead in range(AHEAD):
        if ahead < len(right) and _alike(left[0][1], right[ahead][1]):
            return 0, ahead
        if ahead < len(left) and _alike(left[ahead][1], right[0][1]):
            return ahead, 0
    return None


def _alike(one: "NDArray[np.uint32]", other: "NDArray[np.uint32]") -> bool:
    import numpy as np

    neither = int(np.count_nonzero((one & other) == _NONE))
    shared = int(np.count_nonzero(one == other)) - neither
    return shared >= ALIKE * max(_KINDS - neither, 1)


def _write(
    folder: Path, partners: "list[NDArray[np.int64]]", open_rows: "NDArray[np.bool_]"
) -> dict[str, int]:
    """Row numbers by kind, changed ones in pairs, in the order of the second version."""
    import numpy as np

    changed = np.flatnonzero(open_rows & (partners[0] >= 0))
    changed = changed[np.argsort(partners[0][changed])]
    found = {
        CHANGED: np.stack([changed, partners[0][changed]], axis=1),
        ADDED: np.flatnonzero(partners[1] < 0),
        REMOVED: np.flatnonzero(partners[0] < 0),
    }
    for kind, numbers in found.items():
        (folder / f"{kind}.bin").write_bytes(numbers.astype("<u4").data)
    return {"same": int((~open_rows).sum()), **{kind: len(one) for kind, one in found.items()}}


def pairs(folder: Path, kind: str, start: int, count: int) -> list[tuple[int | None, int | None]]:
    """Row numbers before and after, from 0, of the rows of a kind from this place on."""
    width = 2 if kind == CHANGED else 1
    numbers = array("I")
    with (folder / f"{kind}.bin").open("rb") as file:
        file.seek(start * width * numbers.itemsize)
        numbers.frombytes(file.read(count * width * numbers.itemsize))
    if kind == CHANGED:
        return list(zip(numbers[0::2], numbers[1::2], strict=True))
    return [(None, number) if kind == ADDED else (number, None) for number in numbers]
