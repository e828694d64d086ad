"""Files of a job."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from common.downloads import download
from jobs.archives import archive_stream
from jobs.services import reading
from jobs.views.common import attempt_or_404, job_or_404


def _stem(name: str) -> str:
    return slugify(name) or "job"


@login_required
@require_GET
def job_file(request: HttpRequest, job_id: uuid.UUID, path: str) -> HttpResponseBase:
    """One file of an attempt."""
    job = job_or_404(request, job_id)
    found = reading.file_of(attempt_or_404(request, job), path)
    if found is None:
        raise Http404
    return download(found, filename=found.name)


@login_required
@require_GET
def job_archive(request: HttpRequest, job_id: uuid.UUID) -> HttpResponseBase:
    """All files as a zip, made while it is sent."""
    job = job_or_404(request, job_id)
    attempt = attempt_or_404(request, job)
    name = f"{_stem(job.name)}-{attempt.number}.zip"
    return StreamingHttpResponse(
        archive_stream(attempt, with_checkpoints="checkpoints" in request.GET),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@login_required
@require_GET
def job_config(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """The final configuration as a file."""
    job = job_or_404(request, job_id)
    return HttpResponse(
        job.config,
        content_type="application/yaml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{_stem(job.name)}.yaml"'},
    )


@login_required
@require_GET
def job_log(request: HttpRequest, job_id: uuid.UUID) -> HttpResponseBase:
    """An attempt's log as a file."""
    job = job_or_404(request, job_id)
    attempt = attempt_or_404(request, job)
    if not attempt.workload.log_path.is_file():
        raise Http404
    return download(
        attempt.workload.log_path,
        filename=f"{_stem(job.name)}-{attempt.number}.log",
        content_type="text/plain; charset=utf-8",
    )
