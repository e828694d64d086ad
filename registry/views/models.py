"""Pages of models and their versions."""

import uuid
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, project_of
from accounts.models import Event
from common.acting import acted
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from registry import downloads, presentation, services
from registry.forms import ModelFilterForm, ModelForm
from registry.models import Evaluation, Model, ModelVersion

PER_PAGE = 30
ORDERS = {"-newest": ("-newest", "name"), "name": ("name",), "-size": ("-size", "name")}


@login_required
@require_GET
@vary_on_headers("HX-Request")
def model_list(request: HtmxRequest) -> HttpResponse:
    """The project's models, or the base models that everybody may use."""
    user, project = actor(request), project_of(request)
    tab = "base" if request.GET.get("tab") == "base" else "own"
    form = ModelFilterForm(request.GET)
    form.is_valid()
    own = Model.objects.visible_to(user).filter(project=project)
    base = Model.objects.visible_to(user).filter(project=None, is_enabled=True)
    found = _ordered(base if tab == "base" else own, form.cleaned_data)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    for model in page.object_list:
        model.shown = next(iter(model.versions.all()), None)  # type: ignore[attr-defined]
    context = {
        "nav": "models",
        "tab": tab,
        "tabs": [
            {"url": "?", "text": project.name, "on": tab == "own", "count": own.count()},
            {
                "url": "?tab=base",
                "text": _("Base models"),
                "on": tab == "base",
                "count": base.count(),
            },
        ],
        "form": form,
        "filtered": any(form.cleaned_data.get(name) for name in ("q", "kind")),
        "page": page,
    }
    name = "_model_rows" if wants_fragment(request.htmx) else "model_list"
    return render(request, f"registry/{name}.html", context)


def _ordered(found: QuerySet[Model], wanted: dict[str, Any]) -> QuerySet[Model]:
    if wanted.get("q"):
        found = found.filter(name__icontains=wanted["q"])
    if wanted.get("kind"):
        having = ModelVersion.objects.filter(kind=wanted["kind"]).values("model")
        found = found.filter(pk__in=having)
    return (
        found.annotate(
            newest=Max("versions__created_at"),
            size=Sum("versions__bytes"),
            version_count=Count("versions"),
        )
        .prefetch_related("versions__base__model")
        .order_by(*ORDERS[wanted.get("sort") or "-newest"])
    )


@login_required
@require_GET
def model_detail(request: HttpRequest, model_id: uuid.UUID) -> HttpResponse:
    """A model: whether it became better, and its versions."""
    user = actor(request)
    model = get_object_or_404(
        Model.objects.visible_to(user).select_related("project", "created_by"), pk=model_id
    )
    versions = list(model.versions.select_related("model", "base__model"))
    evaluations = list(
        Evaluation.objects.visible_to(user)
        .filter(version__in=versions)
        .select_related("version__model", "baseline__version__model")
    )
    newest = {one.version_id: one for one in reversed(evaluations)}
    shown = [
        {
            "version": version,
            "lines": presentation.headlines(newest[version.pk]) if version.pk in newest else [],
            "evaluation": newest.get(version.pk),
            **presentation.origin(version),
        }
        for version in versions
    ]
    context = {
        "nav": "models",
        "model": model,
        "rows": shown,
        "newest": versions[0] if versions else None,
        "standing": presentation.standing(model, evaluations),
        "may_edit": Model.objects.editable_by(user).filter(pk=model.pk).exists(),
        "derived": _derived(user, versions),
        "events": Event.objects.of(model).select_related("actor").order_by("-id")[:10],
    }
    return render(request, "registry/model_detail.html", context)


def _derived(user: Any, versions: list[ModelVersion]) -> list[ModelVersion]:
    """Versions of other models that come from these."""
    return list(
        ModelVersion.objects.visible_to(user)
        .filter(base__in=versions)
        .exclude(model=versions[0].model if versions else None)
        .select_related("model")[:20]
    )


@login_required
@require_GET
def version_detail(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """One version: what it is, where it comes from, how good it is, its files."""
    user = actor(request)
    version = get_object_or_404(
        ModelVersion.objects.visible_to(user).select_related("model__project", "base__model"),
        pk=version_id,
    )
    evaluations = (
        Evaluation.objects.visible_to(user)
        .filter(version=version)
        .select_related("version__model", "baseline__version__model")[:10]
    )
    files = version.files()
    context = {
        "nav": "models",
        "version": version,
        "lineage": version.lineage(),
        "evaluations": [(one, presentation.headlines(one)) for one in evaluations],
        "files": files[:200],
        "file_count": len(files),
        "may_edit": ModelVersion.objects.editable_by(user).filter(pk=version.pk).exists(),
        "derived": version.derived.filter(pk__in=ModelVersion.objects.visible_to(user)),
        **presentation.origin(version),
    }
    return render(request, "registry/version_detail.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def model_edit(request: HttpRequest, model_id: uuid.UUID) -> HttpResponse:
    """Name and remark of a model."""
    user = actor(request)
    model = get_object_or_404(Model.objects.editable_by(user), pk=model_id)
    bound = request.POST if request.method == "POST" else None
    form = ModelForm(bound, initial={"name": model.name, "remark": model.remark})
    if form.is_valid():
        try:
            services.model_update(model.pk, by=user, **form.cleaned_data)
        except DomainError as error:
            add_refusal(form, error)
        else:
            return redirect("registry:model_detail", model.pk)
    context = {"nav": "models", "model": model, "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "registry/model_edit.html", context, status=status)


@login_required
@require_POST
def model_delete(request: HttpRequest, model_id: uuid.UUID) -> HttpResponse:
    """Deletes a model with all its versions."""
    user = actor(request)
    model = get_object_or_404(Model.objects.editable_by(user), pk=model_id)
    delete = partial(services.model_delete, model.pk, by=user)
    if not acted(request, delete, _("“%(name)s” is deleted.") % {"name": model.name}):
        return redirect("registry:model_detail", model.pk)
    return redirect("registry:model_list")


@login_required
@require_POST
def version_delete(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """Deletes one version with its files."""
    user = actor(request)
    version = get_object_or_404(
        ModelVersion.objects.editable_by(user).select_related("model"), pk=version_id
    )
    model = version.model
    delete = partial(services.version_delete, version.pk, by=user)
    if not acted(request, delete, _("“%(name)s” is deleted.") % {"name": str(version)}):
        return redirect("registry:version_detail", version.pk)
    if Model.objects.filter(pk=model.pk).exists():
        return redirect("registry:model_detail", model.pk)
    return redirect("registry:model_list")


@login_required
@require_GET
def version_download(request: HttpRequest, version_id: uuid.UUID) -> HttpResponseBase:
    """All files of a version as one archive."""
    version = get_object_or_404(
        ModelVersion.objects.visible_to(actor(request)).select_related("model"), pk=version_id
    )
    try:
        return downloads.version_zip(version)
    except DomainError as error:
        messages.error(request, error.message)
        return redirect("registry:version_detail", version.pk)
