"""Scores in words and bars, for pages."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from common.phrases import gettext as _
from common.phrases import ngettext
from registry.metrics import BY_KEY, METRICS, Metric
from registry.models import Evaluation, Model, ModelVersion

HEADLINE = "rougeL"
SHOWN_IN_LISTS = ("rougeL", "exact_match", "perplexity")


@dataclass(frozen=True)
class Line:
    """One metric of an evaluation beside its baseline's."""

    metric: Metric
    value: float | None
    baseline: float | None
    interval: tuple[float, float] | None

    @property
    def difference(self) -> float | None:
        """Value minus baseline."""
        if self.value is None or self.baseline is None:
            return None
        return self.value - self.baseline

    @property
    def verdict(self) -> str:
        """`good`, `bad` or nothing: whether the difference is an improvement."""
        gap = self.difference
        if gap is None or abs(gap) < 1e-9 or self.metric.key.startswith("distinct"):
            return ""
        return "good" if (gap < 0) == self.metric.lower_is_better else "bad"

    @property
    def words(self) -> str:
        """The difference as a word beside its colour."""
        return {"good": _("better"), "bad": _("worse")}.get(self.verdict, "")


def lines(evaluation: Evaluation) -> list[Line]:
    """Every metric that the evaluation has."""
    baseline = evaluation.baseline.scores if evaluation.baseline else {}
    intervals = evaluation.details.get("intervals", {})
    return [
        Line(
            metric=metric,
            value=evaluation.scores.get(metric.key),
            baseline=baseline.get(metric.key),
            interval=tuple(intervals[metric.key]) if metric.key in intervals else None,
        )
        for metric in METRICS
        if metric.key in evaluation.scores
    ]


def headlines(evaluation: Evaluation) -> list[Line]:
    """The few metrics that lists show."""
    found = {line.metric.key: line for line in lines(evaluation)}
    return [found[key] for key in SHOWN_IN_LISTS if key in found]


def comparison(evaluation: Evaluation, metric: str = HEADLINE) -> str:
    """How the answers differ from the baseline's row by row, and whether that is clear."""
    facts = evaluation.details.get("against", {}).get(metric)
    if not facts or evaluation.baseline is None:
        return ""
    counted = ngettext(
        "%(metric)s: better than %(baseline)s on %(better)s of %(rows)s row, worse on %(worse)s.",
        "%(metric)s: better than %(baseline)s on %(better)s of %(rows)s rows, worse on %(worse)s.",
        facts["rows"],
    ) % {
        "metric": BY_KEY[metric].label,
        "baseline": evaluation.baseline.version,
        "better": facts["better"],
        "rows": facts["rows"],
        "worse": facts["worse"],
    }
    clear = (
        _("The difference is clear: its interval (95 %) leaves out zero.")
        if facts["clear"]
        else _("This is not a clear difference: its interval (95 %) holds zero.")
    )
    return f"{counted} {clear}"


@dataclass(frozen=True)
class Bar:
    """One version's score on a scale of 0 to 100 with its interval."""

    evaluation: Evaluation
    label: str
    value: float
    left: float
    width: float
    look: str


@dataclass(frozen=True)
class Standing:
    """How a model's versions compare on one dataset."""

    label: str
    rows: int
    bars: list[Bar]
    words: str
    newest: Evaluation
    metric: Metric


def standing(model: Model, evaluations: Iterable[Evaluation]) -> Standing | None:
    """The versions' scores on the data that was evaluated last, the baseline first.

    `evaluations` are those of the model's versions, newest first, with version and baseline loaded.
    """
    found = list(evaluations)
    if not found:
        return None
    newest = found[0]
    same = [one for one in found if one.dataset_version_id == newest.dataset_version_id]
    latest = {one.version_id: one for one in reversed(same)}
    baselines = {one.baseline.version_id: one.baseline for one in same if one.baseline is not None}
    order = [one for key, one in baselines.items() if key not in latest]
    order += sorted(latest.values(), key=lambda one: one.version.number)
    best = max(order, key=lambda one: one.scores.get(HEADLINE, 0.0))
    return Standing(
        label=newest.dataset_label,
        rows=newest.rows,
        bars=[_bar(one, model, is_best=one is best) for one in order],
        words=comparison(newest),
        newest=newest,
        metric=BY_KEY[HEADLINE],
    )


def _bar(evaluation: Evaluation, model: Model, *, is_best: bool) -> Bar:
    value = float(evaluation.scores.get(HEADLINE, 0.0))
    low, high = evaluation.details.get("intervals", {}).get(HEADLINE, (value, value))
    own = evaluation.version.model_id == model.pk
    return Bar(
        evaluation=evaluation,
        label=evaluation.version.label if own else str(evaluation.version),
        value=value,
        left=min(low, 99.0),
        width=max(high - low, 1.0),
        look="best" if is_best and own else "you" if own else "",
    )


def origin(version: ModelVersion) -> dict[str, Any]:
    """Where a version comes from: the job that made it and the data it learnt from.

    The job points here from above; this app only follows the link back. Without the job the labels
    that were stored with the version remain.
    """
    job = getattr(version, "produced_by", None)
    stored = [item for item in version.facts.get("datasets", []) if isinstance(item, dict)]
    if job is not None:
        uses = job.datasets.filter(use="train").select_related("dataset_version__dataset")
        stored = [
            {
                "label": str(use.dataset_version),
                "dataset": use.dataset_version.dataset_id,
                "version": use.dataset_version_id,
            }
            for use in uses
        ]
    return {"job": job, "datasets": stored, "parity": version.facts.get("parity") or {}}
