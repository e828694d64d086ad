"""Pages that make a new job."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.http import actor, project_of
from accounts.models import Project, Role
from common.errors import DomainError
from common.htmx import HtmxRequest, wants_fragment
from common.texts import id_of
from jobs.engines import engine_named
from jobs.forms import DATA, JobPage, data_of
from jobs.models import Job
from jobs.services import reading
from jobs.services.drafts import ENGINE

NAVS = {"train": "training", "evaluate": "evaluation", "export": "models"}


@login_required
@require_http_methods(["GET", "POST"])
def job_create(request: HtmxRequest) -> HttpResponse:
    """A new training; `kind` names an evaluation or an export instead."""
    kind = request.POST.get("kind") or request.GET.get("kind") or Job.Kind.TRAIN
    if kind not in Job.Kind.values:
        raise Http404
    return _new(request, kind)


def _parent(request: HttpRequest) -> Job | None:
    """The earlier run that the form starts from."""
    named = request.GET.get("from") or request.POST.get("parent")
    if not named:
        return None
    return get_object_or_404(Job.objects.visible_to(actor(request)), pk=id_of(named))


def _first_data(request: HttpRequest, parent: Job | None) -> QueryDict:
    """What the form starts with: an earlier run, or what the address names."""
    if parent is not None:
        advice = reading.advice_of(parent) if "advice" in request.GET else None
        data = data_of(parent, advice.changes if advice else None)
    else:
        data = QueryDict(mutable=True)
        for name in ("stage", "method", "preset", "name"):
            if request.GET.get(name):
                data[name] = request.GET[name]
    for short, name in (("model", "model_version"), ("data", DATA[0]), ("dataset", DATA[0])):
        if request.GET.get(short):
            data[name] = request.GET[short]
    data["form_key"] = uuid.uuid4().hex
    return data


def _new(request: HtmxRequest, kind: str) -> HttpResponse:
    user, project = actor(request), project_of(request)
    if not Project.objects.with_role(user, Role.RESEARCHER).filter(pk=project.pk).exists():
        raise Http404
    parent = _parent(request)
    posted = request.method == "POST"
    data = request.POST.copy() if posted else _first_data(request, parent)
    page = JobPage(kind, user, project, data, parent)
    status = 200
    if posted and page.is_started:
        try:
            job = page.submit()
        except DomainError as refused:
            status = refused.http_status
        else:
            return _gone(request, job)
    page.settle()
    fragment = posted and wants_fragment(request.htmx)
    template = "jobs/_new.html" if fragment else "jobs/job_new.html"
    return render(request, template, _context(page), status=status)


def _gone(request: HtmxRequest, job: Job) -> HttpResponse:
    address = reverse("jobs:job_detail", args=[job.pk])
    if request.htmx:
        return HttpResponse(headers={"HX-Redirect": address})
    return redirect(address)


def _context(page: JobPage) -> dict[str, Any]:
    return {
        "nav": NAVS[page.kind],
        "page": page,
        "form": page.form,
        "parent": page.parent,
        "engine_version": engine_named(ENGINE).version(),
        "earlier": Job.objects.visible_to(page.user).filter(project=page.project, kind=page.kind)[
            :10
        ],
    }
