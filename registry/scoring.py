"""How an answer is scored against its reference, and a file of answers as a whole.

Nothing here knows of rows in a database. BLEU and chrF come from sacrebleu, ROUGE-N from
rouge-score; their counts per row are kept as numbers, so that a whole file is scored by summing
them and an interval by summing them anew, without the texts in memory. The libraries take 60 MB,
so that only the process that scores imports this module.
"""

import re
import unicodedata
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rouge_score import rouge_scorer, scoring
from sacrebleu.metrics import BLEU, CHRF

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
    return zip(words, words[1:], strict=False)


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

    def bleu_of(self, counts: Sequence[float]) -> float:
        """BLEU of summed counts (Papineni et al. 2002; sacrebleu's smoothing `exp`)."""
        whole = [int(count) for count in counts]
        return float(self.bleu._compute_score_from_stats(whole).score)

    def chrf_of(self, counts: Sequence[float]) -> float:
        """chrF of summed counts (Popović 2015; sacrebleu's chrF2)."""
        return float(self.chrf._compute_score_from_stats(list(counts)).score)


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
