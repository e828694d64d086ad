"""What pages and API show of a job; nothing here changes anything."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from common.phrases import gettext as _
from jobs.engines import engine_named
from jobs.engines.base import Advice, Estimate
from jobs.models import Attempt, Job, Metric
from jobs.services.lifecycle import WORKING, why_not_pausable
from jobs.services.progress import SUMMARY
from nodes.models import Workload
from nodes.services import queue_places, queue_position, reason_text
from registry.metrics import BY_KEY
from registry.models import Evaluation, ModelVersion

MAX_POINTS = 4000
RECENT = 30
NAMES: dict[str, str | Promise] = {
    "loss": gettext_lazy("Loss"),
    "eval_loss": gettext_lazy("Evaluation loss"),
    "learning_rate": gettext_lazy("Learning rate"),
    "grad_norm": gettext_lazy("Gradient norm"),
    "train_tokens_per_second": gettext_lazy("Tokens per second"),
    "num_input_tokens_seen": gettext_lazy("Tokens seen"),
    "rewards/accuracies": gettext_lazy("Better answer preferred"),
    "rewards/margins": gettext_lazy("Margin of rewards"),
    "rewards/chosen": gettext_lazy("Reward of better answers"),
    "rewards/rejected": gettext_lazy("Reward of worse answers"),
    "eval_accuracy": gettext_lazy("Accuracy"),
    "kl": gettext_lazy("Distance from the start (KL)"),
}
HIDDEN = SUMMARY | {"epoch", "subject", "num_input_tokens_seen"}


@dataclass(frozen=True)
class Remaining:
    """How long a training still takes, from its own recent pace."""

    seconds: float
    done_at: datetime


def remaining(job: Job) -> Remaining | None:
    """From the last reported steps of the newest attempt; None without two of them."""
    return remainings([job]).get(job.pk)


def remainings(jobs: Iterable[Job]) -> dict[uuid.UUID, Remaining]:
    """The same for those of the jobs that can tell, by one question for all of them."""
    working = {
        job.pk: job
        for job in jobs
        if job.state in WORKING and job.total_steps and job.step < job.total_steps
    }
    if not working:
        return {}
    points = Metric.objects.filter(job=OuterRef("job"), attempt=OuterRef("pk"))
    recent, oldest = points.order_by("-step"), points.order_by("step")
    attempts = Attempt.objects.filter(job__in=working).order_by("number")
    told = attempts.annotate(
        last=Subquery(recent.values("step")[:1]),
        until=Subquery(recent.values("at")[:1]),
        first=Coalesce(
            Subquery(recent.values("step")[RECENT - 1 : RECENT]),
            Subquery(oldest.values("step")[:1]),
        ),
        since=Coalesce(
            Subquery(recent.values("at")[RECENT - 1 : RECENT]),
            Subquery(oldest.values("at")[:1]),
        ),
    )
    newest = {row.job_id: row for row in told}
    found = {pk: _remaining(working[pk], attempt) for pk, attempt in newest.items()}
    return {pk: left for pk, left in found.items() if left}


def _remaining(job: Job, attempt: Any) -> Remaining | None:
    now = timezone.now()
    if job.kind != Job.Kind.TRAIN:
        if attempt.started_at is None or not job.step:
            return None
        gone = (now - attempt.started_at).total_seconds()
        left = gone / job.step * (job.total_steps - job.step)
    elif attempt.last is None or attempt.last == attempt.first:
        return None
    else:
        pace = (attempt.until - attempt.since).total_seconds() / (attempt.last - attempt.first)
        left = pace * (job.total_steps - attempt.last) - (now - attempt.until).total_seconds()
    left = max(left, 0)
    return Remaining(left, now + timedelta(seconds=left))


def time_foreseen(version: ModelVersion, method: str, estimate: Estimate) -> float | None:
    """Seconds a training would take, from the newest finished one of the same model and method."""
    done = Job.objects.filter(
        kind=Job.Kind.TRAIN,
        state=Job.State.SUCCEEDED,
        model_version=version,
        method=method,
        attempts__number=1,
    )
    job = done.exclude(started_at=None).exclude(step=0).order_by("-finished_at").first()
    if job is None or job.finished_at is None or job.started_at is None or not estimate.steps:
        return None
    seconds = (job.finished_at - job.started_at).total_seconds() / job.step
    rows = int(job.estimate.get("rows_per_step") or estimate.rows_per_step) or 1
    return seconds * estimate.steps * estimate.rows_per_step / rows


def metric_name(name: str) -> str:
    """What people call a metric; the engine's own name where there is none."""
    return str(NAMES.get(name, name))


def series(job: Job, wanted: Iterable[str] = ()) -> dict[str, Any]:
    """Points of the wanted metrics, all when none are named: `x` are steps, gaps are null."""
    rows = list(job.metrics.values_list("step", "values"))
    names = [name for name in wanted if name] or metric_names(job, rows)
    thin = max(len(rows) // MAX_POINTS, 1)
    rows = [
        row
        for place, row in enumerate(rows)
        if place % thin == 0 or place == len(rows) - 1 or "eval_loss" in row[1]
    ]
    return {
        "x": [step for step, _values in rows],
        "x_kind": "step",
        "unit": "",
        "series": [
            {
                "name": name,
                "label": metric_name(name),
                "kind": "points" if name.startswith("eval_") else "line",
                "data": [values.get(name) for _step, values in rows],
            }
            for name in names
            if any(name in values for _step, values in rows)
        ],
    }


def metric_names(job: Job, rows: Iterable[tuple[int, dict[str, Any]]] | None = None) -> list[str]:
    """Every metric that the engine reports over time, the best known first."""
    reported = [job.latest] if rows is None else [values for _step, values in rows]
    found = {name for values in reported for name in values}
    known = [name for name in NAMES if name in found]
    return [name for name in (*known, *sorted(found - set(known))) if name not in HIDDEN]


@dataclass(frozen=True)
class Chart:
    """A card with curves."""

    title: str
    series: str
    is_main: bool = False


def charts(job: Job) -> list[Chart]:
    """One chart for both losses, one for each other metric."""
    names = metric_names(job)
    found = [Chart(_("Loss"), "loss,eval_loss", is_main=True)] if "loss" in names else []
    return found + [
        Chart(metric_name(name), name) for name in names if name not in {"loss", "eval_loss"}
    ]


@dataclass(frozen=True)
class Tile:
    """A number with its name."""

    label: str
    value: Any
    small: str = ""
    small_class: str = ""


def tiles(job: Job) -> list[Tile]:
    """The newest numbers."""
    found = []
    first = job.metrics.filter(values__has_key="loss").values_list("values", flat=True).first()
    for name in ("loss", "eval_loss", "learning_rate", "grad_norm", "train_tokens_per_second"):
        value = job.latest.get(name)
        if value is None:
            continue
        small = small_class = ""
        if name == "loss" and first and first.get("loss") is not None:
            change = float(value) - float(first["loss"])
            small, small_class = f"{change:+.2f}".replace("-", "−"), "good" if change < 0 else ""
        found.append(Tile(metric_name(name), value, small, small_class))
    for name in metric_names(job):
        if len(found) < 6 and name.startswith("rewards/a"):
            found.append(Tile(metric_name(name), job.latest.get(name)))
    return found


def waiting_note(attempt: Attempt | None) -> tuple[int, str]:
    """The place in the queue and the true reason; (0, "") when it does not wait."""
    if attempt is None or attempt.workload.state != Workload.State.WAITING:
        return 0, ""
    return queue_position(attempt.workload)


def sending_note(attempt: Attempt | None) -> str:
    """How far what an ended process left is on its way from its node; empty when nothing is."""
    begun = (Workload.State.STARTING, Workload.State.RUNNING, Workload.State.STOPPING)
    if attempt is None or attempt.workload.state not in begun:
        return ""
    return reason_text(attempt.workload.waits_for)


def waiting_notes(jobs: Iterable[Job]) -> dict[uuid.UUID, tuple[int, str]]:
    """The same for those of the jobs that wait, by two questions for all of them."""
    attempts = Attempt.objects.filter(job__in=list(jobs), workload__state=Workload.State.WAITING)
    found = list(attempts.select_related("workload"))
    places = queue_places(attempt.workload for attempt in found)
    return {one.job_id: (places.get(one.workload_id, 0), one.workload.reason) for one in found}


def advice_of(job: Job) -> Advice | None:
    """What to do about a failure; None when there is none."""
    if not job.failure:
        return None
    import yaml

    settings = dict(yaml.safe_load(job.config) or {})
    return engine_named(job.engine).advice(job.failure, job.failure_code, settings)


def actions_of(job: Job) -> list[str]:
    """What can be done with the job in its state by somebody who may change it."""
    found = ["clone"]
    training = job.kind == Job.Kind.TRAIN
    if job.state in WORKING and training:
        found += ["stop"] if why_not_pausable(job) else ["pause", "stop"]
    if job.state == Job.State.PAUSED:
        found += ["resume", "stop"]
    if job.state in {Job.State.FAILED, Job.State.STOPPED} and not job.output_version_id:
        found += ["retry"]
        if training and job.checkpoints.filter(is_present=True).exists():
            found += ["resume"] if not why_not_pausable(job) else []
    if job.is_active and job.state != Job.State.FINALIZING and job.wanted != Job.Wanted.CANCEL:
        found += ["cancel"]
    if job.state == Job.State.PAUSED:
        found += ["cancel"]
    if not job.is_active:
        found += ["delete"]
    return found


def number_text(value: float) -> str:
    """5e-6 below a thousandth, as learning rates are written; plain digits otherwise."""
    if value and abs(value) < 1e-3:
        digits, exponent = f"{value:.6e}".split("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.10g}"


def facts_of(job: Job) -> list[tuple[str, str]]:
    """The settings that most people ask for, of the final configuration."""
    import yaml

    config = dict(yaml.safe_load(job.config) or {})
    found = [
        (_("Epochs"), config.get("num_train_epochs")),
        (_("Learning rate"), _pair(config.get("learning_rate"), config.get("lr_scheduler_type"))),
        (_("Rows per step"), _batch(config, job.gpus)),
        (_("Cut at, tokens"), config.get("cutoff_len")),
        (_("Rows at most"), config.get("max_samples")),
        (_("Longest answer, tokens"), config.get("max_new_tokens")),
        (_("Temperature"), config.get("temperature")),
        (_("Largest file, GB"), config.get("export_size")),
        (_("Chat template"), config.get("template")),
        (_("Base from random weights"), _("yes") if config.get("train_from_scratch") else None),
    ]
    return [(name, number_text(value) if isinstance(value, float) else str(value))
            for name, value in found if value is not None]  # fmt: skip


def _pair(number: object, word: object) -> str | None:
    return f"{number_text(number)}, {word}" if isinstance(number, int | float) else None


def _batch(config: dict[str, Any], gpus: int) -> str | None:
    rows, batches = (
        config.get("per_device_train_batch_size"),
        config.get("gradient_accumulation_steps"),
    )
    if not isinstance(rows, int) or not isinstance(batches, int):
        return None
    parts = [rows, batches, *([gpus] if gpus > 1 else [])]
    product = rows * batches * max(gpus, 1)
    return " × ".join(map(str, parts)) + f" = {product}"


@dataclass(frozen=True)
class Score:
    """An evaluation with the values that a table shows."""

    evaluation: Evaluation
    values: list[Any]


def scores_of(job: Job) -> tuple[list[str], list[Score]]:
    """Names of metrics, and a row for each model: what it came from first."""
    rows = list(job.evaluations.select_related("version__model", "baseline").order_by("created_at"))
    names = [
        name
        for name in ("loss", "perplexity", "exact_match", "rougeL", "bleu", "chrf")
        if any(isinstance(row.scores.get(name), int | float) for row in rows)
    ]
    rows.sort(key=lambda row: row.baseline_id is not None)
    labels = [str(BY_KEY[name].label) if name in BY_KEY else name for name in names]
    return labels, [Score(row, [row.scores.get(name) for name in names]) for row in rows]


@dataclass(frozen=True)
class File:
    """A file that a job left."""

    path: str
    size: int
    changed_at: datetime


def output_directory(attempt: Attempt) -> Path:
    """Where an attempt writes."""
    return attempt.workload.directory / "output"


def files_of(attempt: Attempt) -> list[File]:
    """Every file of the attempt's output, and its configuration and metrics; links are left out."""
    root = attempt.workload.directory
    found = [root / name for name in ("config.yaml", "metrics.jsonl")]
    output = output_directory(attempt)
    if output.is_dir():
        found += sorted(output.rglob("*"))
    files = []
    for path in found:
        if path.is_symlink() or not path.is_file():
            continue
        facts = path.stat()
        changed = datetime.fromtimestamp(facts.st_mtime, tz=timezone.get_current_timezone())
        files.append(File(path.relative_to(root).as_posix(), facts.st_size, changed))
    return files


def file_of(attempt: Attempt, name: str) -> Path | None:
    """The file of that name among `files_of`; None for everything else."""
    if name not in {file.path for file in files_of(attempt)}:
        return None
    path = attempt.workload.directory / name
    root = attempt.workload.directory.resolve()
    return path if path.resolve().is_relative_to(root) else None
