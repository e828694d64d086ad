"""Pages of deployments: the list, a new one, one of them."""

import uuid
from functools import partial
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, project_of
from accounts.models import Event, Project, Role
from common.acting import acted
from common.downloads import Download
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.texts import id_of
from inference import services
from inference.forms import DeploymentForm
from inference.models import Deployment
from inference.services.moves import idle_default
from nodes.services import queue_position

PAGE_ROWS = 50


@login_required
@require_GET
@vary_on_headers("HX-Request")
def deployment_list(request: HtmxRequest) -> HttpResponse:
    """The project's deployments, those in service first."""
    user, project = actor(request), project_of(request)
    rows = (
        Deployment.objects.visible_to(user)
        .filter(project=project)
        .select_related("version__model", "created_by", "project")
    )
    ended = Paginator(rows.filter(state__in=Deployment.FINAL), PAGE_ROWS)
    context = {
        "nav": "deployments",
        "active": [_shown(row) for row in rows.active()],
        "page": ended.get_page(request.GET.get("page")),
        "may_deploy": project.role_of(user) >= Role.DEVELOPER,
        "project": project,
        "limit": user.max_deployments,
        "mine": Deployment.objects.active().filter(created_by=user).count(),
    }
    fragment = wants_fragment(request.htmx)
    name = "inference/_deployment_rows.html" if fragment else "inference/deployment_list.html"
    return render(request, name, context)


@login_required
@require_http_methods(["GET", "POST"])
def deployment_create(request: HttpRequest) -> HttpResponse:
    """Puts a version into service."""
    user, project = actor(request), project_of(request)
    if not Project.objects.with_role(user, Role.DEVELOPER).filter(pk=project.pk).exists():
        raise Http404
    initial = {
        "version": request.GET.get("version", ""),
        "idle_minutes": max(idle_default() // 60, 1),
    }
    bound = request.POST if request.method == "POST" else None
    form = DeploymentForm(bound, project=project, initial=initial)
    if form.is_valid():
        try:
            deployment = services.deployment_create(
                project=project,
                created_by=user,
                version=form.cleaned_data["version"],
                idle_seconds=form.cleaned_data["idle_minutes"] * 60,
            )
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("inference:deployment_detail", deployment.pk)
    mine = Deployment.objects.active().filter(created_by=user).select_related("project")
    context = {
        "nav": "deployments",
        "form": form,
        "mine": list(mine),
        "full": sum(row.state != Deployment.State.STOPPING for row in mine) >= user.max_deployments,
        "limit": user.max_deployments,
    }
    status = 422 if form.is_bound else 200
    return render(request, "inference/deployment_create.html", context, status=status)


@login_required
@require_GET
@vary_on_headers("HX-Request")
def deployment_detail(request: HtmxRequest, deployment_id: uuid.UUID) -> HttpResponse:
    """One deployment: its state, how to use it, its log and what happened to it."""
    user = actor(request)
    rows = Deployment.objects.visible_to(user).select_related(
        "version__model", "created_by", "project"
    )
    deployment = get_object_or_404(rows, pk=deployment_id)
    context = _shown(deployment) | {
        "nav": "deployments",
        "may_edit": Deployment.objects.editable_by(user).filter(pk=deployment.pk).exists(),
        "events": Event.objects.of(deployment).select_related("actor").order_by("-id")[:50],
        "address": request.build_absolute_uri("/v1"),
    }
    name = "deployment_detail"
    if wants_fragment(request.htmx):
        name = "_events" if request.GET.get("part") == "events" else "_deployment_state"
    return render(request, f"inference/{name}.html", context)


@login_required
@require_GET
def deployment_log(request: HttpRequest, deployment_id: uuid.UUID) -> HttpResponseBase:
    """The newest replica's log as a file."""
    rows = Deployment.objects.visible_to(actor(request))
    deployment = get_object_or_404(rows, pk=deployment_id)
    replica = deployment.replica
    if replica is None or not replica.workload.log_path.exists():
        raise Http404
    return Download(
        replica.workload.log_path.open("rb"),
        as_attachment=True,
        filename=f"{deployment.name}.log",
        content_type="text/plain; charset=utf-8",
    )


@login_required
@require_POST
def deployment_stop(request: HttpRequest, deployment_id: uuid.UUID) -> HttpResponse:
    """Ends the service."""
    return _done(request, deployment_id, services.deployment_stop, _("“{name}” is being stopped."))


@login_required
@require_POST
def deployment_restart(request: HttpRequest, deployment_id: uuid.UUID) -> HttpResponse:
    """Deploys again."""
    return _done(request, deployment_id, services.deployment_restart, _("“{name}” is starting."))


@login_required
@require_POST
def deployment_delete(request: HttpRequest, deployment_id: uuid.UUID) -> HttpResponse:
    """Removes an ended deployment from the list."""
    rows = Deployment.objects.editable_by(actor(request))
    deployment = get_object_or_404(rows, pk=deployment_id)
    delete = partial(services.deployment_delete, deployment.pk, by=actor(request))
    if not acted(request, delete, _("“{name}” was deleted.").format(name=deployment.name)):
        return redirect("inference:deployment_detail", deployment.pk)
    return redirect("inference:deployment_list")


def _done(request: HttpRequest, deployment_id: uuid.UUID, change: Any, said: str) -> HttpResponse:
    """Makes a change and goes back to where the button was."""
    user = actor(request)
    deployment = get_object_or_404(Deployment.objects.editable_by(user), pk=deployment_id)
    acted(request, partial(change, deployment.pk, by=user), said.format(name=deployment.name))
    back = request.POST.get("back", "")
    if back == "list":
        return redirect("inference:deployment_list")
    if back.startswith("chat:"):
        if (chat := id_of(back.removeprefix("chat:"))) is None:
            raise Http404
        return redirect("inference:conversation_detail", chat)
    return redirect("inference:deployment_detail", deployment.pk)


def _shown(deployment: Deployment) -> dict[str, Any]:
    """A deployment with what its place and process say."""
    replica = deployment.replica
    workload = replica.workload if replica else None
    waits = ""
    place = 0
    if workload is not None and deployment.state == Deployment.State.WAITING:
        place, waits = queue_position(workload)
    return {
        "deployment": deployment,
        "workload": workload,
        "node": workload.node if workload else None,
        "place": place,
        "waits": waits,
        "kind": state_kind(deployment.state),
    }


def state_kind(state: str) -> str:
    """Which colour a state has."""
    kinds = {"ready": "ok", "failed": "no", "waiting": "wait", "loading": "run", "stopping": "run"}
    return kinds.get(state, "off")
