"""What every REST endpoint shares: pages of results and the shape of a refusal."""

from collections.abc import Mapping
from typing import Any

from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from common.errors import DomainError


class Pages(PageNumberPagination):
    """50 results a page, at most 500 by `page_size`."""

    page_size = 50
    max_page_size = 500
    page_size_query_param = "page_size"


def refusal(error: DomainError) -> dict[str, object]:
    """The JSON of a refusal: code, message, the field to blame and further facts."""
    return {"code": error.code, "detail": error.message, "field": error.field, **error.data}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turns a `DomainError` into its status and JSON; everything else is DRF's business."""
    if isinstance(error, DomainError):
        return Response(refusal(error), status=error.http_status)
    return drf_exception_handler(error, dict(context))
