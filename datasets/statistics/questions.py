"""Questions of evaluation sets, to be found anywhere in the rows of a version.

A question is found by seeds: those of its stretches of letters that the fewest others have. A row
that holds enough of them is compared with it letter by letter. Memory is a few hundred bytes for
each question, and some for the letters of the rows that are looked at together.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LETTERS_MAX = 100_000  # of a question that are compared
THRESHOLD = 0.8  # share of stretches that a question and a place in a row have in common
SEEDS = 32  # of a question
NEEDED = 4  # one of so many of its seeds must stand in a row
SHARED = 16  # questions that a seed may belong to; commoner ones say little
TRIED = 4  # questions of a set that a row is compared with
DENSE, SPACED = 6, 12  # letters of a seed; the first where the script has no spaces
LEAST = {DENSE: 12, SPACED: 24}  # letters; shorter questions are found only where they stand alone
ENDS = 4  # letters that the beginning and the end of a question are known by
PIECE = 1 << 19  # letters whose stretches are in memory at once
_BASE = 0x9E3779B97F4A7C15
_SIEVE_BITS, _COUNT_BITS = 22, 24
_DENSE_SIGN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NO_LETTERS = re.compile(r"[\W_]+")
GAP = "\0" * SPACED  # between texts that have nothing to do with each other


def letters_of(text: str) -> str:
    """The letters and digits of a text. Neither case nor white space and signs count."""
    return _NO_LETTERS.sub("", unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True, slots=True)
class Match:
    """A row of an evaluation set that asks what a row says; `exact` in the same words."""

    set: int
    row: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A row: all of its letters, and texts of it that may be a short question as a whole."""

    letters: str
    alone: tuple[str, ...]


class Questions:
    """Takes questions, and then finds them in rows."""

    def __init__(self) -> None:
        self.letters = 0  # of all questions
        self._texts: list[str] = []
        self._origins: list[tuple[int, int]] = []  # set and row of each
        self._short: dict[str, dict[int, int]] = defaultdict(dict)

    def add(self, letters: str, set_number: int, row: int) -> None:
        """The next question, by its letters."""
        letters = letters[:LETTERS_MAX]
        if not letters:
            return
        self.letters += len(letters)
        if len(letters) < LEAST[_size_of(letters)]:
            self._short[letters].setdefault(set_number, row)
        else:
            self._texts.append(letters)
            self._origins.append((set_number, row))

    def finder(self) -> "Finder":
        """When all were added."""
        return Finder(self._texts, self._origins, dict(self._short))


class Finder:
    """Finds questions in rows, some rows at a time."""

    def __init__(
        self,
        texts: list[str],
        origins: list[tuple[int, int]],
        short: dict[str, dict[int, int]],
    ) -> None:
        import numpy as np

        self._texts, self._origins, self._short = texts, origins, short
        self._needed = np.ones(len(texts), dtype=np.int64)
        self._seeds = {size: self._seeds_of(size) for size in LEAST}

    def _seeds_of(self, size: int) -> "_Seeds | None":
        items = [place for place, text in enumerate(self._texts) if _size_of(text) == size]
        if not items:
            return None
        seeds = _Seeds(self._texts, items, size)
        seeds.need(self._needed)
        return seeds

    def find(self, rows: list[Said]) -> Iterator[tuple[int, Match]]:
        """What some rows ask, with their places in the list; of each set one question at most."""
        matches: dict[tuple[int, int], Match] = {}
        for place, said in enumerate(rows):
            for text in said.alone if self._short else ():
                for set_number, row in self._short.get(text, {}).items():
                    matches[place, set_number] = Match(set_number, row, True)
        for place, item, hits in self._candidates(rows):
            set_number, row = self._origins[item]
            known = matches.get((place, set_number))
            if known is not None and known.exact:
                continue
            text, letters = self._texts[item], rows[place].letters
            if text in letters:
                matches[place, set_number] = Match(set_number, row, True)
            elif known is None and _stands_near(text, letters, hits):
                matches[place, set_number] = Match(set_number, row, False)
        for (place, _set), match in sorted(matches.items()):
            yield place, match

    def _candidates(self, rows: list[Said]) -> Iterator[tuple[int, int, "NDArray[np.int64]"]]:
        """Rows and questions that share seeds, with where these stand in both; of the questions of
        a set those first that share the most.
        """
        import numpy as np

        starts = np.cumsum([0, *(len(said.letters) + SPACED for said in rows)])
        joined = GAP.join([*(said.letters for said in rows), ""])
        found = [seeds.hits(joined) for seeds in self._seeds.values() if seeds is not None]
        if not found:
            return
        places, items, offsets = (np.concatenate(parts) for parts in zip(*found, strict=True))
        numbers = np.searchsorted(starts, places, side="right") - 1
        pairs = numbers * len(self._texts) + items
        order = np.lexsort((offsets, pairs))
        pairs, offsets = pairs[order], offsets[order]
        hits = np.stack([places[order] - starts[numbers[order]], offsets])
        # A seed that stands in a row often is one seed.
        new = np.ones(len(pairs), dtype=np.bool_)
        new[1:] = (pairs[1:] != pairs[:-1]) | (offsets[1:] != offsets[:-1])
        kinds, counts = np.unique(pairs[new], return_counts=True)
        enough = counts >= self._needed[kinds % max(len(self._texts), 1)]
        tried: dict[tuple[int, int], int] = defaultdict(int)
        for pair in kinds[enough][np.argsort(-counts[enough], kind="stable")].tolist():
            number, item = divmod(pair, len(self._texts))
            key = number, self._origins[item][0]
            tried[key] += 1
            if tried[key] <= TRIED:
                begin, end = np.searchsorted(pairs, [pair, pair + 1])
                yield number, item, hits[:, begin:end]


class _Seeds:
    """The seeds of all questions of one kind of script, sorted."""

    def __init__(self, texts: list[str], items: list[int], size: int) -> None:
        import numpy as np

        self._size = size
        common = np.zeros(1 << _COUNT_BITS, dtype=np.uint8)
        for hashes, _offsets, _owners in _stretches_by_piece(texts, items, size):
            kinds, counts = np.unique(_top(hashes, _COUNT_BITS), return_counts=True)
            common[kinds] = np.minimum(common[kinds] + counts, 255)
        parts = [
            _rarest(hashes, offsets, owners, common)
            for hashes, offsets, owners in _stretches_by_piece(texts, items, size)
        ]
        hashes, offsets, owners = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(hashes, kind="stable")
        hashes, offsets, owners = hashes[order], offsets[order], owners[order]
        _kinds, places, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        kept = counts[places] <= SHARED
        self._hashes, self._offsets, self._owners = hashes[kept], offsets[kept], owners[kept]
        self._sieve = np.zeros(1 << _SIEVE_BITS, dtype=np.bool_)
        self._sieve[_top(self._hashes, _SIEVE_BITS)] = True

    def need(self, needed: "NDArray[np.int64]") -> None:
        """Writes for each question how many of its seeds a row must have."""
        import numpy as np

        owners, counts = np.unique(self._owners, return_counts=True)
        needed[owners] = np.maximum(counts // NEEDED, 1)

    def hits(self, text: str) -> "tuple[NDArray[np.int64], ...]":
        """Where seeds stand in the text, whose they are, and where they stand in their question."""
        import numpy as np

        found = [np.zeros((3, 0), dtype=np.int64)]
        for base in range(0, len(text), PIECE):
            hashes = _hashes(text[base : base + PIECE + self._size - 1], self._size)
            places = np.flatnonzero(self._sieve[_top(hashes, _SIEVE_BITS)])
            first = np.searchsorted(self._hashes, hashes[places], side="left")
            counts = np.searchsorted(self._hashes, hashes[places], side="right") - first
            which = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            where = np.repeat(places + base, counts)
            found.append(np.stack([where, self._owners[which], self._offsets[which]]))
        return tuple(np.concatenate(found, axis=1))


def _size_of(letters: str) -> int:
    """How many letters its seeds have."""
    return DENSE if len(_DENSE_SIGN.findall(letters)) * 3 > len(letters) else SPACED


def _hashes(text: str, size: int) -> "NDArray[np.uint64]":
    """One number for each stretch of so many letters."""
    import numpy as np

    signs = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    count = max(len(signs) - size + 1, 0)
    found = np.zeros(count, dtype=np.uint64)
    for step in range(size):
        found *= np.uint64(_BASE)
        found += signs[step : step + count]
    return found


def _top(hashes: "NDArray[np.uint64]", bits: int) -> "NDArray[np.int64]":
    import numpy as np

    return (hashes >> np.uint64(64 - bits)).astype(np.int64)


def _stretches_by_piece(
    texts: list[str], items: list[int], size: int
) -> "Iterator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]]":
    """Numbers of stretches of some questions at a time, with where they begin and whose."""
    import numpy as np

    begin = 0
    while begin < len(items):
        end, signs = begin, 0
        while end < len(items) and signs < PIECE:
            signs += len(texts[items[end]])
            end += 1
        part = items[begin:end]
        counts = np.array([len(texts[item]) - size + 1 for item in part])
        hashes = np.concatenate([_hashes(texts[item], size) for item in part])
        offsets = np.arange(len(hashes)) - np.repeat(np.cumsum(counts) - counts, counts)
        yield hashes, offsets, np.repeat(np.array(part), counts)
        begin = end


def _rarest(
    hashes: "NDArray[np.uint64]",
    offsets: "NDArray[np.int64]",
    owners: "NDArray[np.int64]",
    common: "NDArray[np.uint8]",
) -> "tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]":
    """Those stretches of each question that the fewest have, evenly drawn among equals."""
    import numpy as np

    order = np.lexsort((hashes, common[_top(hashes, _COUNT_BITS)], owners))
    begins = np.searchsorted(owners[order], owners[order], side="left")
    order = order[np.arange(len(order)) - begins < SEEDS]
    return hashes[order], offsets[order], owners[order]


def _stands_near(text: str, letters: str, hits: Any) -> bool:
    """Whether a place of the row is nearly the question. `hits` are places and offsets of seeds."""
    import numpy as np

    shifts, slack = hits[0] - hits[1], len(text) // 4 + 8
    close = np.abs(shifts - np.sort(shifts)[len(shifts) // 2]) <= slack
    places, offsets = hits[0][close], hits[1][close]
    first, last = places.argmin(), places.argmax()
    begin = max(int(places[first] - offsets[first]), 0)
    end = int(places[last] + len(text) - offsets[last])
    # Where letters were put in or left out at the ends, these say where the question ends.
    if (found := letters.find(text[:ENDS], max(begin - slack, 0), begin + slack)) >= 0:
        begin = found
    if (found := letters.rfind(text[-ENDS:], max(end - slack, begin), end + slack)) >= 0:
        end = found + ENDS
    mine, theirs = _stretches(letters[begin:end]), _stretches(text)
    both = len(mine & theirs)
    return both >= THRESHOLD * (len(mine) + len(theirs) - both)


def _stretches(text: str) -> set[str]:
    """All stretches of five letters, or of three where the script has no spaces."""
    size = 3 if _size_of(text) == DENSE else 5
    return {text[place : place + size] for place in range(max(len(text) - size + 1, 1))}
