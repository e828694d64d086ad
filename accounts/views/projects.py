"""Pages of projects and their people."""

import uuid
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import models
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import services
from accounts.forms import (
    LimitsForm,
    MemberForm,
    ProjectDeleteForm,
    ProjectForm,
    RoleForm,
    SwitchForm,
)
from accounts.http import actor, project_of, work_in
from accounts.models import Event, Membership, Project, Role, User
from common.acting import acted
from common.forms import accepted
from common.phrases import gettext as _
from common.texts import text_of

GIB = 2**30
PER_PAGE = 30


@login_required
@require_GET
def project_list(request: HttpRequest) -> HttpResponse:
    """The projects one is in; operators see all and their own first."""
    user = actor(request)
    mine = Membership.objects.filter(user=user, project=models.OuterRef("pk")).values("role")[:1]
    projects = (
        Project.objects.visible_to(user)
        .annotate(
            role=models.Subquery(mine),
            people=models.Count("memberships"),
            others=models.Case(
                models.When(personal_of=user, then=0),
                models.When(role__gt=0, then=1),
                default=2,
            ),
        )
        .order_by("others", "name")
    )
    search = text_of(request.GET, "q")
    rows = projects.filter(name__icontains=search).select_related("personal_of")
    shown = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    page = {
        "nav": "project",
        "projects": _with_role_names(shown.object_list),
        "page": shown,
        "search": search,
        "now": project_of(request),
    }
    return render(request, "accounts/project_list.html", page)


def _with_role_names(projects: Iterable[Any]) -> list[dict[str, Any]]:
    return [
        {
            "project": row,
            "people": row.people,
            "role": Role(row.role).label if row.role else "",
        }
        for row in projects
    ]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def project_create(request: HttpRequest) -> HttpResponse:
    """A new project, in which one works from then on."""
    form = ProjectForm(request.POST if request.method == "POST" else None)
    made: list[Project] = []

    def create(data: dict[str, Any]) -> None:
        made.append(services.project_create(name=data["name"], created_by=actor(request)))

    if form.is_bound and accepted(form, create):
        work_in(request, made[0])
        messages.success(
            request, _("%(project)s is there. Add the people next.") % {"project": made[0].name}
        )
        return redirect("accounts:project_detail", made[0].pk)
    page = {"nav": "project", "form": form}
    return render(
        request, "accounts/project_create.html", page, status=422 if form.is_bound else 200
    )


@login_required
@require_GET
def project_current(request: HttpRequest) -> HttpResponse:
    """To the project one works in."""
    return redirect("accounts:project_detail", project_of(request).pk)


@login_required
@require_GET
def project_detail(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """The project's people, limits and trail."""
    project = get_object_or_404(Project.objects.visible_to(actor(request)), pk=project_id)
    return _project_page(request, project)


def _project_page(request: HttpRequest, project: Project, **forms: Form) -> HttpResponse:
    """The page of a project, with a refused form in the place of a fresh one."""
    user = actor(request)
    manages = Project.objects.editable_by(user).filter(pk=project.pk).exists()
    people = project.memberships.select_related("user").order_by("-role", "user__username")
    limits = {
        "max_active_jobs": project.max_active_jobs,
        "max_storage_gib": round(project.max_storage_bytes / GIB, 2),
    }
    page = {
        "nav": "project",
        "project": project,
        "is_personal": project.personal_of_id is not None,
        "is_current": project_of(request).pk == project.pk,
        "is_member": any(row.user_id == user.pk for row in people),
        "manages": manages,
        "may_go": manages and not services.why_not_deletable(project),
        "people": people,
        "roles": Role.choices,
        "usage": _usage(project),
        "events": Event.objects.visible_to(user)
        .of(project)
        .select_related("actor")
        .order_by("-id")[:20],
        "rename_form": ProjectForm(initial={"name": project.name}),
        "member_form": MemberForm(),
        "limits_form": LimitsForm(initial=limits),
        **forms,
    }
    return render(request, "accounts/project_detail.html", page, status=422 if forms else 200)


def _usage(project: Project) -> dict[str, Any]:
    """What is used of the limits, with percentages where the apps above count it."""
    used = services.project_usage_of(project)
    jobs, stored = used.get("active_jobs"), used.get("storage_bytes")
    return {
        "jobs": jobs,
        "jobs_percent": _percent(jobs, project.max_active_jobs),
        "storage": stored,
        "storage_percent": _percent(stored, project.max_storage_bytes),
    }


def _percent(used: int | None, limit: int) -> int | None:
    if used is None:
        return None
    return min(100, round(100 * used / limit)) if limit else 100


@login_required
@require_POST
def project_switch(request: HttpRequest) -> HttpResponse:
    """Works in the posted `project` from now on; goes to `next`, where that is ours, else home."""
    form = SwitchForm(request.POST)
    wanted = form.cleaned_data["project"] if form.is_valid() else None
    project = get_object_or_404(Project.objects.visible_to(actor(request)), pk=wanted)
    work_in(request, project)
    messages.success(request, _("You work in %(project)s now.") % {"project": project.name})
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure())
    return redirect(target if safe else reverse("home"))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def project_delete(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """What goes with the project, why it cannot go now, and its end."""
    project, user = _managed(request, project_id), actor(request)
    form = ProjectDeleteForm(request.POST if request.method == "POST" else None)

    def delete(data: dict[str, Any]) -> None:
        services.project_delete(project.pk, name=data["name"], by=user)

    if form.is_bound and accepted(form, delete):
        messages.success(request, _("%(project)s is deleted.") % {"project": project.name})
        return redirect("accounts:project_list")
    page = {
        "nav": "project",
        "project": project,
        "form": form,
        "never": services.why_not_deletable(project),
        "work": services.project_work_of(project),
        "contents": services.project_contents_of(project),
        "people": project.memberships.count(),
    }
    return render(
        request, "accounts/project_delete.html", page, status=422 if form.is_bound else 200
    )


def _managed(request: HttpRequest, project_id: uuid.UUID) -> Project:
    return get_object_or_404(Project.objects.editable_by(actor(request)), pk=project_id)


@login_required
@require_POST
def project_rename(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """Another name for the project."""
    project, form = _managed(request, project_id), ProjectForm(request.POST)

    def rename(data: dict[str, Any]) -> None:
        services.project_rename(project.pk, name=data["name"], by=actor(request))

    if not accepted(form, rename):
        return _project_page(request, project, rename_form=form)
    messages.success(request, _("Saved."))
    return redirect("accounts:project_detail", project.pk)


@login_required
@require_POST
def project_limits_set(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """What the project may use; for operators."""
    everyones = Project.objects.all() if actor(request).is_staff else Project.objects.none()
    project, form = get_object_or_404(everyones, pk=project_id), LimitsForm(request.POST)

    def limit(data: dict[str, Any]) -> None:
        services.project_limits_set(
            project.pk,
            by=actor(request),
            max_active_jobs=data["max_active_jobs"],
            max_storage_bytes=round(data["max_storage_gib"] * GIB),
        )

    if not accepted(form, limit):
        return _project_page(request, project, limits_form=form)
    messages.success(request, _("Saved."))
    return redirect("accounts:project_detail", project.pk)


@login_required
@require_POST
def project_leave(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """Ends one's own membership."""
    user = actor(request)
    project = get_object_or_404(Project.objects.filter(memberships__user=user), pk=project_id)
    leave = partial(services.project_leave, project.pk, by=user)
    if not acted(request, leave, _("You have left %(project)s.") % {"project": project.name}):
        return redirect("accounts:project_detail", project.pk)
    return redirect("accounts:project_list")


@login_required
@require_POST
def member_add(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """A new member, by user name or e-mail address."""
    project, form = _managed(request, project_id), MemberForm(request.POST)

    def add(data: dict[str, Any]) -> None:
        services.member_add(project.pk, who=data["user"], role=data["role"], by=actor(request))

    if not accepted(form, add):
        return _project_page(request, project, member_form=form)
    messages.success(request, _("%(user)s is in.") % {"user": form.cleaned_data["user"]})
    return redirect("accounts:project_detail", project.pk)


def _member(project: Project, user_id: uuid.UUID) -> User:
    membership = get_object_or_404(project.memberships.select_related("user"), user_id=user_id)
    return membership.user


@login_required
@require_POST
def member_set(request: HttpRequest, project_id: uuid.UUID, user_id: uuid.UUID) -> HttpResponse:
    """Another role for a member."""
    project, form = _managed(request, project_id), RoleForm(request.POST)
    user = _member(project, user_id)

    def change(data: dict[str, Any]) -> None:
        services.member_set(project.pk, user.pk, role=data["role"], by=actor(request))

    if accepted(form, change):
        messages.success(
            request,
            _("%(user)s is %(role)s now.")
            % {"user": user.username, "role": Role(form.cleaned_data["role"]).label},
        )
    else:
        for errors in form.errors.values():
            messages.error(request, " ".join(map(str, errors)))
    return redirect("accounts:project_detail", project.pk)


@login_required
@require_POST
def member_remove(request: HttpRequest, project_id: uuid.UUID, user_id: uuid.UUID) -> HttpResponse:
    """Takes a member out; what the member made stays."""
    project = _managed(request, project_id)
    user = _member(project, user_id)
    remove = partial(services.member_remove, project.pk, user.pk, by=actor(request))
    acted(request, remove, _("%(user)s is out.") % {"user": user.username})
    return redirect("accounts:project_detail", project.pk)
