"""Takes in what the engine reports: complete lines of a file that only grows, each exactly once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts.services import live_touch
from common.texts import json_of
from jobs.models import Attempt, Checkpoint, Job, Metric
from jobs.services.moves import locked, move

CHUNK = 4 * 2**20
# What the engine says about the whole run at its last step: no points of a curve.
SUMMARY = frozenset(
    (
        "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos",
        "train_loss", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second",
    )
)  # fmt: skip


@dataclass
class _News:
    """What a chunk of the file said."""

    points: dict[int, dict[str, Any]] = field(default_factory=dict)
    epochs: dict[int, tuple[float | None, datetime]] = field(default_factory=dict)
    checkpoints: list[tuple[int, str, datetime]] = field(default_factory=list)
    phases: list[tuple[str, int | None, int | None]] = field(default_factory=list)
    total: int = 0


def _at(row: dict[str, Any]) -> datetime:
    try:
        return datetime.fromtimestamp(float(row["time"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**31 else None


def _log(row: dict[str, Any], news: _News) -> None:
    step = _whole(row.get("step"))
    values = row.get("values")
    if step is None or not isinstance(values, dict):
        return
    kept = {
        name[:80]: value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    news.points.setdefault(step, {}).update(kept)
    epoch = row.get("epoch")
    news.epochs[step] = (float(epoch) if isinstance(epoch, int | float) else None, _at(row))
    news.total = _whole(row.get("total")) or news.total


def _parse(lines: Iterable[bytes]) -> _News:
    news = _News()
    for line in lines:
        try:
            row = json_of(line)
        except ValueError:
            continue  # a line that a dying machine garbled
        if not isinstance(row, dict):
            continue
        if row.get("kind") == "log":
            _log(row, news)
        elif row.get("kind") == "checkpoint" and (step := _whole(row.get("step"))) is not None:
            name = str(row.get("name") or f"checkpoint-{step}")
            if name == f"checkpoint-{step}":  # nothing else may become a path
                news.checkpoints.append((step, name, _at(row)))
        elif row.get("kind") == "phase":
            done, total = _whole(row.get("done")), _whole(row.get("total"))
            news.phases.append((str(row.get("name") or "")[:24], done, total))
    return news


def _chunk(path: Path, offset: int) -> bytes:
    """Complete lines from `offset` on; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(CHUNK)
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def metrics_take_in(attempt_id: int) -> int:
    """Reads what is new in the attempt's metric file; how many bytes were taken in.

    Offset and rows change in one transaction: a crash in between loses nothing and doubles nothing.
    """
    taken = 0
    while size := _take_in_once(attempt_id):
        taken += size
    return taken


def _take_in_once(attempt_id: int) -> int:
    found = Attempt.objects.select_related("workload").get(pk=attempt_id)
    if not _chunk(found.workload.metrics_path, found.metrics_offset):
        return 0
    with transaction.atomic():
        job = locked(found.job_id)
        attempt = Attempt.objects.select_related("workload").get(pk=attempt_id)
        data = _chunk(attempt.workload.metrics_path, attempt.metrics_offset)
        if not data:
            return 0
        news = _parse(data.splitlines())
        newest = job.attempts.last()
        _checkpoints(job, attempt, news)
        if newest is not None and newest.pk == attempt.pk:
            _points(job, attempt, news)
            _progress(job, news)
        attempt.metrics_offset += len(data)
        attempt.save(update_fields=["metrics_offset"])
        live_touch(job.pk, job.project_id)
    return len(data)


def _points(job: Job, attempt: Attempt, news: _News) -> None:
    """Upserts the points; what an older attempt said about steps that are trained anew goes."""
    if not news.points:
        return
    mine = job.metrics.filter(attempt=attempt)
    job.metrics.filter(step__gt=attempt.resumed_step).exclude(attempt=attempt).delete()
    old = {row.step: row.values for row in mine.filter(step__in=list(news.points))}
    Metric.objects.bulk_create(
        [
            Metric(
                job=job,
                attempt=attempt,
                step=step,
                epoch=news.epochs[step][0],
                at=news.epochs[step][1],
                values=old.get(step, {}) | values,
            )
            for step, values in news.points.items()
        ],
        update_conflicts=True,
        unique_fields=["job", "step"],
        update_fields=["attempt", "epoch", "at", "values"],
    )


def _checkpoints(job: Job, attempt: Attempt, news: _News) -> None:
    folder = attempt.workload.directory / "output"
    for step, name, at in news.checkpoints:
        Checkpoint.objects.update_or_create(
            attempt=attempt,
            step=step,
            defaults={"job": job, "name": name, "saved_at": at, "bytes": _size(folder / name)},
        )
    if news.checkpoints:
        checkpoints_refresh(attempt)


def checkpoints_refresh(attempt: Attempt) -> None:
    """Notes which checkpoints are there: the engine removes old ones, and nodes bring new ones."""
    folder = attempt.workload.directory / "output"
    for row in attempt.checkpoints.all():
        there = (folder / row.name).is_dir()
        size = _size(folder / row.name) if there and not row.bytes else row.bytes
        if (there, size) != (row.is_present, row.bytes):
            Checkpoint.objects.filter(pk=row.pk).update(is_present=there, bytes=size)


def _size(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _progress(job: Job, news: _News) -> None:
    """Step, phase and newest values of the job; the first word of the engine makes it running."""
    if job.kind == Job.Kind.TRAIN:
        for step in sorted(news.points):
            job.latest |= {
                key: value for key, value in news.points[step].items() if key not in SUMMARY
            }
            epoch = news.epochs[step][0]
            job.latest |= {"epoch": epoch} if epoch is not None else {}
            job.step = step
        job.total_steps = news.total or job.total_steps
    for name, done, total in news.phases:
        job.phase = name
        _phase_steps(job, name, done, total)
    job.save(update_fields=["latest", "step", "total_steps", "phase"])
    if job.state in {Job.State.QUEUED, Job.State.PREPARING} and (news.points or news.phases):
        move(job, Job.State.RUNNING)


def _phase_steps(job: Job, name: str, done: int | None, total: int | None) -> None:
    """How far a kind without training steps is: rows of all models, or prompts compared."""
    if job.kind == Job.Kind.TRAIN:
        if name == "training" and total:
            job.total_steps = total
        return
    if name == "loading" and job.kind == Job.Kind.EVALUATE:
        job.latest["subject"] = int(job.latest.get("subject") or 0) + 1
    if done is None or not total:
        return
    subjects = int(job.estimate.get("subjects") or 1) if job.kind == Job.Kind.EVALUATE else 1
    before = max(int(job.latest.get("subject") or 1) - 1, 0) if subjects > 1 else 0
    job.step, job.total_steps = before * total + done, subjects * total
