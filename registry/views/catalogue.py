"""Pages on which operators choose what everybody may train."""

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, operator_required
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from registry import services
from registry.forms import BaseModelAddForm, BaseModelForm, CatalogueFilterForm, ImportForm
from registry.models import Model

PER_PAGE = 50


@operator_required
@require_GET
@vary_on_headers("HX-Request")
def catalogue(request: HtmxRequest) -> HttpResponse:
    """All base models, to be searched and enabled."""
    form = CatalogueFilterForm(request.GET)
    form.is_valid()
    base = Model.objects.editable_by(actor(request)).filter(project=None)
    wanted = form.cleaned_data
    found = _found(base, wanted.get("q") or "", wanted.get("state") or "")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    for model in page.object_list:
        model.shown = next(iter(model.versions.all()), None)  # type: ignore[attr-defined]
    context = {
        "nav": "models",
        "form": form,
        "page": page,
        "total": base.count(),
        "enabled": base.filter(is_enabled=True).count(),
    }
    name = "_catalogue_rows" if wants_fragment(request.htmx) else "catalogue"
    return render(request, f"registry/{name}.html", context)


def _found(base: QuerySet[Model], words: str, state: str) -> QuerySet[Model]:
    found = base.prefetch_related("versions")
    if words:
        found = found.filter(
            Q(name__icontains=words)
            | Q(versions__hf_id__icontains=words)
            | Q(versions__ms_id__icontains=words)
        ).distinct()
    if state:
        found = found.filter(is_enabled=state == "enabled")
    return found.order_by("-is_enabled", "name")


@operator_required
@require_POST
def base_model_switch(request: HtmxRequest, model_id: uuid.UUID) -> HttpResponse:
    """Enables or disables a base model."""
    base = Model.objects.editable_by(actor(request)).filter(project=None)
    model = get_object_or_404(base, pk=model_id)
    model = services.base_model_update(
        model.pk, by=actor(request), is_enabled=request.POST.get("enable") == "1"
    )
    if not request.htmx:
        return redirect("registry:catalogue")
    model.shown = model.versions.first()  # type: ignore[attr-defined]
    return render(request, "registry/_catalogue_row.html", {"model": model})


@operator_required
@require_http_methods(["GET", "POST"])
def base_model_edit(request: HttpRequest, model_id: uuid.UUID) -> HttpResponse:
    """Name, ids and chat template of a base model."""
    base = Model.objects.editable_by(actor(request)).filter(project=None)
    model = get_object_or_404(base, pk=model_id)
    version = model.versions.get()
    initial = {name: getattr(model, name) for name in ("name", "remark", "is_enabled")}
    initial |= {name: getattr(version, name) for name in ("hf_id", "ms_id", "template")}
    form = BaseModelForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        try:
            services.base_model_update(model.pk, by=actor(request), **form.cleaned_data)
        except DomainError as error:
            add_refusal(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("registry:catalogue")
    context = {"nav": "models", "model": model, "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "registry/base_model_edit.html", context, status=status)


@operator_required
@require_http_methods(["GET", "POST"])
def base_model_add(request: HttpRequest) -> HttpResponse:
    """A further base model that lies on a hub."""
    form = BaseModelAddForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            model = services.base_model_add(by=actor(request), **form.cleaned_data)
        except DomainError as error:
            add_refusal(form, error)
        else:
            return redirect("registry:model_detail", model.pk)
    context = {"nav": "models", "model": None, "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "registry/base_model_edit.html", context, status=status)


@operator_required
@require_http_methods(["GET", "POST"])
def model_import(request: HttpRequest) -> HttpResponse:
    """A folder under models/import as a base model."""
    form = ImportForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            version = services.folder_import(by=actor(request), **form.cleaned_data)
        except DomainError as error:
            add_refusal(form, error)
        else:
            return redirect("registry:model_detail", version.model_id)
    context = {"nav": "models", "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "registry/model_import.html", context, status=status)
