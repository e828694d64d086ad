"""Whether a project has room for a file."""

import uuid
from collections.abc import Sequence

from django.conf import settings
from django.db.models import Sum

from accounts.models import Project
from accounts.services import project_usage_of
from common.errors import QuotaExceeded
from common.phrases import gettext as _
from datasets.models import Upload
from datasets.reading.refusals import BadFile


def held_bytes(project: Project, *, without: Sequence[uuid.UUID] = ()) -> int:
    """What open uploads will take of the project's storage."""
    uploads = Upload.objects.filter(project=project).exclude(pk__in=without)
    return int(uploads.aggregate(total=Sum("size"))["total"] or 0)


def refuse_size(size: int, project: Project, *, held: Sequence[uuid.UUID] = ()) -> None:
    """`BadFile` or `QuotaExceeded` when so many bytes are too many for one file or the project.

    `held` are uploads for which room was made when they began.
    """
    if size > settings.UPLOAD_MAX_BYTES:
        raise BadFile(
            _("The file has %(size)s MB; at most %(limit)s MB are taken. Split it.")
            % {"size": size >> 20, "limit": settings.UPLOAD_MAX_BYTES >> 20},
            code="too_large",
        )
    used = project_usage_of(project).get("storage_bytes", 0)
    used -= held_bytes(project) - held_bytes(project, without=held)
    if used + size > project.max_storage_bytes:
        raise QuotaExceeded(
            _(
                "%(project)s uses %(used)s of %(limit)s MB; this file has %(size)s MB."
                " Delete what is not needed, or ask an operator for more."
            )
            % {
                "project": project.name,
                "used": used >> 20,
                "limit": project.max_storage_bytes >> 20,
                "size": max(size >> 20, 1),
            },
            field="file",
            data={"used": used, "limit": project.max_storage_bytes, "size": size},
        )
