"""Workloads of a project that was deleted."""

import shutil
import time
from collections.abc import Iterable

from accounts.models import Project
from nodes.models import Workload


def workload_files_remove(workload: Workload) -> None:
    """Removes what an ended workload wrote; again and again does no harm."""
    shutil.rmtree(workload.directory, ignore_errors=True)
    workload.log_path.unlink(missing_ok=True)
    workload.socket_path.unlink(missing_ok=True)


def project_empty(project: Project, *, until: float) -> bool:
    """Removes the project's workloads, files first; whether some are left.

    What has not ended is left to its end. `until` is of the monotonic clock.
    """
    ended: Iterable[Workload] = Workload.objects.filter(project=project, state=Workload.State.ENDED)
    for workload in ended:
        if time.monotonic() > until:
            break
        workload_files_remove(workload)
        workload.delete()
    return Workload.objects.filter(project=project).exists()
