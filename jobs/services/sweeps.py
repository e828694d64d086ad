"""Finds what a lost message or a killed process left lying."""

import logging
import shutil
import time
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from jobs.models import Attempt, Job
from jobs.services.endings import workload_follow
from jobs.services.progress import metrics_take_in
from nodes.models import Workload

logger = logging.getLogger(__name__)
FINISH_SECONDS = 60
ORPHAN_SECONDS = 3600


def jobs_sweep() -> int:
    """Follows what was missed and nudges what waits too long; how many jobs were touched."""
    touched = 0
    current = Job.objects.active().exclude(state=Job.State.FINALIZING)
    for attempt in Attempt.objects.filter(job__in=current).select_related("job", "workload"):
        waits = attempt.workload.state == Workload.State.WAITING
        if waits and attempt.job.state == Job.State.QUEUED:
            continue
        touched += 1
        try:
            metrics_take_in(attempt.pk)
            workload_follow(attempt.workload_id)
        except Exception:  # one job's trouble must not keep the others from being looked at
            logger.exception("job %s could not be followed", attempt.job_id)
    overdue = timezone.now() - timedelta(seconds=FINISH_SECONDS)
    waiting = Job.objects.filter(state=Job.State.FINALIZING)
    for job in waiting.filter(Q(attempts__ended_at__lt=overdue)).distinct():
        touched += 1
        async_task("jobs.tasks.job_finish", str(job.pk), cluster="web")
    _orphans_remove()
    return touched


def _orphans_remove() -> None:
    """Data folders of jobs that were never committed."""
    root = Path(settings.TRAINER_HOME) / "data" / "jobs"
    if not root.is_dir():
        return
    for folder in root.iterdir():
        old = time.time() - folder.stat().st_mtime > ORPHAN_SECONDS
        if old and not Job.objects.filter(pk=folder.name).exists():
            shutil.rmtree(folder, ignore_errors=True)
