"""Which language is spoken to whom, where no page has decided it."""

from django.conf import settings
from django.utils.translation import get_supported_language_variant
from django.utils.translation.trans_real import parse_accept_lang_header


def spoken(*wishes: str) -> str:
    """The first of the wished languages that the site speaks, else its default."""
    return next(filter(None, map(_supported, wishes)), settings.LANGUAGE_CODE)


def accepted(header: str) -> str:
    """The first language of an Accept-Language header that the site speaks; empty without one."""
    for code, _weight in parse_accept_lang_header(header):
        if code == "*":  # anything is welcome: no wish
            break
        if found := _supported(code):
            return found
    return ""


def _supported(code: str) -> str:
    try:
        return get_supported_language_variant(code)
    except (LookupError, ValueError):
        return ""
