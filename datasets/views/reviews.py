"""Pages on which people review rows one by one."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRedirect

from accounts.http import actor
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.texts import text_of, whole
from datasets import services
from datasets.agreement import agreement_of
from datasets.edit_forms import ReviewForm, RowForm
from datasets.editing import places_of, row_value, value_parsed, with_texts
from datasets.models import Revision, RowDecision
from datasets.models.edits import SETTLING
from datasets.previews import ShownRow, mapping_of, value_shown
from datasets.recipes.rows import plain
from datasets.views.shared import version_context, version_or_404

VERDICTS = {
    "accept": RowDecision.Verdict.ACCEPTED,
    "edit": RowDecision.Verdict.CHANGED,
    "reject": RowDecision.Verdict.EXCLUDED,
}


@require_http_methods(["GET", "POST"])
@login_required
def review_create(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID
) -> HttpResponse:
    """Which rows are reviewed, and by how many."""
    version = version_or_404(request, dataset_id, version_id, edit=True)
    bound = request.POST if request.method == "POST" else None
    form, waiting = ReviewForm(bound, version=version), None
    if form.is_valid():
        try:
            review = services.review_create(version.pk, by=actor(request), **form.cleaned_data)
        except DomainError as refused:
            if refused.code == "waiting":
                waiting = {"column": form.cleaned_data["column"], **refused.data}
            else:
                add_refusal(form, refused)
        else:
            address = reverse("datasets:revision_detail", args=[review.pk])
            return HttpResponseClientRedirect(address) if request.htmx else redirect(address)
    return render(
        request,
        "datasets/review_create.html",
        version_context(request, version, "rows") | {"form": form, "waiting": waiting},
        status=422 if form.is_bound and waiting is None else 200,
    )


@require_http_methods(["GET", "POST"])
@login_required
@vary_on_headers("HX-Request")
def review_row(request: HtmxRequest, revision_id: uuid.UUID) -> HttpResponse:
    """The next row that waits for the reader; what is decided leads to the one after it."""
    revision = get_object_or_404(
        Revision.objects.editable_by(request.user).select_related("version__dataset__project"),
        pk=revision_id,
        kind=Revision.Kind.REVIEW,
    )
    if revision.state != Revision.State.OPEN:
        return redirect("datasets:revision_detail", revision.pk)
    refused, edits, form = "", bool(request.GET.get("edit")), None
    if request.method == "POST":
        edits = False
        try:
            form = _act(request, revision)
        except DomainError as error:
            refused = error.message
            edits = request.POST.get("act") == "edit" and error.code != "taken"
        if form is not None:
            edits = True
        elif not refused and not wants_fragment(request.htmx):
            return redirect("datasets:review_row", revision.pk)
    try:
        context = _context(request, revision, edits=edits, form=form) | {"refused": refused}
    except DomainError:  # it was finished meanwhile
        return redirect("datasets:revision_detail", revision.pk)
    part = wants_fragment(request.htmx)
    return render(
        request,
        "datasets/_review_row.html" if part else "datasets/review_row.html",
        context,
        status=422 if refused or form else 200,
    )


def _act(request: HtmxRequest, revision: Revision) -> RowForm | None:
    """Does what the reader decided; the form of an edit that was refused."""
    user, act = actor(request), request.POST.get("act", "")
    if act == "undo":
        services.review_undo(revision.pk, by=user)
        return None
    decision_id = whole(request.POST.get("decision", ""), 18) or 0
    if act == "skip":
        services.review_skip(revision.pk, decision_id, by=user)
        return None
    value: Any = None
    if act == "edit":
        decision = get_object_or_404(revision.decisions, pk=decision_id)
        value, form = _form(request, revision, decision, bound=True)
        if not form.is_valid():
            return form
        places = form.places
        texts = form.texts()
        raw = form.cleaned_data.get("raw")
        value = value_parsed(raw) if raw is not None else with_texts(value, places, texts)
    services.review_decide(
        revision.pk,
        decision_id,
        by=user,
        verdict=VERDICTS.get(act, ""),
        value=value,
        note=text_of(request.POST, "note", 500),
    )
    return None


def _form(
    request: HtmxRequest, revision: Revision, decision: RowDecision, *, bound: bool
) -> tuple[Any, RowForm]:
    """The row as it is, and the form in which it is changed."""
    value = row_value(revision.version, decision.row)
    places = places_of(value, plain(mapping_of(revision.version)))
    form = RowForm(request.POST if bound else None, value=value, places=places, decision=decision)
    return value, form


def _context(
    request: HtmxRequest, revision: Revision, *, edits: bool, form: RowForm | None
) -> dict[str, Any]:
    decision = services.review_next(revision.pk, by=actor(request))
    context = {
        "revision": revision,
        "version": revision.version,
        "dataset": revision.version.dataset,
        "nav": "datasets",
        "decision": decision,
        "progress": progress_of(revision),
        "edits": edits,
    }
    if decision is None:
        return context
    context["row"] = _shown(revision, decision)
    if edits:
        context["form"] = form or _form(request, revision, decision, bound=False)[1]
    if decision.seat == SETTLING:
        opinions = revision.decisions.filter(row=decision.row).opinions().select_related("by")
        mapping = plain(mapping_of(revision.version))
        context["opinions"] = [
            (one, value_shown(one.changed_value, mapping) if one.value else None)
            for one in opinions
        ]
    return context


def _shown(revision: Revision, decision: RowDecision) -> ShownRow | None:
    """The row as a conversation; None when it is too long."""
    try:
        value = row_value(revision.version, decision.row)
    except DomainError:
        return None
    return value_shown(value, plain(mapping_of(revision.version)))


def progress_of(revision: Revision) -> dict[str, Any]:
    """How much of a review is done."""
    seats = revision.decisions.exclude(seat=SETTLING)
    counts: dict[str, Any] = seats.aggregate(
        seats=Count("pk"), done=Count("pk", filter=~Q(verdict=""))
    )
    return counts | {"percent": int(100 * counts["done"] / max(counts["seats"], 1))}


def review_context(revision: Revision) -> dict[str, Any]:
    """What the page of a review shows: who did how much, how far they agree, and disputes."""
    verdict = RowDecision.Verdict
    people = (
        revision.decisions.exclude(verdict="")
        .values("by__username")
        .annotate(
            accepted=Count("pk", filter=Q(verdict=verdict.ACCEPTED)),
            changed=Count("pk", filter=Q(verdict=verdict.CHANGED)),
            excluded=Count("pk", filter=Q(verdict=verdict.EXCLUDED)),
            total=Count("pk"),
        )
        .order_by("-total")
    )
    found = agreement_of(revision)
    return {
        "progress": progress_of(revision),
        "people": list(people),
        "agreement": {
            **found,
            "percent": round(100 * found["agreement"]) if found["agreement"] is not None else None,
        },
        "disputed": revision.decisions.disputed().count(),
    }
