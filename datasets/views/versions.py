"""Pages of versions."""

import uuid
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import actor
from common.acting import acted
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest
from common.phrases import gettext as _
from common.texts import whole
from datasets import services
from datasets.downloads import version_file
from datasets.forms import MappingForm
from datasets.lineage import lineage_seen, steps_shown
from datasets.models import DatasetVersion, RecipeRun
from datasets.previews import SEARCH_SECONDS, mapping_of, rows_page
from datasets.reading.indexed import IndexedReader
from datasets.recipes.words import PARTS
from datasets.shapes.findings import SUMMARIES, words
from datasets.shapes.mapping import Mapping
from datasets.views.shared import (
    version_context,
    version_or_404,
    version_page,
)

FINDINGS_PER_PAGE = 50


@version_page
def version_findings(request: HtmxRequest, version: DatasetVersion) -> HttpResponse:
    """Findings of the check in pages: all, or those of one `code`."""
    context = version_context(request, version, "check")
    path = version.check_directory / "findings.jsonl"
    if version.check_name and path.exists():
        reader = IndexedReader(path)
        start = (whole(request.GET.get("from", "")) or 1) - 1
        code = request.GET.get("code", "")
        if code in SUMMARIES:
            context |= _findings_of(reader, code, start, version.report["counts"])
        else:
            context |= _findings_page(reader, start)
    return render(request, "datasets/version_findings.html", context)


def _findings_page(reader: IndexedReader, start: int) -> dict[str, Any]:
    lines = reader.page(start, FINDINGS_PER_PAGE)
    following = start + len(lines)
    return {
        "findings": [_finding(line.value) for line in lines if line.data is not None],
        "findings_total": reader.count,
        "first": start + 1,
        "last": following,
        "previous_from": max(start - FINDINGS_PER_PAGE, 0) + 1 if start else None,
        "next_from": following + 1 if following < reader.count else None,
    }


def _findings_of(
    reader: IndexedReader, code: str, start: int, counts: dict[str, int]
) -> dict[str, Any]:
    """Those of one code, looked for as a search looks for words; pages go forward only."""
    found = reader.search(code, start=start, count=FINDINGS_PER_PAGE, seconds=SEARCH_SECONDS)
    values = [line.value for line in found.lines if line.data is not None]
    return {
        "code": code,
        "code_text": SUMMARIES[code],
        "findings": [_finding(value) for value in values if value["code"] == code],
        "findings_total": counts.get(code, 0),
        "next_from": found.looked + 1 if found.looked < found.total else None,
    }


def _finding(stored: dict[str, Any]) -> dict[str, Any]:
    return stored | {
        "row": stored["row"] + 1,
        "text": words(stored["code"], stored.get("detail", {})),
    }


@require_GET
def version_use(request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID) -> HttpResponse:
    """Which trainings the version fits, and how to use it over the API and by hand."""
    version = version_or_404(request, dataset_id, version_id)
    context = version_context(request, version, "use") | {
        "stages": services.stages_of(version),
        "engine_name": services.dataset_name(version),
        "entry": version.report.get("entry"),
    }
    return render(request, "datasets/version_use.html", context | _origin(request, version))


def _origin(request: HttpRequest, version: DatasetVersion) -> dict[str, Any]:
    """Where rows that were not uploaded come from, as far as the reader may know."""
    lineage = lineage_seen(version, request.user)
    if not lineage:
        return {}
    parents = DatasetVersion.objects.visible_to(request.user).select_related("dataset")
    found = {
        "lineage": lineage,
        "part": PARTS.get(lineage["part"], ""),
        "parent": parents.filter(children=version).first(),
    }
    if "kind" in lineage:  # made by hand, not by a recipe
        return found
    return found | {
        "steps": steps_shown(lineage["steps"], lineage["report"], reader=request.user),
        "run": RecipeRun.objects.visible_to(request.user).filter(outputs=version).first(),
    }


@require_GET
def version_state(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID
) -> HttpResponse:
    """The progress of a check; asks for the whole page anew when it is over."""
    version = version_or_404(request, dataset_id, version_id)
    response = render(request, "datasets/_version_state.html", {"version": version})
    if version.state != DatasetVersion.State.CHECKING:
        response["HX-Refresh"] = "true"
    return response


@require_http_methods(["GET", "POST"])
@login_required
def version_remap(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID
) -> HttpResponse:
    """The form that corrects the format, the columns and the names of roles."""
    version = version_or_404(request, dataset_id, version_id, edit=True)
    asked = request.POST.get("shape") or request.GET.get("shape") or version.shape
    seen = mapping_of(version)
    if asked != version.shape:
        seen = Mapping.of(asked, seen.columns, seen.tags)  # what is known of the file stays
    form = MappingForm(
        request.POST if request.method == "POST" else None,
        version=version,
        shape=asked,
        seen=seen,
    )
    if form.is_valid():
        try:
            changed = services.version_remap(version.pk, by=actor(request), wish=form.wish())
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            if changed.pk != version.pk:
                messages.success(
                    request,
                    _("Version %(number)s reads the same file so.") % {"number": changed.number},
                )
            return redirect("datasets:version_rows", dataset_id, changed.pk)
    context = version_context(request, version, "columns") | {"form": form}
    if version.rows_path.exists():
        context["sample"] = rows_page(version, start=0, count=3).rows
    return render(
        request, "datasets/version_remap.html", context, status=422 if form.is_bound else 200
    )


@require_GET
def version_download(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID
) -> HttpResponseBase:
    """One of the version's files, see `version_file`."""
    version = version_or_404(request, dataset_id, version_id)
    return version_file(version, request.GET.get("form", "original"))


@require_POST
@login_required
def version_restore(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID
) -> HttpResponse:
    """Makes an older version the newest again."""
    version = version_or_404(request, dataset_id, version_id, edit=True)
    try:
        made = services.version_restore(version.pk, by=actor(request))
    except DomainError as refused:
        messages.error(request, refused.message)
        return redirect("datasets:version_list", dataset_id)
    messages.success(
        request,
        _("Version %(new)s holds the rows of version %(old)s.")
        % {"new": made.number, "old": version.number},
    )
    return redirect("datasets:version_rows", dataset_id, made.pk)


@require_POST
@login_required
def version_delete(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID
) -> HttpResponse:
    """Deletes one version."""
    version = version_or_404(request, dataset_id, version_id, edit=True)
    delete = partial(services.version_delete, version.pk, by=actor(request))
    acted(request, delete, _("Version %(number)s is deleted.") % {"number": version.number})
    return redirect("datasets:version_list", dataset_id)
