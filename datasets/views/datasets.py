"""Pages of datasets."""

import uuid
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, project_of
from accounts.models import Event, Role
from common.acting import acted
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.texts import text_of
from datasets import services
from datasets.forms import FileForm, SettingsForm, UploadForm
from datasets.models import Dataset, DatasetQuerySet, DatasetVersion, Import, Revision, Upload
from datasets.views.imports import ways
from datasets.views.rows import version_rows
from datasets.views.shared import dataset_context, open_uploads


def _filtered(request: HttpRequest, datasets: DatasetQuerySet) -> dict[str, Any]:
    """The datasets that the query names, in pages, and the query as it was understood."""
    search = text_of(request.GET, "q")
    shape = request.GET.get("shape", "")
    if search:
        datasets = datasets.with_words(search)
    if shape in DatasetVersion.Shape.values:
        datasets = datasets.of_shape(shape)
    rows = (
        datasets.select_related("project")
        .with_latest()
        .annotate(use_count=Count("versions__jobs", distinct=True))
    )
    return {
        "page": Paginator(rows, 25).get_page(request.GET.get("page")),
        "search": search,
        "shape": shape,
        "shapes": DatasetVersion.Shape.choices,
        "nav": "datasets",
    }


@require_GET
@vary_on_headers("HX-Request")
@login_required
def dataset_list(request: HtmxRequest) -> HttpResponse:
    """The project's datasets, and public ones."""
    user = actor(request)
    project = project_of(request)
    scope = request.GET.get("scope", "project")
    datasets = Dataset.objects.visible_to(user)
    if scope == "public":
        datasets = datasets.filter(is_public=True)
    elif scope == "shared":
        datasets = datasets.shared_with(user)
    elif scope != "all":
        scope = "project"
        datasets = datasets.filter(project=project)
    context = _filtered(request, datasets) | {
        "scope": scope,
        "project": project,
        "may_create": project.role_of(user) >= Role.RESEARCHER,
        "shared_count": Dataset.objects.shared_with(user).count(),
    }
    part = wants_fragment(request.htmx)
    template = "datasets/_dataset_table.html" if part else "datasets/dataset_list.html"
    return render(request, template, context)


@require_GET
@vary_on_headers("HX-Request")
def dataset_public(request: HtmxRequest) -> HttpResponse:
    """Public datasets, for readers without an account, too."""
    context = _filtered(request, Dataset.objects.filter(is_public=True)) | {"scope": "public"}
    part = wants_fragment(request.htmx)
    template = "datasets/_dataset_table.html" if part else "datasets/dataset_public.html"
    return render(request, template, context)


@require_http_methods(["GET", "POST"])
@login_required
def dataset_create(request: HtmxRequest) -> HttpResponse:
    """The form that uploads a new dataset."""
    user = actor(request)
    project = project_of(request)
    may_publish = project.role_of(user) >= Role.MANAGER
    bound = (request.POST, request.FILES) if request.method == "POST" else ()
    form = UploadForm(*bound, user=user, may_publish=may_publish)
    if form.is_valid():
        data = form.cleaned_data
        try:
            dataset = services.dataset_create(
                project=project,
                created_by=user,
                name=data["name"],
                upload=data["upload"],
                remark=data["remark"],
                is_public=data.get("is_public", False),
            )
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("datasets:dataset_detail", dataset.pk)
    return render(
        request,
        "datasets/dataset_create.html",
        {
            "form": form,
            "project": project,
            "open_uploads": open_uploads(request, project),
            "ways": ways(""),
            "nav": "datasets",
            "may_create": project.role_of(user) >= Role.RESEARCHER,
        },
        status=422 if form.is_bound else 200,
    )


@require_POST
@login_required
def upload_delete(request: HtmxRequest, upload_id: uuid.UUID) -> HttpResponse:
    """Discards an upload that did not become a version, with the others of its folder."""
    mine = Upload.objects.editable_by(request.user)
    upload = get_object_or_404(mine, pk=upload_id)
    services.uploads_delete(mine.beside(upload))
    name = upload.folder or upload.filename
    messages.success(request, _("“%(name)s” is discarded.") % {"name": name})
    return redirect("datasets:dataset_create")


@require_GET
def dataset_detail(request: HtmxRequest, dataset_id: uuid.UUID) -> HttpResponse:
    """The rows of the newest version."""
    dataset = get_object_or_404(Dataset.objects.visible_to(request.user), pk=dataset_id)
    version = dataset.latest
    if version is None:
        return redirect("datasets:version_list", dataset.pk)
    return version_rows(request, dataset_id, version.pk)


@require_http_methods(["GET", "POST"])
@login_required
def dataset_update(request: HtmxRequest, dataset_id: uuid.UUID) -> HttpResponse:
    """Name, remark, who may read, and the end of it."""
    user = actor(request)
    dataset = get_object_or_404(
        Dataset.objects.editable_by(user).select_related("project"), pk=dataset_id
    )
    may_publish = dataset.project.role_of(user) >= Role.MANAGER
    initial = {
        "name": dataset.name,
        "remark": dataset.remark,
        "is_public": dataset.is_public,
    }
    bound = request.POST if request.method == "POST" else None
    form = SettingsForm(bound, initial=initial, may_publish=may_publish)
    if form.is_valid():
        try:
            services.dataset_update(dataset.pk, by=user, **form.cleaned_data)
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            messages.success(request, _("Saved."))
            return redirect("datasets:dataset_detail", dataset.pk)
    context = dataset_context(request, dataset, "settings") | {
        "form": form,
        "version": dataset.latest,
    }
    context["storage"] = sum(version.stored_bytes for version in context["versions"])
    return render(
        request, "datasets/dataset_update.html", context, status=422 if form.is_bound else 200
    )


@require_POST
@login_required
def dataset_delete(request: HtmxRequest, dataset_id: uuid.UUID) -> HttpResponse:
    """Deletes the dataset with all versions."""
    user = actor(request)
    dataset = get_object_or_404(Dataset.objects.editable_by(user), pk=dataset_id)
    delete = partial(services.dataset_delete, dataset.pk, by=user)
    if not acted(request, delete, _("“%(name)s” is deleted.") % {"name": dataset.name}):
        return redirect("datasets:dataset_update", dataset.pk)
    return redirect("datasets:dataset_list")


@require_http_methods(["GET", "POST"])
def version_list(request: HtmxRequest, dataset_id: uuid.UUID) -> HttpResponse:
    """The versions, what happened, and the form that adds a version."""
    datasets = Dataset.objects.select_related("project")
    if request.method == "POST":
        datasets = datasets.editable_by(request.user)
    dataset = get_object_or_404(datasets.visible_to(request.user), pk=dataset_id)
    bound = (request.POST, request.FILES) if request.method == "POST" else ()
    form = FileForm(*bound, user=request.user)
    if form.is_valid():
        try:
            version = services.version_add(
                dataset.pk, by=actor(request), upload=form.cleaned_data["upload"]
            )
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("datasets:version_rows", dataset.pk, version.pk)
    context = dataset_context(request, dataset, "versions") | {
        "form": form,
        "version": dataset.latest,
        "open_uploads": open_uploads(request, dataset.project),
        "places": _places(dataset),
        "reviews": Revision.objects.visible_to(request.user).reviews_of(dataset)[:20],
        "events": list(
            Event.objects.filter(
                subject_id__in=[dataset.pk, *dataset.versions.values_list("pk", flat=True)]
            )
            .select_related("actor")
            .order_by("-id")[:20]
        )
        if dataset.project.role_of(request.user)
        else [],
    }
    return render(
        request, "datasets/version_list.html", context, status=422 if form.is_bound else 200
    )


def _places(dataset: Dataset) -> list[dict[str, str]]:
    """The hubs that a dataset of the public list comes from."""
    return [
        {"kind": kind, "hub": str(Import.Kind(kind).label), "name": name}
        for kind, name in services.public_places(dataset).items()
    ]
