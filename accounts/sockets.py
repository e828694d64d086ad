"""What every socket of the site has in common."""

from typing import Any

from django.conf import settings
from django.utils.translation import override

from common.languages import accepted, spoken


class LanguageMiddleware:
    """Speaks to each socket in the language of the page that opened it, as pages choose theirs."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Everything that the consumer does happens in that language."""
        cookie = scope["cookies"].get(settings.LANGUAGE_COOKIE_NAME, "")
        header = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
        preference = getattr(scope["user"], "language", "")
        with override(spoken(cookie, accepted(header), preference)):
            await self.inner(scope, receive, send)
