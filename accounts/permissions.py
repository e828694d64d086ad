"""What a key's scope allows."""

from rest_framework.permissions import IsAuthenticated


class IsAuthenticatedWithScope(IsAuthenticated):
    """Signed in, or with a key whose scope covers the request."""
