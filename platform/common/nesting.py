"""JSON that others send, nested no deeper than what handles it can bear."""

from collections.abc import Callable
from itertools import chain
from typing import Any

from rest_framework import parsers, serializers

from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import DEPTH_MAX


class TooDeep(DomainError):
    """JSON that is nested deeper than anything here is."""

    http_status = 400
    code = "too_deep"


def _shallow(read: Callable[[], Any]) -> Any:
    """The JSON that `read` gives. TooDeep where it has more than `DEPTH_MAX` levels."""
    refusal = TooDeep(
        _("The JSON is nested deeper than %(limit)s levels. Flatten it.") % {"limit": DEPTH_MAX}
    )
    try:
        found = read()
    except RecursionError:
        raise refusal from None
    level: list[Any] = [[found]]
    for _level in range(DEPTH_MAX + 1):
        inner = chain.from_iterable(one.values() if isinstance(one, dict) else one for one in level)
        level = [one for one in inner if isinstance(one, dict | list)]
    if level:
        raise refusal
    return found


class JSONParser(parsers.JSONParser):
    """DRF's, which would break on a body of nothing but brackets."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """The body's JSON. ParseError for what is none, TooDeep for what is nested too deep."""
        return _shallow(lambda: super(JSONParser, self).parse(*args, **kwargs))


class JSONField(serializers.JSONField):
    """DRF's, with the same limit where a form holds JSON as a text."""

    def to_internal_value(self, data: Any) -> Any:
        """The JSON. ValidationError for what is none, TooDeep for what is nested too deep."""
        return _shallow(lambda: super(JSONField, self).to_internal_value(data))
