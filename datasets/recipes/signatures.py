"""MinHash signatures of texts, a batch at a time."""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PERMUTATIONS = 128
BATCH_ROWS = 2000
ROW_BYTES = 4 * PERMUTATIONS  # of a signature
READ_ROWS = 1 << 13  # signatures read at a time; they take 4 MB
BATCH_SIGNS = 500_000  # characters; each takes some 60 bytes while the batch is worked at
_SPACED, _DENSE = 5, 3  # characters of a stretch; the second where the script has no spaces
_DENSE_SIGNS = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF))
_BASE = 0x100000001B3


class SignatureWriter:
    """Writes 128 numbers for each text into a file; two texts share as many of them, in
    proportion, as they share stretches of five characters (three in Chinese, Japanese, Korean).

    Texts with different marks share none.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=1 << 20)
        self._texts: list[str] = []
        self._marks: list[str] = []
        self._signs = 0

    def add(self, text: str, mark: str = "") -> None:
        """The next text."""
        self._texts.append(text)
        self._marks.append(mark)
        self._signs += len(text)
        if len(self._texts) >= BATCH_ROWS or self._signs >= BATCH_SIGNS:
            self._flush()

    def close(self) -> None:
        """Nothing more is to come."""
        if self._texts:
            self._flush()
        self._file.close()

    def _flush(self) -> None:
        self._file.write(signatures(self._texts, self._marks).tobytes())
        self._texts, self._marks, self._signs = [], [], 0


class Signatures:
    """A file of signatures to ask. However big it is, little of it is in memory at a time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def hashes(self, places: "NDArray[np.int64]", first: int, width: int) -> "NDArray[np.uint64]":
        """One number for the `width` numbers from `first` on of each of these rows, which rise."""
        import numpy as np

        found = np.zeros(len(places), dtype=np.uint64)
        begin = 0
        while begin < len(places):
            base = int(places[begin])
            end = int(np.searchsorted(places, base + READ_ROWS))
            data = os.pread(self._file.fileno(), READ_ROWS * ROW_BYTES, base * ROW_BYTES)
            rows = _table(data)[places[begin:end] - base, first : first + width]
            for column in range(width):
                found[begin:end] *= np.uint64(0x9E3779B97F4A7C15)
                found[begin:end] += rows[:, column]
            begin = end
        return found

    def shares(
        self, some: "NDArray[np.int64]", others: "NDArray[np.int64]"
    ) -> "NDArray[np.float64]":
        """How many of their numbers each two rows share, 0 to 1."""
        found: NDArray[np.float64] = (self._rows(some) == self._rows(others)).mean(axis=1)
        return found

    def _rows(self, places: "NDArray[np.int64]") -> "NDArray[np.uint32]":
        handle = self._file.fileno()
        rows = (os.pread(handle, ROW_BYTES, place * ROW_BYTES) for place in places.tolist())
        return _table(b"".join(rows))


def _table(data: bytes) -> "NDArray[np.uint32]":
    import numpy as np

    return np.frombuffer(data, dtype="<u4").reshape(-1, PERMUTATIONS)


def signatures(texts: list[str], marks: list[str]) -> "NDArray[np.uint32]":
    """A row of numbers for each text."""
    import numpy as np
    from rensa import RMinHash

    hashes, offsets = _hashes(texts, marks)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, 1)
    return np.array(matrix.to_rows(), dtype="<u4").reshape(-1, PERMUTATIONS)


def _hashes(
    texts: list[str], marks: list[str]
) -> tuple["NDArray[np.uint64]", "NDArray[np.uint64]"]:
    """Hashes of all stretches of all texts, and where those of each text begin and end.

    Texts are joined with zeros between them, so that one that is too short is a stretch by itself.
    """
    import numpy as np

    gap = "\0" * _SPACED
    joined = gap.join([*texts, ""]).encode("utf-32-le", "surrogatepass")
    signs = np.frombuffer(joined, dtype="<u4").astype(np.uint64)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    starts = np.zeros(len(texts), dtype=np.int64)
    np.cumsum(lengths[:-1] + _SPACED, out=starts[1:])
    dense = np.zeros(len(signs) + 1, dtype=np.int64)
    is_dense = np.zeros(len(signs), dtype=bool)
    for first, last in _DENSE_SIGNS:
        is_dense |= (signs >= first) & (signs <= last)
    np.cumsum(is_dense, out=dense[1:])
    sizes = np.where((dense[starts + lengths] - dense[starts]) * 3 > lengths, _DENSE, _SPACED)
    counts = np.maximum(lengths - sizes + 1, 1)
    offsets = np.zeros(len(texts) + 1, dtype=np.uint64)
    offsets[1:] = np.cumsum(counts)
    rows = np.repeat(np.arange(len(texts)), counts)
    places = starts[rows] + np.arange(len(rows)) - offsets[rows].astype(np.int64)
    hashes = _numbers(marks)[rows] + sizes[rows].astype(np.uint64)
    wide = sizes[rows] == _SPACED
    for step in range(_SPACED):
        here = signs[places + step]
        hashes = np.where(wide | (step < _DENSE), hashes * np.uint64(_BASE) + here, hashes)
    return _mixed(hashes), offsets


def _numbers(marks: Iterable[str]) -> "NDArray[np.uint64]":
    import numpy as np

    return np.array([zlib.crc32(mark.encode()) for mark in marks], dtype=np.uint64)


def _mixed(hashes: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """Numbers whose bits all depend on all bits (SplitMix64's last steps)."""
    import numpy as np

    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))
