"""The one door for a job's state."""

import uuid
from collections.abc import Mapping

from django.utils import timezone

from accounts.models import User
from accounts.services import event_record
from common.errors import Conflict
from common.phrases import gettext as _
from jobs.models import Attempt, Job

State = Job.State


def locked(job_id: uuid.UUID) -> Job:
    """The row, held until the end of the transaction."""
    rows = Job.objects.select_for_update(of=("self",))
    return rows.select_related("project", "model_version__model").get(pk=job_id)


def locked_for(job_id: uuid.UUID, by: User | None) -> Job:
    """The row of somebody who may change it, else Job.DoesNotExist. None is the platform."""
    if by is not None:
        Job.objects.editable_by(by).get(pk=job_id)
    return locked(job_id)


def latest_attempt(job: Job) -> Attempt:
    """The newest try; Conflict when there is none yet."""
    attempt = job.latest_attempt()
    if attempt is None:
        raise Conflict(_("“%(job)s” has not been tried yet.") % {"job": job.name})
    return attempt


def move(
    job: Job,
    to: str,
    *,
    actor: User | None = None,
    reason: str = "",
    verb: str = "state",
    data: Mapping[str, object] | None = None,
) -> Job:
    """Changes the state; the caller holds the row lock. Conflict when it is not one of `MOVES`."""
    if not job.can_become(to):
        raise Conflict(
            _("“%(job)s” is %(state)s; it cannot become %(to)s.")
            % {"job": job.name, "state": State(job.state).label, "to": State(to).label},
            data={"state": job.state},
        )
    old, job.state = job.state, to
    if to in Job.FINAL:
        job.finished_at = timezone.now()
    if to == State.QUEUED:
        job.finished_at = None
    if to == State.RUNNING and job.started_at is None:
        job.started_at = timezone.now()
    job.save()
    event_record(
        job,
        project=job.project,
        actor=actor,
        verb=verb,
        old=old,
        new=to,
        reason=reason,
        data=data,
    )
    return job
