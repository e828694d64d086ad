"""Jobs of a project that was deleted."""

import shutil
import time

from django.db import transaction

from accounts.models import Project
from jobs.models import Job
from nodes.models import Workload
from nodes.services import workload_files_remove


def project_empty(project: Project, *, until: float) -> bool:
    """Removes the project's jobs with what they wrote, files first; whether some are left.

    What has not ended is left to its end. `until` is of the monotonic clock.
    """
    for job in Job.objects.filter(project=project):
        if time.monotonic() > until:
            break
        workloads = Workload.objects.filter(attempt__job=job)
        if not job.is_active and not workloads.exclude(state=Workload.State.ENDED).exists():
            _remove(job, list(workloads))
    return Job.objects.filter(project=project).exists()


def _remove(job: Job, workloads: list[Workload]) -> None:
    for workload in workloads:
        workload_files_remove(workload)
    for directory in (job.data_directory, job.weights_directory, job.predictions_directory):
        shutil.rmtree(directory, ignore_errors=True)
    with transaction.atomic():
        job.delete()
        Workload.objects.filter(pk__in=[workload.pk for workload in workloads]).delete()
