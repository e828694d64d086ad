"""Rows that are unlike the others, by length, signs, repetition and language.

Bounds of lengths are the fences of J. W. Tukey, Exploratory Data Analysis (1977), chapter 2: one
and a half times the distance between the quartiles beyond these. They are taken of the logarithms
(chapter 3), since lengths of texts have a long tail, and leave what is within half of the lower and
twice the upper quartile. Bounds of the ratios are the upper fence too, but not below the limits
that filters of D. Chen et al., Data-Juicer (SIGMOD 2024) have by default: where most rows repeat
nothing, any other would be unlike them. Bounds are such that the recipe step Clean drops the rows.
"""

import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasets.recipes import languages
from datasets.recipes.ratios import repetition
from datasets.statistics.facts import DROPPED, LOOKED, UNUSUAL, Facts
from datasets.statistics.languages import LANGUAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

FENCE = 1.5  # distances between the quartiles
FACTOR = 2  # lengths within so many times the quartiles are like the others
LEAST = {"symbols": 0.25, "repetition": 0.5}
COMMON = 0.05  # share of rows from which on a language is one of the version's
ROWS_MIN = 20  # fewer have nothing that is usual
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class _Outliers:
    """Rows of one kind among so many that were looked at, the most unusual first."""

    kind: str
    bound: Any  # the fewest or most characters, the largest ratio, or the usual languages
    looked: int
    numbers: "NDArray[Any]"
    values: list[Any]  # of the first of them

    def stored(self) -> dict[str, Any]:
        shown = zip(self.numbers.tolist(), self.values, strict=False)
        return {
            "kind": self.kind,
            "bound": self.bound,
            "looked": self.looked,
            "rows": len(self.numbers),
            "examples": [{"row": number + 1, "value": value} for number, value in shown],
        }


class Repetitions:
    """Shares of repetition of the rows that are looked at: eight bytes for each."""

    def __init__(self) -> None:
        self.numbers, self.shares = array("I"), array("f")

    def add(self, number: int, text: str) -> None:
        """Takes all texts of a row."""
        self.numbers.append(number)
        self.shares.append(repetition(text))


def outliers_find(facts: Facts, repetitions: Repetitions) -> list[dict[str, Any]]:
    """Of each kind (`short`, `long`, `symbols`, `repetition`, `language`) its bound, how many rows
    are beyond it, of how many `looked` at, and the most unusual. Flags these rows in the facts.

    Rows that are dropped do not count. Empty when there are fewer rows than `ROWS_MIN`.
    """
    import numpy as np  # here, so that pages need not carry it

    flags = np.frombuffer(facts.flags, dtype=np.uint8)
    usable = np.flatnonzero(flags & DROPPED == 0)
    if len(usable) < ROWS_MIN:
        return []
    found = _by_length(np.frombuffer(facts.characters, dtype=np.uint32), usable)
    shares = np.frombuffer(facts.symbols, dtype=np.float32)
    found += _by_ratio("symbols", usable, shares[usable])
    numbers = np.frombuffer(repetitions.numbers, dtype=np.uint32)
    counts = flags[numbers] & DROPPED == 0
    shares = np.frombuffer(repetitions.shares, dtype=np.float32)
    found += _by_ratio("repetition", numbers[counts], shares[counts])
    told = np.flatnonzero(flags & (LOOKED | DROPPED) == LOOKED)
    found += _by_language(np.frombuffer(facts.languages, dtype=np.uint8), told)
    for one in found:
        flags[one.numbers] |= np.uint8(UNUSUAL)
    return [one.stored() for one in found]


def _by_length(characters: "NDArray[Any]", usable: "NDArray[Any]") -> list[_Outliers]:
    import numpy as np

    lengths = characters[usable]
    low, high = np.log1p(np.percentile(lengths, (25, 75)))
    slack = max(FENCE * (high - low), math.log(FACTOR))
    least, most = math.ceil(math.expm1(low - slack)), math.floor(math.expm1(high + slack))
    short, long = usable[lengths < least], usable[lengths > most]
    short = short[np.argsort(characters[short], kind="stable")]
    long = long[np.argsort(characters[long], kind="stable")[::-1]]
    return [
        _Outliers(kind, bound, len(usable), rows, characters[rows[:EXAMPLES]].tolist())
        for kind, bound, rows in (("short", max(least, 0), short), ("long", most, long))
    ]


def _by_ratio(kind: str, numbers: "NDArray[Any]", values: "NDArray[Any]") -> list[_Outliers]:
    import numpy as np

    if len(numbers) < ROWS_MIN:
        return []
    low, high = np.percentile(values, (25, 75))
    bound = round(max(float(high + FENCE * (high - low)), LEAST[kind]), 2)
    beyond = np.flatnonzero(values > bound)
    beyond = beyond[np.argsort(values[beyond], kind="stable")[::-1]]
    shown = [round(float(value), 2) for value in values[beyond[:EXAMPLES]]]
    return [_Outliers(kind, bound, len(numbers), numbers[beyond], shown)]


def _by_language(codes: "NDArray[Any]", numbers: "NDArray[Any]") -> list[_Outliers]:
    """Rows in a language that few others are in; one that is not told is no other."""
    import numpy as np

    untold = [LANGUAGES.index(name) for name in languages.UNTOLD]
    told = numbers[~np.isin(codes[numbers], untold)]
    if len(told) < ROWS_MIN:
        return []
    counts = np.bincount(codes[told], minlength=len(LANGUAGES))
    common = [
        LANGUAGES[code]
        for code in np.argsort(-counts, kind="stable")
        if counts[code] >= COMMON * len(told) and LANGUAGES[code] in languages.LANGUAGES
    ]
    if not common:
        return []
    rare = told[~np.isin(codes[told], [LANGUAGES.index(name) for name in common])]
    shown = [LANGUAGES[code] for code in codes[rare[:EXAMPLES]]]
    return [_Outliers("language", common, len(numbers), rare, shown)]
