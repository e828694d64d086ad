"""What jobs does on news from below."""

import uuid
from typing import Any

from django.dispatch import receiver
from django.utils.translation import gettext as _

from accounts.models import Project
from accounts.signals import project_usage
from common.errors import Conflict
from datasets.models import DatasetVersion
from datasets.signals import dataset_deleting
from jobs.models import Attempt, Job
from jobs.services import metrics_take_in, workload_follow
from nodes.signals import workload_changed, workload_progressed
from registry.models import ModelVersion
from registry.signals import version_deleting

NAMED = 5


@receiver(workload_changed, dispatch_uid="jobs.workload_changed")
def follow(sender: object, *, workload_id: uuid.UUID, **kwargs: Any) -> None:
    """A workload changed its state."""
    workload_follow(workload_id)


@receiver(workload_progressed, dispatch_uid="jobs.workload_progressed")
def take_in(sender: object, *, workload_id: uuid.UUID, **kwargs: Any) -> None:
    """A workload's metric file grew."""
    attempt = Attempt.objects.filter(workload_id=workload_id).first()
    if attempt is not None:
        metrics_take_in(attempt.pk)


@receiver(dataset_deleting, dispatch_uid="jobs.dataset_deleting")
def keep_used_data(sender: object, *, versions: list[DatasetVersion], **kwargs: Any) -> None:
    """Conflict while a job refers to the data."""
    jobs = Job.objects.filter(datasets__dataset_version__in=versions).distinct()
    _refuse(list(jobs[: NAMED + 1]), _("The data is used by %(jobs)s. Delete those jobs first."))


@receiver(version_deleting, dispatch_uid="jobs.version_deleting")
def keep_used_model(sender: object, *, version: ModelVersion, **kwargs: Any) -> None:
    """Conflict while a job refers to the version."""
    jobs = Job.objects.filter(model_version=version)
    _refuse(list(jobs[: NAMED + 1]), _("The model is used by %(jobs)s. Delete those jobs first."))


def _refuse(jobs: list[Job], message: str) -> None:
    if not jobs:
        return
    names = ", ".join(f"“{job.name}”" for job in jobs[:NAMED]) + (" …" if jobs[NAMED:] else "")
    raise Conflict(
        message % {"jobs": names},
        code="in_use",
        data={"jobs": [str(job.pk) for job in jobs[:NAMED]]},
    )


@receiver(project_usage, dispatch_uid="jobs.project_usage")
def count_usage(sender: object, *, project: Project, **kwargs: Any) -> dict[str, int]:
    """How many jobs of the project wait or run."""
    return {"active_jobs": Job.objects.filter(project=project).active().count()}
