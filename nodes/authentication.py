"""How a node's agent signs in: `Authorization: Bearer KEY`, with the key of its node."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from common.phrases import gettext as _
from nodes.models import Node
from nodes.services.sharing import node_of_key


class NodeKeyAuthentication(BaseAuthentication):
    """The node stands in `request.auth`; there is no user, so nothing else opens to it."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Node]:
        """Raises `AuthenticationFailed` for everything that is no node's key."""
        words = get_authorization_header(request).decode("latin-1").split()
        node = node_of_key(words[1]) if len(words) == 2 and words[0] == "Bearer" else None
        if node is None:
            raise AuthenticationFailed(
                _(
                    "This is not the key of a node. Make a token on the nodes page and let the"
                    " machine join with it."
                )
            )
        return AnonymousUser(), node

    def authenticate_header(self, request: Request) -> str:
        """So that a missing key is a 401."""
        return "Bearer"


class IsNode(BasePermission):
    """Signed in as a node."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the request may go on."""
        return isinstance(request.auth, Node)
