"""What the end of a workload means for its job."""

import uuid
from pathlib import Path

from django.db import transaction
from django_q.tasks import async_task

from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import json_of
from jobs.engines import engine_named
from jobs.engines.base import Failure
from jobs.models import Attempt, Checkpoint, Job
from jobs.services.moves import locked, move
from jobs.services.progress import checkpoints_refresh, metrics_take_in
from jobs.services.submit import attempt_start
from nodes.models import Workload
from nodes.services import failure_note

MAX_AUTOMATIC = 3
TAIL = 128 * 1024
State, Outcome, Wanted = Job.State, Workload.Outcome, Job.Wanted


def workload_follow(workload_id: uuid.UUID) -> None:
    """Brings the job of a workload to where the workload stands. Repeating it changes nothing."""
    attempt = Attempt.objects.select_related("workload").filter(workload_id=workload_id).first()
    if attempt is None:
        return
    if attempt.workload.state == Workload.State.ENDED:
        metrics_take_in(attempt.pk)
    with transaction.atomic():
        job = locked(attempt.job_id)
        attempt = Attempt.objects.select_related("workload", "resumed_from").get(pk=attempt.pk)
        newest = job.attempts.last()
        if newest is None or newest.pk != attempt.pk:
            return
        _started(job, attempt)
        if attempt.workload.state == Workload.State.ENDED:
            ended(job, attempt)


def _started(job: Job, attempt: Attempt) -> None:
    workload = attempt.workload
    if workload.started_at and not attempt.started_at:
        attempt.started_at = workload.started_at
        attempt.save(update_fields=["started_at"])
    if workload.started_at and not job.started_at:
        job.started_at = workload.started_at
        job.save(update_fields=["started_at"])
    begun = workload.state in {
        Workload.State.PLACED,
        Workload.State.STARTING,
        Workload.State.RUNNING,
    }
    if begun and job.state == State.QUEUED:
        where = workload.node.name if workload.node else ""
        move(job, State.PREPARING, reason=where)
    if workload.state == Workload.State.WAITING and job.state == State.PREPARING:
        move(job, State.QUEUED, reason=workload.reason)


def ended(job: Job, attempt: Attempt) -> None:
    """Settles the job after its newest attempt; the caller holds the job's lock."""
    if attempt.ended_at is None:
        attempt.ended_at = attempt.workload.ended_at
        attempt.save(update_fields=["ended_at"])
    checkpoints_refresh(attempt)
    if job.state in (*Job.FINAL, State.PAUSED, State.FINALIZING):
        return
    outcome = attempt.workload.outcome
    if job.wanted == Wanted.CANCEL:
        move(job, State.CANCELLED, reason=attempt.workload.reason)
    elif outcome == Outcome.OK or job.wanted == Wanted.STOP:
        finalize(job)
    elif outcome == Outcome.STOPPED and attempt.workload.goes_on and not job.wanted:
        _moved(job)
    elif outcome == Outcome.STOPPED:
        _stopped(job, attempt)
    elif outcome == Outcome.LOST:
        _lost(job, attempt)
    else:
        failure = classify(job, attempt)
        if failure.failure == Job.Failure.GPU_HW:
            failure_note(attempt.workload_id)
        fail(job, failure, reason=attempt.workload.reason)


def _stopped(job: Job, attempt: Attempt) -> None:
    """Paused as somebody asked, or because an operator stopped the workload."""
    if job.kind != Job.Kind.TRAIN:
        move(job, State.CANCELLED, reason=attempt.workload.reason)
        return
    job.wanted = ""
    if job.state == State.STOPPING:
        finalize(job)
    else:
        move(job, State.PAUSED, reason=attempt.workload.reason)


def finalize(job: Job) -> None:
    """Lets a task register what came out."""
    move(job, State.FINALIZING)
    async_task("jobs.tasks.job_finish", str(job.pk), cluster="web")


def _lost(job: Job, attempt: Attempt) -> None:
    """Tries again elsewhere from the last checkpoint, three times at most."""
    tries = 0
    for row in job.attempts.order_by("-number"):
        if not row.is_automatic:
            break
        tries += 1
    if tries >= MAX_AUTOMATIC or job.wanted == Wanted.PAUSE:
        if job.wanted == Wanted.PAUSE and last_checkpoint(job):
            move(job, State.PAUSED, reason=attempt.workload.reason)
            return
        line = attempt.workload.reason
        fail(job, Failure(Job.Failure.NODE_LOST, line, ""), reason=line)
        return
    checkpoint = last_checkpoint(job)
    reason = _("The node went silent; it goes on by itself from step %(step)s.")
    _go_on(job, checkpoint, reason=reason, verb="retried", is_automatic=True)


def _moved(job: Job) -> None:
    """Its node is being emptied: it goes on elsewhere, from where it was."""
    checkpoint = last_checkpoint(job) if job.kind == Job.Kind.TRAIN else None
    reason = _("The node is being emptied; it goes on elsewhere from step %(step)s.")
    _go_on(job, checkpoint, reason=reason, verb="moved", is_automatic=False)


def _go_on(
    job: Job, checkpoint: Checkpoint | None, *, reason: str, verb: str, is_automatic: bool
) -> None:
    step = checkpoint.step if checkpoint else 0
    move(job, State.QUEUED, verb=verb, reason=reason % {"step": step})
    try:
        attempt_start(job, by=None, checkpoint=checkpoint, is_automatic=is_automatic)
    except DomainError as refused:
        fail(job, Failure(Job.Failure.NODE_LOST, refused.message, ""), reason=refused.message)


def last_checkpoint(job: Job) -> Checkpoint | None:
    """Where a new attempt goes on: the newest checkpoint of the newest line of attempts.

    An attempt that saved none hands on what it was itself resumed from.
    """
    for attempt in job.attempts.select_related("resumed_from").order_by("-number"):
        own = attempt.checkpoints.filter(is_present=True).select_related("attempt__workload")
        if newest := own.order_by("step").last():
            return newest
        if attempt.resumed_from is not None and attempt.resumed_from.is_present:
            return attempt.resumed_from
    return None


def log_tail(path: Path, size: int = TAIL) -> str:
    """The last complete lines of a log, at most `size` bytes."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, 2)
            file.seek(max(length - size, 0))
            data = file.read()
    except OSError:
        return ""
    if length > size:
        data = data[data.find(b"\n") + 1 :]
    return data.decode("utf-8", "replace")


def classify(job: Job, attempt: Attempt) -> Failure:
    """What kind of failure it was: what the node saw counts more than what the log says."""
    workload = attempt.workload
    found = engine_named(job.engine).classify(log_tail(workload.log_path))
    if workload.outcome == Outcome.TIMEOUT:
        return Failure(Job.Failure.TIMEOUT, workload.reason or found.line, "timeout")
    if workload.outcome == Outcome.OOM and found.failure != Job.Failure.OOM:
        return Failure(Job.Failure.OOM, workload.reason or found.line, "memory")
    if not found.line:
        return Failure(found.failure, workload.reason, found.code)
    return found


def fail(job: Job, failure: Failure, *, reason: str = "") -> None:
    """Notes what went wrong and ends the job."""
    known = failure.failure in Job.Failure.values
    job.failure = failure.failure if known else Job.Failure.ENGINE_BUG
    job.failure_line = failure.line
    job.failure_code = failure.code[:24]
    move(job, State.FAILED, reason=reason, data={"failure": job.failure})


def result_of(attempt: Attempt) -> dict[str, object]:
    """The engine's result file of the attempt's last epoch; empty without one."""
    try:
        facts = json_of(attempt.workload.facts_path("result").read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
