"""Every address of the site, read from the URL configuration, with its declared methods."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Address:
    """One pattern: its full name, the names of its arguments and its declared methods."""

    name: str
    route: str
    arguments: tuple[str, ...]
    methods: tuple[str, ...] | None  # None: a function, which cannot be asked

    @property
    def is_api(self) -> bool:
        """Whether it answers in JSON with 401 instead of sending to the log-in page."""
        return self.route.startswith(("api/v1/", "v1/"))


def _declared(callback: Any) -> tuple[str, ...] | None:
    if actions := getattr(callback, "actions", None):  # a DRF viewset
        return tuple(method for method in METHODS if method in actions)
    view = getattr(callback, "cls", None)  # a DRF view
    return tuple(method for method in METHODS if hasattr(view, method)) if view else None


def _walk(
    patterns: list[Any], spaces: tuple[str, ...], route: str, arguments: tuple[str, ...]
) -> Iterator[Address]:
    for pattern in patterns:
        here = route + str(pattern.pattern)
        names = (*arguments, *pattern.pattern.regex.groupindex)
        if isinstance(pattern, URLResolver):
            inner = (*spaces, pattern.namespace) if pattern.namespace else spaces
            yield from _walk(pattern.url_patterns, inner, here, names)
        elif isinstance(pattern, URLPattern):
            name = ":".join((*spaces, pattern.name or f"without a name: {here}"))
            yield Address(name, here, names, _declared(pattern.callback))


def addresses() -> list[Address]:
    """All of them, in the order of the URL configuration."""
    return list(_walk(get_resolver().url_patterns, (), "", ()))
