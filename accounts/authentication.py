"""Keys for the API."""

from knox.auth import TokenAuthentication


class ApiKeyAuthentication(TokenAuthentication):  # type: ignore[misc]
    """`Authorization: Bearer lct_…`."""
