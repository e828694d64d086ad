"""What pages need for HTMX."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request that passed `HtmxMiddleware`."""

    htmx: HtmxDetails


def wants_fragment(htmx: HtmxDetails) -> bool:
    """Whether HTMX asks for a part of the page and not for the whole."""
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request
