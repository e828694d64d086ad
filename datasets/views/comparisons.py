"""Pages on which two versions are compared row by row."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.texts import whole
from datasets import services
from datasets.comparing import CHANGED, KINDS
from datasets.differences import compared_rows
from datasets.edit_forms import CompareForm
from datasets.models import Comparison

ROWS_PER_PAGE = 10


@require_http_methods(["GET", "POST"])
@login_required
def comparison_create(request: HtmxRequest) -> HttpResponse:
    """The form that asks which two versions."""
    wanted = {name: request.GET.get(name, "") for name in ("before", "after")}
    bound = request.POST if request.method == "POST" else None
    form = CompareForm(bound, user=request.user, **wanted)
    if form.is_valid():
        data = form.cleaned_data
        try:
            found = services.comparison_create(
                uuid.UUID(data["before"]), uuid.UUID(data["after"]), by=actor(request)
            )
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("datasets:comparison_detail", found.pk)
    return render(
        request,
        "datasets/comparison_create.html",
        {"form": form, "nav": "datasets"},
        status=422 if form.is_bound else 200,
    )


@require_GET
@login_required
@vary_on_headers("HX-Request")
def comparison_detail(request: HtmxRequest, comparison_id: uuid.UUID) -> HttpResponse:
    """How many rows are the same, changed, added and removed, and these rows with what differs."""
    comparison = get_object_or_404(
        Comparison.objects.visible_to(request.user).select_related(
            "before__dataset", "after__dataset"
        ),
        pk=comparison_id,
    )
    context: dict[str, Any] = {"comparison": comparison, "nav": "datasets"}
    if comparison.state == Comparison.State.DONE:
        context |= _rows(request, comparison)
    if wants_fragment(request.htmx) and comparison.state != Comparison.State.WAITING:
        response = HttpResponse()
        response["HX-Refresh"] = "true"
        return response
    part = wants_fragment(request.htmx)
    template = "datasets/_comparison_state.html" if part else "datasets/comparison_detail.html"
    return render(request, template, context)


def _rows(request: HtmxRequest, comparison: Comparison) -> dict[str, Any]:
    counts = comparison.counts
    likely = next((kind for kind in KINDS if counts[kind]), CHANGED)
    kind = request.GET.get("kind", "")
    kind = kind if kind in KINDS else likely
    start = (whole(request.GET.get("from", "")) or 1) - 1
    start = max(0, min(start, counts[kind] - 1))
    rows = compared_rows(comparison, kind, start=start, count=ROWS_PER_PAGE)
    end = start + len(rows)
    return {
        "rows": rows,
        "kind": kind,
        "total": counts[kind],
        "first": start + 1,
        "last": end,
        "previous_from": max(start - ROWS_PER_PAGE, 0) + 1 if start else None,
        "next_from": end + 1 if end < counts[kind] else None,
    }
