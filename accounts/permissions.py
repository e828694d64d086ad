"""What may be done on the REST API: by a key's scope, and with which rows."""

from typing import Any, Protocol, Self, TypeVar

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.models import ApiKey
from common.phrases import gettext as _


class Guarded(Protocol):
    """A QuerySet that knows who may do what with its rows."""

    def visible_to(self, user: Any) -> Self:
        """The rows that the user may see."""

    def editable_by(self, user: Any) -> Self:
        """The rows that the user may change."""


Rows = TypeVar("Rows", bound=Guarded)


def within_reach(rows: Rows, request: Request) -> Rows:
    """The rows that the caller may see, or, where the method changes something, change."""
    return (
        rows.visible_to(request.user)
        if request.method in SAFE_METHODS
        else rows.editable_by(request.user)
    )


def scope_check(request: Request, view: Any) -> None:
    """PermissionDenied when the request's key is too narrow. Sessions have no scope.

    A view for which chat keys are made says so with `chat_keys = True`.
    """
    key = request.auth
    if not isinstance(key, ApiKey):
        return
    if key.scope == ApiKey.Scope.CHAT and not getattr(view, "chat_keys", False):
        raise PermissionDenied(
            _(
                "This key is for chat only, that is for addresses below /v1/."
                " Use a key with another scope here."
            ),
            code="scope_too_small",
        )
    if key.scope == ApiKey.Scope.READ and request.method not in SAFE_METHODS:
        raise PermissionDenied(
            _("This key may only read. Use a key with the scope “all” to change something."),
            code="scope_too_small",
        )


class IsAuthenticatedWithScope(BasePermission):
    """Signed in, or with a key whose scope covers the request."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the request may go on."""
        scope_check(request, view)
        return request.user.is_authenticated


class IsOperatorWithScope(IsAuthenticatedWithScope):
    """An operator; for collections that exist for operators only."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the request may go on."""
        return super().has_permission(request, view) and bool(request.user.is_staff)


class OperatorWritesWithScope(IsAuthenticatedWithScope):
    """Everybody with an account reads, operators write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the request may go on."""
        return super().has_permission(request, view) and (
            request.method in SAFE_METHODS or bool(request.user.is_staff)
        )


class ReadableByAnyone(IsAuthenticatedWithScope):
    """Without an account only reading; the view's queryset says which rows are public."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the request may go on."""
        return super().has_permission(request, view) or request.method in SAFE_METHODS
