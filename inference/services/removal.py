"""Deployments and conversations of a project that was deleted."""

import time

from django.db import transaction

from accounts.models import Project
from inference.models import Conversation, Deployment
from nodes.models import Workload
from nodes.services import workload_files_remove


def project_empty(project: Project, *, until: float) -> bool:
    """Removes the project's deployments and conversations; whether some are left.

    What is in service is left to its end. `until` is of the monotonic clock.
    """
    Conversation.objects.filter(project=project).delete()
    for deployment in Deployment.objects.filter(project=project):
        if time.monotonic() > until:
            break
        workloads = list(Workload.objects.filter(replica__deployment=deployment))
        ended = all(workload.state == Workload.State.ENDED for workload in workloads)
        if ended and not deployment.is_active:
            _remove(deployment, workloads)
    return Deployment.objects.filter(project=project).exists()


def _remove(deployment: Deployment, workloads: list[Workload]) -> None:
    for workload in workloads:
        workload_files_remove(workload)
    with transaction.atomic():
        deployment.delete()
        Workload.objects.filter(pk__in=[workload.pk for workload in workloads]).delete()
