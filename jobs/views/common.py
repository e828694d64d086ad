"""What the pages of jobs share."""

import uuid
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from accounts.http import actor
from accounts.models import Event
from common.phrases import gettext as _
from common.texts import whole
from jobs.models import Attempt, Job

KINDS = {
    "queued": "wait", "preparing": "run", "running": "run", "pausing": "wait", "paused": "wait",
    "stopping": "wait", "finalizing": "run", "stopped": "off", "cancelled": "off",
    "succeeded": "ok", "failed": "no",
}  # fmt: skip


def job_or_404(request: HttpRequest, job_id: uuid.UUID, *, edit: bool = False) -> Job:
    """The job when the user may see it, or change it."""
    user = actor(request)
    rows = Job.objects.with_parts()
    rows = rows.editable_by(user) if edit else rows.visible_to(user)
    return get_object_or_404(rows, pk=job_id)


def attempt_or_404(request: HttpRequest, job: Job) -> Attempt:
    """The attempt that `?attempt=` names, else the newest."""
    rows: QuerySet[Attempt] = job.attempts.select_related("workload__node")
    number = whole(request.GET.get("attempt", ""))
    found = rows.last() if number is None else rows.filter(number=number).first()
    if found is None:
        raise Http404
    return found


def told(event: Event) -> Event:
    """An event with its sentence."""
    words = {
        "submitted": _("Submitted"),
        "cancelled": _("Cancelled"),
        "stopped": _("Stop asked for, results are kept"),
        "paused": _("Pause asked for"),
        "resumed": _("Resumed"),
        "retried": _("Tried again"),
        "priority": _("Priority %(n)s") % {"n": event.data.get("priority", "")},
        "evaluation_refused": _("The evaluation afterwards was refused"),
    }
    states = {
        "queued": _("Waits"),
        "preparing": _("Placed on a node"),
        "running": _("Running"),
        "paused": _("Paused: checkpoint saved, place free"),
        "pausing": _("Pausing"),
        "stopping": _("Stopping"),
        "finalizing": _("Registering what came out"),
        "stopped": _("Stopped"),
        "cancelled": _("Cancelled"),
        "succeeded": _("Done"),
        "failed": _("Failed"),
    }
    text = words.get(event.verb) if event.verb != "state" else states.get(event.new)
    event.text = text or event.verb  # type: ignore[attr-defined]
    return event


def summary(job: Job) -> list[str]:
    """What it is, in a few words each."""
    parts: list[Any] = []
    if job.kind == Job.Kind.TRAIN:
        method = job.get_method_display()
        rank = job.settings.get("lora_rank")
        parts.append(f"{job.stage.upper()} · {method}" + (f" r{rank}" if rank else ""))
    else:
        parts.append(job.get_kind_display())
    parts.append(job.model_version)
    return [str(part) for part in parts]
