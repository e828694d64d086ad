"""What each score means. Definitions with their sources: `registry.scoring`."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Metric:
    """One score: its name, which way is better, and what it says."""

    key: str
    label: str | Promise
    help: str | Promise
    lower_is_better: bool = False


METRICS: tuple[Metric, ...] = (
    Metric(
        "loss",
        _("Loss"),
        _(
            "Mean negative log likelihood of the reference's tokens, weighted by tokens:"
            " how unlikely the model finds the right answer."
        ),
        lower_is_better=True,
    ),
    Metric(
        "perplexity",
        _("Perplexity"),
        _("e to the power of the loss: among how many words the model hesitates."),
        lower_is_better=True,
    ),
    Metric(
        "rougeL",
        "ROUGE-L",
        _("F-measure of the longest common subsequence with the reference, 0 to 100."),
    ),
    Metric("rouge1", "ROUGE-1", _("F-measure of shared words (characters in Chinese), 0 to 100.")),
    Metric("rouge2", "ROUGE-2", _("F-measure of shared pairs of words, 0 to 100.")),
    Metric(
        "bleu",
        "BLEU",
        _(
            "Precision of runs of 1 to 4 words with a penalty for short answers, 0 to 100;"
            " over the whole set, not the mean of rows."
        ),
    ),
    Metric("chrf", "chrF", _("F-measure of shared runs of 1 to 6 characters, 0 to 100.")),
    Metric(
        "exact_match",
        _("Exact match"),
        _("Share of answers equal to the reference, spaces at the ends and in a row aside."),
    ),
    Metric(
        "distinct1",
        "distinct-1",
        _("Different words among all words of the answers, 0 to 1: low means repetition."),
    ),
    Metric("distinct2", "distinct-2", _("Different pairs of words among all pairs, 0 to 1.")),
)
BY_KEY = {metric.key: metric for metric in METRICS}
