"""What every REST endpoint shares: pages of results and the shape of a refusal."""

from collections.abc import Mapping
from typing import Any

from django.core.validators import ProhibitNullCharactersValidator
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.validators import ProhibitSurrogateCharactersValidator
from rest_framework.views import exception_handler as drf_exception_handler

from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import whole


def texts_storable(value: object) -> None:
    """A validator: JSON's texts hold, at any depth, nothing that PostgreSQL cannot."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            ProhibitNullCharactersValidator()(one)
            ProhibitSurrogateCharactersValidator()(one)


def number_asked(request: Request, name: str, default: int) -> int:
    """A whole number from 0 on that the address names; ValidationError for anything else.

    The default may be written out, too, so that a cursor can begin below 0.
    """
    text = request.query_params.get(name, str(default))
    number = default if text == str(default) else whole(text, 18)
    if number is None:
        raise ValidationError({name: _("A whole number is needed.")})
    return number


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
