"""Pages of imports from hubs, stores of objects and shared directories."""

import uuid
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, operator_required, project_of
from accounts.models import Event, Role
from common.acting import acted
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.texts import id_of
from datasets import services
from datasets.import_forms import FORMS, ResumeForm
from datasets.models import Dataset, DatasetVersion, Import

_SHOWN = ("project", "created_by", "dataset")


def ways(chosen: str) -> list[dict[str, Any]]:
    """The ways in which data gets in, as tabs."""
    upload: dict[str, Any] = {
        "url": reverse("datasets:dataset_create"),
        "text": _("Upload or paste"),
        "kind": "",
    }
    places: list[dict[str, Any]] = [
        {
            "url": f"{reverse('datasets:import_create')}?kind={kind.value}",
            "text": kind.label,
            "kind": kind.value,
        }
        for kind in Import.Kind
    ]
    return [{**way, "on": way["kind"] == chosen} for way in (upload, *places)]


@require_http_methods(["GET", "POST"])
@login_required
def import_create(request: HtmxRequest) -> HttpResponse:
    """The form that says where data is; of a kind of place that there is not, 404."""
    user, project = actor(request), project_of(request)
    kind = request.POST.get("kind") or request.GET.get("kind") or Import.Kind.HUGGINGFACE.value
    if kind not in FORMS:
        raise Http404
    bound = request.POST if request.method == "POST" else None
    datasets = Dataset.objects.editable_by(user).filter(project=project).order_by("name")
    form = FORMS[kind](bound, initial=_initial(request, kind), datasets=datasets)
    closed = services.import_kinds()[kind]
    if form.is_valid():
        dataset = form.cleaned_data["dataset"]
        try:
            found = services.import_create(
                project=project,
                created_by=user,
                kind=kind,
                reference=form.reference(),
                secrets=form.keys(),
                name=form.cleaned_data["name"],
                dataset_id=dataset.pk if dataset else None,
            )
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("datasets:import_detail", found.pk)
    context = {
        "form": form,
        "kind": kind,
        "ways": ways(kind),
        "closed": closed,
        "project": project,
        "may_create": project.role_of(user) >= Role.RESEARCHER,
        "nav": "datasets",
    }
    if kind == Import.Kind.DIRECTORY and not closed and context["may_create"]:
        context |= _browsed(request)
    status = 422 if form.is_bound else 200
    return render(request, "datasets/import_create.html", context, status=status)


def _initial(request: HttpRequest, kind: str) -> dict[str, Any]:
    """What another import asked for, to try it again; else what the address says."""
    wanted = id_of(request.GET.get("again", ""))
    if wanted is None:
        return {name: request.GET.get(name, "") for name in ("directory", "path", "repository")}
    seen = Import.objects.visible_to(request.user).filter(pk=wanted, kind=kind).first()
    if seen is None:
        return {}
    given: dict[str, Any] = seen.reference
    return {**given, "patterns": ", ".join(given.get("files", ())), "name": seen.name,
            "dataset": seen.dataset_id}  # fmt: skip


def _browsed(request: HttpRequest) -> dict[str, Any]:
    """What lies in the folder that the address names, with links further down and up."""
    root = request.GET.get("directory") or settings.SHARED_DIRECTORIES[0]
    path = request.GET.get("path", "").strip("/")
    try:
        entries = services.shared_entries(root, path)
    except DomainError as refused:
        return {"browse_problem": refused.message}
    above = str(PurePosixPath(path).parent) if path else None
    return {
        "root": root,
        "path": path,
        "above": None if above is None else _address(root, "" if above == "." else above),
        "entries": [
            {"entry": one, "url": _address(root, f"{path}/{one.name}".strip("/"))}
            for one in entries
        ],
    }


def _address(root: str, path: str) -> str:
    return f"?{urlencode({'kind': Import.Kind.DIRECTORY.value, 'directory': root, 'path': path})}"


@require_GET
@vary_on_headers("HX-Request")
@login_required
def import_list(request: HtmxRequest) -> HttpResponse:
    """The project's imports, the newest first."""
    project = project_of(request)
    imports = Import.objects.visible_to(actor(request)).filter(project=project)
    rows = imports.select_related("created_by", "dataset", "version__dataset")
    page = Paginator(rows, 25).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "is_live": any(found.is_active for found in page),
        "project": project,
        "may_create": project.role_of(actor(request)) >= Role.RESEARCHER,
        "nav": "datasets",
    }
    part = wants_fragment(request.htmx)
    template = "datasets/_import_table.html" if part else "datasets/import_list.html"
    return render(request, template, context)


@require_GET
@vary_on_headers("HX-Request")
@login_required
def import_detail(request: HtmxRequest, import_id: uuid.UUID) -> HttpResponse:
    """How far an import is and what came of it; renews itself while it lasts."""
    imports = Import.objects.visible_to(actor(request))
    found = get_object_or_404(imports.select_related(*_SHOWN), pk=import_id)
    return _import_page(request, found, ResumeForm(found=found))


def _import_page(request: HtmxRequest, found: Import, form: ResumeForm) -> HttpResponse:
    user = actor(request)
    versions = DatasetVersion.objects.visible_to(user).select_related("dataset")
    context = {
        "found": found,
        "form": form,
        "version": versions.filter(pk=found.version_id).first() if found.version_id else None,
        "may_edit": Import.objects.editable_by(user).filter(pk=found.pk).exists(),
        "events": Event.objects.filter(subject_id=found.pk).select_related("actor").order_by("-id"),
        "nav": "datasets",
    }
    part = wants_fragment(request.htmx)
    template = "datasets/_import_state.html" if part else "datasets/import_detail.html"
    return render(request, template, context, status=422 if form.is_bound else 200)


@require_POST
@login_required
def import_resume(request: HtmxRequest, import_id: uuid.UUID) -> HttpResponse:
    """Has a failed import go on."""
    user = actor(request)
    imports = Import.objects.editable_by(user).select_related(*_SHOWN)
    found = get_object_or_404(imports, pk=import_id)
    form = ResumeForm(request.POST, found=found)
    if form.is_valid():
        try:
            services.import_resume(found.pk, by=user, secrets=form.cleaned_data)
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("datasets:import_detail", found.pk)
    return _import_page(request, found, form)


@require_POST
@login_required
def import_choose(request: HtmxRequest, import_id: uuid.UUID) -> HttpResponse:
    """Goes on with what was chosen."""
    user = actor(request)
    found = get_object_or_404(Import.objects.editable_by(user), pk=import_id)
    choices = request.POST.getlist("choices")
    acted(request, partial(services.import_choose, found.pk, choices, by=user))
    return redirect("datasets:import_detail", found.pk)


@require_POST
@login_required
def import_cancel(request: HtmxRequest, import_id: uuid.UUID) -> HttpResponse:
    """Ends an import."""
    user = actor(request)
    found = get_object_or_404(Import.objects.editable_by(user), pk=import_id)
    cancel = partial(services.import_cancel, found.pk, by=user)
    acted(request, cancel, _("The import is cancelled. Nothing of it is kept."))
    return redirect("datasets:import_detail", found.pk)


@require_POST
@operator_required
def public_fetch(request: HtmxRequest, dataset_id: uuid.UUID) -> HttpResponse:
    """Has a dataset of the public list fetched."""
    user = actor(request)
    dataset = get_object_or_404(Dataset.objects.editable_by(user), pk=dataset_id)
    try:
        found = services.public_fetch(dataset.pk, kind=request.POST.get("kind", ""), by=user)
    except DomainError as refused:
        messages.error(request, refused.message)
        return redirect("datasets:version_list", dataset.pk)
    return redirect("datasets:import_detail", found.pk)
