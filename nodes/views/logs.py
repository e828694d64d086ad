"""The logs of workloads."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from accounts.http import actor
from common.texts import whole
from nodes import logs
from nodes.models import Workload
from nodes.pieces import log_piece


def _number(request: HttpRequest, name: str) -> int | None:
    """A byte offset from the query; None when it is not given or no such number."""
    return whole(request.GET.get(name, ""), 18)


@login_required
@require_GET
def workload_log(request: HttpRequest, workload_id: uuid.UUID) -> JsonResponse:
    """`?before=N` gives earlier lines, `?offset=N` later ones, neither the last ones."""
    workload = get_object_or_404(Workload.objects.visible_to(actor(request)), pk=workload_id)
    before, offset = _number(request, "before"), _number(request, "offset")
    return JsonResponse(log_piece(workload, before=before, offset=offset))


@login_required
@require_GET
def workload_log_download(request: HttpRequest, workload_id: uuid.UUID) -> StreamingHttpResponse:
    """The whole log as a file, as long as it is now; never in memory as a whole."""
    workload = get_object_or_404(Workload.objects.visible_to(actor(request)), pk=workload_id)
    size = logs.size_of(workload.log_path)
    response = StreamingHttpResponse(
        logs.stream(workload.log_path, size), content_type="text/plain; charset=utf-8"
    )
    response["Content-Length"] = str(size)
    response["Content-Disposition"] = content_disposition_header(True, f"{workload.name}.log") or ""
    response["X-Content-Type-Options"] = "nosniff"
    return response
