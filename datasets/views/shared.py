"""What the pages of datasets share."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from accounts.models import Project, Role
from common.htmx import HtmxRequest
from common.phrases import gettext as _
from common.texts import whole
from datasets import services
from datasets.choices import CUTOFF
from datasets.contamination import overlaps_met
from datasets.models import Arriving, Dataset, DatasetVersion, Upload
from datasets.services.inputs import Seer
from datasets.shapes.findings import SUMMARIES, WARNINGS
from datasets.statistics.tokenizers import Tokenizer

LISTED = 100  # files and folders on their way; those after them come when some have gone
CUTOFFS = (512, 1024, 2048, 4096, 8192)


def open_uploads(request: HttpRequest, project: Project) -> list[Arriving]:
    """The user's files and folders on their way into the project, the newest first."""
    uploads = Upload.objects.editable_by(request.user).filter(project=project)
    return uploads.by_folder()[:LISTED]


def version_or_404(
    request: HttpRequest, dataset_id: uuid.UUID, version_id: uuid.UUID, *, edit: bool = False
) -> DatasetVersion:
    versions = DatasetVersion.objects.select_related("dataset__project", "created_by")
    allowed = versions.editable_by(request.user) if edit else versions.visible_to(request.user)
    return get_object_or_404(allowed, pk=version_id, dataset_id=dataset_id)


def version_page(
    view: Callable[[HtmxRequest, DatasetVersion], HttpResponse],
) -> Callable[[HtmxRequest, uuid.UUID, uuid.UUID], HttpResponse]:
    """A page, or a part of one, about a version that the reader sees."""

    @require_GET
    @vary_on_headers("HX-Request")
    @wraps(view)
    def shown(request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID) -> HttpResponse:
        return view(request, version_or_404(request, dataset_id, version_id))

    return shown


def dataset_context(request: HttpRequest, dataset: Dataset, tab: str) -> dict[str, Any]:
    """What all pages of a dataset show."""
    user = request.user
    role = dataset.project.role_of(user)
    return {
        "dataset": dataset,
        "versions": list(dataset.versions.without_counts()),
        "may_edit": Dataset.objects.editable_by(user).filter(pk=dataset.pk).exists(),
        "is_member": role > 0,
        "is_shared": dataset.shares.exists(),
        "may_train": user.is_authenticated
        and Project.objects.with_role(user, Role.RESEARCHER).exists(),
        "tab": tab,
        "nav": "datasets",
    }


def version_context(request: HttpRequest, version: DatasetVersion, tab: str) -> dict[str, Any]:
    return dataset_context(request, version.dataset, tab) | {
        "version": version,
        "outlook": _outlook(request, version),
        "shared": overlaps_met(version, request.user),
    }


def tokenizers_shown(
    user: Seer, version: DatasetVersion, chosen: Tokenizer | None
) -> dict[str, Any]:
    """The tokenizers that a reader chooses from; at first it is that of the check."""
    offered = services.tokenizers_of(user)
    own = version.report.get("tokens", {}).get("key")
    same = next((one.id for one in offered if own and one.key == own), "")
    return {
        "chosen_id": chosen.id if chosen else same,
        "groups": [
            (_("base models"), [one for one in offered if one.is_base]),
            (_("of projects"), [one for one in offered if not one.is_base]),
        ],
        "is_any": bool(offered),
        "has_other": not same,
        "is_counted": bool(own),
    }


def _outlook(request: HttpRequest, version: DatasetVersion) -> dict[str, Any]:
    """What the engine will do with the rows, for the column at the side."""
    report = version.report
    if not report.get("rows"):
        return {}
    tokens = report.get("tokens", {})
    wanted = whole(request.GET.get("cutoff", ""))
    cutoff = wanted or CUTOFF
    cut = services.version_cut_count(version, key=tokens.get("key", ""), cutoff_len=cutoff)
    if cut is None:  # not counted, or the count is lost
        tokens, cut = {}, 0
    rows, dropped = report["rows"], report["dropped"]
    spread = tokens or report.get("characters", {})
    return {
        "rows": rows,
        "dropped": dropped,
        "cut": cut,
        "whole": rows - dropped - cut,
        "cut_percent": 100 * cut / rows,
        "whole_percent": 100 * (rows - dropped - cut) / rows,
        "dropped_percent": 100 * dropped / rows,
        "cutoff": cutoff,
        "cutoffs": sorted({*CUTOFFS, cutoff}),
        "tokens": tokens,
        "spread": spread,
        "bars": _bars(spread),
        "stops": services.version_stops(version),
        "findings": [
            {
                "code": code,
                "count": count,
                "drops": code not in WARNINGS,
                "text": SUMMARIES.get(code, code),
            }
            for code, count in report.get("counts", {}).items()
        ],
    }


def _bars(spread: dict[str, Any]) -> list[dict[str, Any]]:
    histogram = spread.get("histogram", {})
    counts = histogram.get("counts", [])
    top = max(counts, default=0) or 1
    step = histogram.get("step", 1)
    return [
        {"percent": round(100 * count / top, 1), "count": count, "from": place * step}
        for place, count in enumerate(counts)
    ]
