"""The list of jobs, one of them, and what can be done with it."""

import uuid
from functools import partial
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, project_of
from accounts.models import Event, Role
from common.acting import acted
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.texts import id_of, text_of, whole
from jobs import services
from jobs.engines import engine_named
from jobs.models import Job, JobQuerySet
from jobs.services import reading
from jobs.services.endings import log_tail
from jobs.views.common import KINDS, attempt_or_404, job_or_404, summary, told

PAGE_ROWS = 25
TABS = ("progress", "config", "data", "checkpoints", "events", "files", "log")


def _filtered(request: HttpRequest, rows: JobQuerySet) -> JobQuerySet:
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    text, model = text_of(request.GET, "q"), request.GET.get("model", "")
    if kind in Job.Kind.values:
        rows = rows.filter(kind=kind)
    if state == "active":
        rows = rows.active()
    elif state in Job.State.values:
        rows = rows.filter(state=state)
    if text:
        rows = rows.containing(text)
    if not model:
        return rows
    wanted = id_of(model)
    return rows.filter(model_version__model_id=wanted) if wanted else rows.none()


@login_required
@require_GET
@vary_on_headers("HX-Request")
def job_list(request: HtmxRequest) -> HttpResponse:
    """The project's jobs, the newest first."""
    user, project = actor(request), project_of(request)
    everything = Job.objects.visible_to(user).filter(project=project)
    rows = _filtered(request, everything.select_related("model_version__model")).defer(
        "config", "config_overrides", "estimate", "result"
    )
    rows = rows.prefetch_related("datasets__dataset_version__dataset")
    page = Paginator(rows, PAGE_ROWS).get_page(request.GET.get("page"))
    left = reading.remainings(page)
    context = {
        "nav": "training",
        "project": project,
        "page": page,
        "rows": [
            {"job": job, "kind": KINDS[job.state], "remaining": left.get(job.pk)} for job in page
        ],
        "kinds": Job.Kind.choices,
        "states": [("active", _("waiting or running")), *Job.State.choices],
        "is_filtered": any(request.GET.get(name) for name in ("kind", "state", "q", "model")),
        "has_any": bool(page.paginator.count) or everything.exists(),
        "may_edit": project.role_of(user) >= Role.RESEARCHER,
    }
    fragment = wants_fragment(request.htmx)
    return render(request, "jobs/_job_rows.html" if fragment else "jobs/job_list.html", context)


def _tabs(job: Job, on: str) -> list[dict[str, Any]]:
    names = {
        "progress": _("Progress"),
        "config": _("Configuration"),
        "data": _("Data"),
        "checkpoints": _("Checkpoints"),
        "events": _("Events"),
        "files": _("Files"),
        "log": _("Log"),
    }
    if job.kind != Job.Kind.TRAIN:
        del names["checkpoints"]
    if job.kind == Job.Kind.EXPORT:
        del names["data"]
    counts = {"checkpoints": job.checkpoints.filter(is_present=True).count()}
    return [
        {"url": f"?tab={name}", "text": text, "on": name == on, "count": counts.get(name) or ""}
        for name, text in names.items()
    ]


@login_required
@require_GET
@vary_on_headers("HX-Request")
def job_detail(request: HtmxRequest, job_id: uuid.UUID) -> HttpResponse:
    """One job: its state and progress, and a part of what is known of it."""
    job = job_or_404(request, job_id)
    tab = request.GET.get("tab", "")
    tab = tab if tab in TABS else "progress"
    attempt = job.latest_attempt()
    position, waits = reading.waiting_note(attempt)
    may_edit = Job.objects.editable_by(actor(request)).filter(pk=job.pk).exists()
    engine = engine_named(job.engine)
    context = {
        "nav": "training",
        "job": job,
        "tab": tab,
        "tabs": _tabs(job, tab),
        "kind": KINDS[job.state],
        "summary": summary(job),
        "used": job.datasets.select_related("dataset_version__dataset"),
        "attempt": attempt,
        "attempts": list(job.attempts.select_related("workload__node", "resumed_from")),
        "node": attempt.workload.node if attempt else None,
        "position": position,
        "waits": waits,
        "sends": reading.sending_note(attempt),
        "remaining": reading.remaining(job),
        "tiles": reading.tiles(job),
        "charts": reading.charts(job),
        "advice": reading.advice_of(job),
        "actions": reading.actions_of(job) if may_edit else [],
        "why_not_pausable": services.why_not_pausable(job),
        "engine": {"title": engine.title, "version": engine.version()},
        "facts": reading.facts_of(job),
        "followers": job.clones.visible_to(actor(request)).filter(kind=Job.Kind.EVALUATE),
    }
    context |= _part(request, job, tab)
    fragment = wants_fragment(request.htmx) and "part" in request.GET
    name = "jobs/_job_head.html" if fragment else "jobs/job_detail.html"
    return render(request, name, context)


def _part(request: HttpRequest, job: Job, tab: str) -> dict[str, Any]:
    """What only one tab needs."""
    found: dict[str, Any] = {}
    if tab in {"progress", "events"}:
        rows = Event.objects.of(job).select_related("actor").order_by("-id")
        found["events"] = [told(row) for row in (rows[:6] if tab == "progress" else rows[:500])]
    if tab == "progress" and job.kind == Job.Kind.EVALUATE:
        found["score_names"], found["score_rows"] = reading.scores_of(job)
    if tab == "checkpoints":
        found["checkpoints"] = job.checkpoints.select_related("attempt").order_by("-saved_at")
    if tab in {"files", "log"} and job.attempts.exists():
        found["shown_attempt"] = attempt_or_404(request, job)
    if tab == "log" and found.get("shown_attempt"):
        found["tail"] = log_tail(found["shown_attempt"].workload.log_path)
    if tab == "files" and found.get("shown_attempt"):
        found["files"] = reading.files_of(found["shown_attempt"])
        found["bytes"] = sum(file.size for file in found["files"])
    return found


@login_required
@require_GET
def job_metrics(request: HttpRequest, job_id: uuid.UUID) -> JsonResponse:
    """Points for the charts."""
    job = job_or_404(request, job_id)
    wanted = [name for name in request.GET.get("series", "").split(",") if name]
    return JsonResponse(reading.series(job, wanted))


def _do(request: HttpRequest, job_id: uuid.UUID, act: Any, done: str, **more: Any) -> HttpResponse:
    job = job_or_404(request, job_id, edit=True)
    acted(request, partial(act, job.pk, by=actor(request), **more), done % {"name": job.name})
    return redirect("jobs:job_detail", job_id)


@login_required
@require_POST
def job_cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Ends a job."""
    return _do(request, job_id, services.job_cancel, _("“%(name)s” is cancelled."))


@login_required
@require_POST
def job_stop(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Ends a training and keeps what it learnt."""
    return _do(request, job_id, services.job_stop, _("“%(name)s” is being stopped and kept."))


@login_required
@require_POST
def job_pause(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Pauses a training."""
    return _do(request, job_id, services.job_pause, _("“%(name)s” is being paused."))


@login_required
@require_POST
def job_resume(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Resumes from the last or the posted checkpoint."""
    return _do(
        request,
        job_id,
        services.job_resume,
        _("“%(name)s” goes on."),
        checkpoint_id=whole(request.POST.get("checkpoint", ""), 18),
    )


@login_required
@require_POST
def job_retry(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Tries again."""
    return _do(
        request,
        job_id,
        services.job_retry,
        _("“%(name)s” is tried again."),
        from_start="from_start" in request.POST,
    )


@login_required
@require_POST
def job_delete(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Deletes a job."""
    job = job_or_404(request, job_id, edit=True)
    delete = partial(services.job_delete, job.pk, by=actor(request))
    if not acted(request, delete, _("“%(name)s” is deleted.") % {"name": job.name}):
        return redirect("jobs:job_detail", job_id)
    return redirect("jobs:job_list")
