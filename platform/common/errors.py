"""Refusals that a user can understand and act upon."""

from collections.abc import Mapping


class DomainError(Exception):
    """A rule said no. `message` tells a person what happened, why, and what to do.

    `field` names the input that is to blame, `code` is a stable machine-readable word, `data`
    carries further facts for the API (line numbers, limits).
    """

    http_status = 422
    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        code: str | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.code = code or self.code
        self.data = dict(data or {})


class Conflict(DomainError):
    """The thing is in a state in which this cannot be done."""

    http_status = 409
    code = "conflict"


class QuotaExceeded(DomainError):
    """A limit of the user or the project is reached."""

    code = "quota_exceeded"
