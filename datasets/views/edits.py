"""Pages on which rows are changed, left out and rated by hand."""

import uuid
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor
from common.acting import acted
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from datasets import services
from datasets.edit_forms import PLACES_MAX, DecisionForm, RowForm, SaveForm
from datasets.editing import places_of, row_value, value_parsed, with_texts
from datasets.models import DatasetVersion, Revision, RowDecision
from datasets.previews import mapping_of
from datasets.recipes.compared import TextChange, changes
from datasets.recipes.pipeline import RowChange
from datasets.recipes.rows import plain
from datasets.views.reviews import review_context
from datasets.views.rows import rows_context
from datasets.views.shared import version_context, version_or_404

DECISIONS_PER_PAGE = 20


@require_POST
@login_required
def row_decide(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID, number: int
) -> HttpResponse:
    """Leaves a row out, rates it, or takes that back; the address carries on the list's query."""
    version = version_or_404(request, dataset_id, version_id, edit=True)
    form = DecisionForm(request.POST)
    refused = ""
    if form.is_valid():
        try:
            services.row_decide(version.pk, number - 1, by=actor(request), **form.decision())
        except DomainError as error:
            refused = error.message
    else:
        refused = _("A rating is a number from 1 to 5.")
    if wants_fragment(request.htmx):
        context = version_context(request, version, "rows") | rows_context(request, version)
        return render(
            request,
            "datasets/_version_rows.html",
            context | {"refused": refused},
            status=422 if refused else 200,
        )
    if refused:
        messages.error(request, refused)
    if draft_id := form.cleaned_data.get("draft"):
        return redirect("datasets:revision_detail", draft_id)
    return redirect(_list(request, version, number))


def _list(request: HtmxRequest, version: DatasetVersion, number: int) -> str:
    """The list that the reader comes from, at the row."""
    path = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    query = request.GET.copy()
    query.pop("raw", None)
    if not query:
        query["row"] = str(number)
    return f"{path}?{query.urlencode()}#row-{number}"


@require_http_methods(["GET", "POST"])
@login_required
def row_edit(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID, number: int
) -> HttpResponse:
    """The texts of a row, or the row as JSON, to be changed."""
    version = version_or_404(request, dataset_id, version_id, edit=True)
    draft = Revision.objects.drafts().filter(version=version).first()
    decision = draft.decisions.filter(row=number - 1).first() if draft else None
    context = version_context(request, version, "rows") | {
        "number": number,
        "decision": decision,
        "draft": draft,
        "back": _list(request, version, number),
    }
    try:
        value = decision.changed_value if decision and decision.value else None
        value = row_value(version, number - 1) if value is None else value
    except DomainError as refused:
        return render(
            request, "datasets/row_edit.html", context | {"refused": refused.message}, status=422
        )
    places = places_of(value, plain(mapping_of(version)))
    has_texts = 0 < len(places) <= PLACES_MAX
    raw = bool(request.GET.get("raw")) or not has_texts
    bound = request.POST if request.method == "POST" else None
    form = RowForm(bound, value=value, places=[] if raw else places, decision=decision)
    if form.is_valid():
        data = form.cleaned_data
        try:
            made = value_parsed(data["raw"]) if raw else with_texts(value, places, form.texts())
            services.row_decide(
                version.pk,
                number - 1,
                by=actor(request),
                edition=data["edition"],
                verdict=RowDecision.Verdict.CHANGED,
                value=made,
                rating=int(data["rating"] or 0),
                note=data["note"],
            )
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect(context["back"])
    context |= {"form": form, "raw": raw, "has_texts": has_texts}
    return render(request, "datasets/row_edit.html", context, status=422 if bound else 200)


@require_GET
@login_required
@vary_on_headers("HX-Request")
def revision_detail(request: HtmxRequest, revision_id: uuid.UUID) -> HttpResponse:
    """What was decided on rows of a version, before and after; how far saving is."""
    revision = get_object_or_404(
        Revision.objects.visible_to(request.user).select_related(
            "version__dataset__project", "result__dataset", "created_by"
        ),
        pk=revision_id,
    )
    context = version_context(request, revision.version, "rows") | {
        "revision": revision,
        "counts": revision.counts,
        "form": SaveForm(),
    }
    if wants_fragment(request.htmx):
        response = render(request, "datasets/_revision_state.html", context)
        if not revision.is_saving:
            response["HX-Refresh"] = "true"
        return response
    if revision.is_review:
        return render(request, "datasets/review_detail.html", context | review_context(revision))
    return render(request, "datasets/revision_detail.html", context | _decisions(request, revision))


def _decisions(request: HtmxRequest, revision: Revision) -> dict[str, Any]:
    decisions = revision.decisions.effective().select_related("by")
    page = Paginator(decisions, DECISIONS_PER_PAGE).get_page(request.GET.get("page"))
    return {
        "page": page,
        "rows": [(decision, _change(revision.version, decision)) for decision in page],
    }


def _change(version: DatasetVersion, decision: RowDecision) -> RowChange:
    """The row before and after."""
    mapping = plain(mapping_of(version))
    try:
        before = row_value(version, decision.row)
    except DomainError:  # too long to be shown
        return RowChange(decision.number)
    after = decision.changed_value if decision.value else before
    texts = changes(before, after, mapping, mapping)
    if decision.verdict == RowDecision.Verdict.EXCLUDED:
        texts = [TextChange(text.role, text.before, []) for text in texts]
    return RowChange(decision.number, texts, changed=before != after)


@require_POST
@login_required
def revision_save(request: HtmxRequest, revision_id: uuid.UUID) -> HttpResponse:
    """Has a new version made of the decisions."""
    revision = get_object_or_404(Revision.objects.editable_by(request.user), pk=revision_id)
    form = SaveForm(request.POST)
    try:
        revision = services.revision_save(revision.pk, by=actor(request), **form.plan())
    except DomainError as refused:
        messages.error(request, refused.message)
    if revision.result is None:
        return redirect("datasets:revision_detail", revision.pk)
    messages.success(
        request, _("Saved as version %(number)s.") % {"number": revision.result.number}
    )
    return redirect("datasets:version_rows", revision.result.dataset_id, revision.result.pk)


@require_POST
@login_required
def revision_discard(request: HtmxRequest, revision_id: uuid.UUID) -> HttpResponse:
    """Forgets what was decided and not saved."""
    revisions = Revision.objects.editable_by(request.user).select_related("version")
    revision = get_object_or_404(revisions, pk=revision_id)
    discard = partial(services.revision_discard, revision.pk, by=actor(request))
    if not acted(request, discard, _("Discarded. The rows are as they were.")):
        return redirect("datasets:revision_detail", revision.pk)
    return redirect("datasets:version_rows", revision.version.dataset_id, revision.version_id)
