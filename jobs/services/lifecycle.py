"""What people do with a job: cancel, stop, pause, resume, retry, delete."""

import shutil
import uuid
from pathlib import Path
from typing import Literal

from django.db import transaction

from accounts.models import User
from accounts.services import event_record, project_hold
from common.commits import after_commit
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from jobs.engines import engine_named
from jobs.models import Checkpoint, Job
from jobs.services.endings import ended, finalize, last_checkpoint
from jobs.services.moves import latest_attempt, locked_for, move
from jobs.services.submit import attempt_start, quota_check
from nodes.models import Workload
from nodes.services import workload_priority_set, workload_stop

State, Wanted = Job.State, Job.Wanted
WORKING = (State.PREPARING, State.RUNNING)


def _refuse_unless(job: Job, states: tuple[str, ...], what: str) -> None:
    if job.state not in states:
        raise Conflict(
            _("“%(job)s” is %(state)s and cannot be %(what)s.")
            % {"job": job.name, "state": State(job.state).label, "what": what},
            data={"state": job.state},
        )


def _ask(
    job: Job,
    wanted: str,
    *,
    mode: Literal["checkpoint", "kill"],
    to: str,
    by: User | None,
    verb: str,
) -> Job:
    """Stops the workload and notes why; a job that never started is settled at once."""
    attempt = latest_attempt(job)
    job.wanted = wanted
    reason = _("%(verb)s by %(user)s") % {"verb": Wanted(wanted).label, "user": by or "–"}
    job.save(update_fields=["wanted"])
    if job.state != to:
        move(job, to, actor=by, verb=verb)
    workload = workload_stop(attempt.workload_id, mode=mode, reason=reason)
    attempt.workload = workload
    if workload.state == Workload.State.ENDED:
        ended(job, attempt)
    return job


@transaction.atomic
def job_cancel(job_id: uuid.UUID, *, by: User | None) -> Job:
    """Ends a job and keeps nothing; a paused one is let go. Cancelling again changes nothing."""
    job = locked_for(job_id, by)
    if job.state == State.CANCELLED or (
        job.state == State.STOPPING and job.wanted == Wanted.CANCEL
    ):
        return job
    if job.state == State.PAUSED:
        return move(job, State.CANCELLED, actor=by, verb="cancelled")
    _refuse_unless(
        job,
        (State.QUEUED, *WORKING, State.PAUSING, State.STOPPING),
        _("cancelled"),
    )
    return _ask(job, Wanted.CANCEL, mode="kill", to=State.STOPPING, by=by, verb="cancelled")


@transaction.atomic
def job_stop(job_id: uuid.UUID, *, by: User | None) -> Job:
    """Ends a training now and keeps what it learnt as a model version."""
    job = locked_for(job_id, by)
    if job.kind != Job.Kind.TRAIN:
        raise Conflict(_("Only a training can be stopped and kept. Cancel it instead."))
    if job.state == State.STOPPING and job.wanted == Wanted.STOP:
        return job
    if job.state == State.PAUSED:
        job.wanted = Wanted.STOP
        finalize(job)
        return job
    _refuse_unless(job, (*WORKING, State.PAUSING), _("stopped"))
    return _ask(job, Wanted.STOP, mode="checkpoint", to=State.STOPPING, by=by, verb="stopped")


@transaction.atomic
def job_pause(job_id: uuid.UUID, *, by: User | None) -> Job:
    """Saves a checkpoint and gives the place free; `job_resume` goes on from there."""
    job = locked_for(job_id, by)
    if job.state in {State.PAUSED, State.PAUSING}:
        return job
    if reason := why_not_pausable(job):
        raise Conflict(reason)
    _refuse_unless(job, WORKING, _("paused"))
    return _ask(job, Wanted.PAUSE, mode="checkpoint", to=State.PAUSING, by=by, verb="paused")


def why_not_pausable(job: Job) -> str:
    """Why a pause makes no sense for this job; empty when it does."""
    if job.kind != Job.Kind.TRAIN:
        return _("Only a training can be paused.")
    return str(engine_named(job.engine).why_not_pausable(job.stage, job.method))


@transaction.atomic
def job_resume(job_id: uuid.UUID, *, by: User | None, checkpoint_id: int | None = None) -> Job:
    """Goes on from the last checkpoint or a chosen one, in a new attempt."""
    job = locked_for(job_id, by)
    if job.state in {State.QUEUED, *WORKING}:
        return job
    _refuse_unless(job, (State.PAUSED, State.FAILED, State.STOPPED), _("resumed"))
    if checkpoint_id is None:
        checkpoint = last_checkpoint(job)
    else:
        rows = job.checkpoints.filter(pk=checkpoint_id, is_present=True)
        checkpoint = rows.select_related("attempt__workload").first()
        if checkpoint is None:
            raise DomainError(
                _("There is no such checkpoint any more."), field="checkpoint", code="unknown"
            )
    return _again(job, checkpoint, by=by, verb="resumed")


@transaction.atomic
def job_retry(job_id: uuid.UUID, *, by: User | None, from_start: bool = False) -> Job:
    """Tries a failed job again, from its last checkpoint where there is one."""
    job = locked_for(job_id, by)
    _refuse_unless(job, (State.FAILED, State.STOPPED), _("tried again"))
    checkpoint = None if from_start else last_checkpoint(job)
    return _again(job, checkpoint, by=by, verb="retried")


def _again(job: Job, checkpoint: Checkpoint | None, *, by: User | None, verb: str) -> Job:
    if job.output_version_id:
        raise Conflict(
            _("What “%(job)s” made is registered already. Clone it to train on.")
            % {"job": job.name}
        )
    if checkpoint is not None and why_not_pausable(job):
        checkpoint = None
    project = project_hold(job.project_id)
    quota_check(project)
    job.wanted = job.failure = job.failure_line = job.failure_code = job.phase = ""
    job.step = checkpoint.step if checkpoint else 0
    job.result = {}
    if job.kind == Job.Kind.EVALUATE:
        job.latest = {}
    move(job, State.QUEUED, actor=by, verb=verb, reason=checkpoint.name if checkpoint else "")
    attempt_start(job, by=by, checkpoint=checkpoint)
    return job


@transaction.atomic
def job_priority_set(job_id: uuid.UUID, *, priority: int, by: User) -> Job:
    """Moves a job in the queue: 0 to 100, higher is served first."""
    job = locked_for(job_id, by)
    if not 0 <= priority <= 100:
        raise DomainError(_("A priority is 0 to 100."), field="priority", code="bad_setting")
    job.priority = priority
    job.save(update_fields=["priority"])
    attempt = job.latest_attempt()
    if attempt and attempt.workload.state == Workload.State.WAITING:
        workload_priority_set(attempt.workload_id, priority)
    event_record(job, project=job.project, actor=by, verb="priority", data={"priority": priority})
    return job


@transaction.atomic
def job_delete(job_id: uuid.UUID, *, by: User | None) -> None:
    """Deletes a job with its attempts, checkpoints and files; model versions and scores stay."""
    job = locked_for(job_id, by)
    running = job.attempts.exclude(workload__state=Workload.State.ENDED).exists()
    if job.is_active or running:
        raise Conflict(
            _("“%(job)s” is %(state)s. Cancel it first.")
            % {"job": job.name, "state": State(job.state).label},
            data={"state": job.state},
        )
    workloads = [attempt.workload for attempt in job.attempts.select_related("workload")]
    doomed: list[Path] = [job.data_directory]
    for workload in workloads:
        doomed += [workload.directory, workload.log_path]
    event_record(job, project=job.project, actor=by, verb="deleted", data={"name": job.name})
    job.delete()
    Workload.objects.filter(pk__in=[workload.pk for workload in workloads]).delete()
    after_commit(_files_remove, doomed)


def _files_remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
