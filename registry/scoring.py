"""How an answer is scored against its reference, and a file of answers as a whole.

Nothing here knows of rows in a database. BLEU and chrF come from sacrebleu, ROUGE-N from
rouge-score; their counts per row are kept as numbers, so that a whole file is scored by summing
them and an interval by summing them anew, without the texts in memory. The libraries take 60 MB,
so that only the process that scores imports this module.
"""

import json
import math
import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rouge_score import rouge_scorer, scoring
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from common.phrases import gettext as _

Numbers = npt.NDArray[np.float64]
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_TOKEN = re.compile(rf"[{HAN}]|[^\W_{HAN}]+")
_HAN = re.compile(rf"[{HAN}]")
_WORD = re.compile(rf"[^\W\d_{HAN}]+")


def tokens(text: str) -> list[str]:
    """Words in lower case; each Han character is a word, punctuation is none."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def script_counts(text: str) -> tuple[int, int]:
    """Number of Han characters and of words in other letters."""
    return len(_HAN.findall(text)), len(_WORD.findall(text))


def normalised(text: str) -> str:
    """The text with every run of white space as one blank and none at the ends."""
    return " ".join(text.split())


def pairs(words: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Neighbouring words."""
    return pairwise(words)


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel after Crochemore et al., "A fast and practical bit-vector algorithm for the longest
    common subsequence problem" (2001): rouge-score's table takes seconds for long answers.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | (1 << place)
    full = (1 << len(first)) - 1
    open_places = full
    for word in second:
        matched = open_places & places.get(word, 0)
        open_places = ((open_places + matched) | (open_places - matched)) & full
    return len(first) - open_places.bit_count()


class _Tokenizer:
    """What rouge-score asks for; its own one knows only Latin letters and gives Chinese 0."""

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return tokens(text)


@dataclass(frozen=True)
class RowScore:
    """The scores of one answer, and the counts that add up to the whole set's BLEU and chrF."""

    values: dict[str, float]
    bleu_counts: array  # type: ignore[type-arg]
    chrf_counts: array  # type: ignore[type-arg]


class Scorer:
    """Scores answers one by one. `tokenize` is sacrebleu's name of a tokenizer: zh or 13a."""

    def __init__(self, tokenize: str) -> None:
        self.bleu = BLEU(tokenize=tokenize, effective_order=False, force=True)
        self._row_bleu = BLEU(tokenize=tokenize, effective_order=True, force=True)
        self.chrf = CHRF()
        self._rouge = rouge_scorer.RougeScorer(["rouge1", "rouge2"], tokenizer=_Tokenizer())

    def row(self, reference: str, prediction: str) -> RowScore:
        """Every score of one answer that needs no model."""
        rouge = self._rouge.score(reference, prediction)
        wanted, given = tokens(reference), tokens(prediction)
        bleu = self.bleu._extract_corpus_statistics([prediction], [[reference]])[0]
        chrf = self.chrf._extract_corpus_statistics([prediction], [[reference]])[0]
        values = {
            "rougeL": 100 * rouge_l(wanted, given),
            "rouge1": 100 * rouge["rouge1"].fmeasure,
            "rouge2": 100 * rouge["rouge2"].fmeasure,
            "bleu": self._row_bleu._compute_score_from_stats(bleu).score,
            "chrf": self.chrf._compute_score_from_stats(chrf).score,
            "exact_match": 100.0 * (normalised(reference) == normalised(prediction)),
            "distinct1": share(len(set(given)), len(given)),
            "distinct2": share(len(set(pairs(given))), max(len(given) - 1, 0)),
        }
        return RowScore(values, array("d", bleu), array("d", chrf))

    def bleu_of(self, counts: Sequence[float] | Numbers) -> float:
        """BLEU of summed counts (Papineni et al. 2002; sacrebleu's smoothing `exp`)."""
        whole = [int(count) for count in counts]
        return float(self.bleu._compute_score_from_stats(whole).score)

    def chrf_of(self, counts: Sequence[float] | Numbers) -> float:
        """chrF of summed counts (Popović 2015; sacrebleu's chrF2)."""
        return float(self.chrf._compute_score_from_stats([int(count) for count in counts]).score)


def rouge_l(wanted: Sequence[str], given: Sequence[str]) -> float:
    """ROUGE-L (Lin 2004), F-measure with equal weights, 0 to 1."""
    if not wanted or not given:
        return 0.0
    common = common_subsequence(wanted, given)
    return float(scoring.fmeasure(common / len(given), common / len(wanted)))


def share(part: int, whole: int) -> float:
    """Part of whole, 0 where there is nothing."""
    return part / whole if whole else 0.0


class Distinct:
    """distinct-n (Li et al. 2016) over many answers: different n-grams by all n-grams.

    Only 8 bytes of each n-gram are kept; two different ones share them once in about 10^19.
    """

    def __init__(self) -> None:
        self._words = array("q")
        self._pairs = array("q")

    def add(self, prediction: str) -> None:
        """Takes one answer in."""
        words = tokens(prediction)
        self._words.extend(map(hash, words))
        self._pairs.extend(map(hash, pairs(words)))

    def values(self) -> dict[str, float]:
        """Both shares, 0 to 1."""
        found = {}
        for key, hashes in (("distinct1", self._words), ("distinct2", self._pairs)):
            different = len(np.unique(np.frombuffer(hashes, dtype=np.int64))) if hashes else 0
            found[key] = share(different, len(hashes))
        return found


class BadPredictions(ValueError):
    """A file of answers cannot be read; the message names the line."""


@dataclass(frozen=True)
class Prediction:
    """One line of a file of answers, and where it lies."""

    index: int
    offset: int
    reference: str
    prediction: str
    loss: float | None
    tokens: int


def read_predictions(path: Path) -> Iterator[Prediction]:
    """The answers of a file, one at a time."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _prediction(line, number, offset)
            offset += len(line)


def _prediction(line: bytes, number: int, offset: int) -> Prediction:
    try:
        row = json.loads(line)
        loss = row.get("loss")
        return Prediction(
            index=int(row.get("index", number - 1)),
            offset=offset,
            reference=str(row["reference"]),
            prediction=str(row["prediction"]),
            loss=float(loss) if loss is not None and math.isfinite(loss) else None,
            tokens=int(row.get("tokens") or 0),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadPredictions(
            _("line %(number)s: %(error)s") % {"number": number, "error": repr(error)}
        ) from error


def tokenizer_for(path: Path) -> str:
    """`zh` where the references have more Han characters than other words, else `13a`."""
    han = words = 0
    for row in read_predictions(path):
        more_han, more_words = script_counts(row.reference)
        han, words = han + more_han, words + more_words
    return "zh" if han > words else "13a"


SUMMED = ("rougeL", "rouge1", "rouge2", "exact_match")
# A row of the table of counts: loss times tokens, tokens, the means' summands, BLEU's, chrF's.
_LOSS, _TOKENS, _MEANS = 0, 1, 2
_BLEU = _MEANS + len(SUMMED)
_CHRF = _BLEU + 10
_WIDTH = _CHRF + 18


class Totals:
    """The table of counts of all rows, from which every score of the set follows by summing."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.rows = 0
        self._table = array("d")
        self._distinct = Distinct()

    def add(self, row: Prediction, score: RowScore) -> None:
        """Takes one row in: 272 bytes, whatever the length of the answer."""
        counted = row.tokens if row.loss is not None else 0
        self._table.extend((counted * (row.loss or 0.0), counted))
        self._table.extend(score.values[key] for key in SUMMED)
        self._table.extend(score.bleu_counts)
        self._table.extend(score.chrf_counts)
        self._distinct.add(row.prediction)
        self.rows += 1

    def scores(self) -> dict[str, float]:
        """Every score of the whole set."""
        found = self._of(self._array().sum(axis=0), self.rows) | self._distinct.values()
        return {key: round(value, 6) for key, value in found.items()}

    def intervals(self, *, resamples: int = 1000, seed: int = 0) -> dict[str, list[float]]:
        """95 % percentile bootstrap intervals over rows (Efron 1979); none below 5 rows.

        distinct-n has none: a resample repeats rows, which makes every answer look repetitive.
        """
        if self.rows < 5:
            return {}
        table, random = self._array(), np.random.default_rng(seed)
        chances = np.full(self.rows, 1 / self.rows)
        found: dict[str, list[float]] = {}
        for _resample in range(resamples):
            often = random.multinomial(self.rows, chances)
            for key, value in self._of(often @ table, self.rows).items():
                found.setdefault(key, []).append(value)
        return {
            key: [round(float(end), 6) for end in np.percentile(values, (2.5, 97.5))]
            for key, values in found.items()
        }

    def _array(self) -> Numbers:
        return np.frombuffer(self._table, dtype=np.float64).reshape(self.rows, _WIDTH)

    def _of(self, sums: Numbers, rows: float) -> dict[str, float]:
        found: dict[str, float] = {}
        if sums[_TOKENS]:
            found["loss"] = float(sums[_LOSS] / sums[_TOKENS])
            found["perplexity"] = math.exp(min(found["loss"], 100.0))
        found |= {key: float(sums[_MEANS + place] / rows) for place, key in enumerate(SUMMED)}
        found["bleu"] = self.scorer.bleu_of(sums[_BLEU:_CHRF])
        found["chrf"] = self.scorer.chrf_of(sums[_CHRF:_WIDTH])
        return found


@dataclass(frozen=True)
class Scored:
    """The scores of a file of answers."""

    rows: int
    scores: dict[str, float]
    intervals: dict[str, list[float]]
    tokenize: str


def score_file(predictions: Path, out: Path, *, tokenize: str | None = None) -> Scored:
    """Scores every answer of a file and writes one line per row to `out`.

    The line holds the row's index, its offset in the file of answers and its scores. Nothing but
    numbers is kept in memory. Raises `BadPredictions` for a line that is not an answer.
    """
    tokenize = tokenize or tokenizer_for(predictions)
    scorer = Scorer(tokenize)
    totals = Totals(scorer)
    with out.open("w", encoding="utf-8") as file:
        for row in read_predictions(predictions):
            score = scorer.row(row.reference, row.prediction)
            totals.add(row, score)
            own = {} if row.loss is None else {"loss": row.loss}
            own |= {} if row.loss is None else {"perplexity": math.exp(min(row.loss, 100.0))}
            values = {key: round(value, 6) for key, value in (own | score.values).items()}
            file.write(json.dumps({"index": row.index, "offset": row.offset, **values}) + "\n")
    if not totals.rows:
        raise BadPredictions(_("there is no answer in the file"))
    return Scored(totals.rows, totals.scores(), totals.intervals(), tokenize)


def compare(
    candidate: Mapping[int, float],
    baseline: Mapping[int, float],
    *,
    lower_is_better: bool = False,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, float | int | bool | list[float]]:
    """How one metric differs row by row between two models on the same rows.

    `difference` is the mean of candidate minus baseline, `interval` its 95 % paired bootstrap
    interval, `clear` whether that leaves out 0; `better`, `worse` and `equal` count rows.
    """
    shared = sorted(candidate.keys() & baseline.keys())
    if not shared:
        return {}
    gaps = np.array([candidate[index] - baseline[index] for index in shared])
    random = np.random.default_rng(seed)
    means = [
        float(gaps[random.integers(0, len(gaps), len(gaps))].mean()) for _again in range(resamples)
    ]
    low, high = (float(end) for end in np.percentile(means, (2.5, 97.5)))
    above, below = int((gaps > 1e-9).sum()), int((gaps < -1e-9).sum())
    better, worse = (below, above) if lower_is_better else (above, below)
    return {
        "rows": len(shared),
        "difference": float(gaps.mean()),
        "interval": [low, high],
        "clear": low > 0 or high < 0,
        "better": better,
        "worse": worse,
        "equal": len(shared) - better - worse,
    }
