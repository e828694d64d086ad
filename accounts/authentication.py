"""Keys for the API: `Authorization: Bearer lct_…`."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone, translation
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import ApiKey, User
from common.languages import accepted, spoken
from common.phrases import gettext as _

# The last use is shown in minutes: no need to write more often.
TOUCH_AFTER = timedelta(minutes=1)


def user_for_key(key: str) -> tuple[User, ApiKey] | None:
    """Whose key this is, and its row; None for an unknown or expired key and an inactive user.

    One query, and a second at most once a minute to note the last use.
    """
    try:
        digest = hash_token(key)
    except UnicodeEncodeError:
        return None
    row = ApiKey.objects.select_related("user").filter(digest=digest).first()
    if row is None or row.is_expired or not row.user.is_active:
        return None
    now = timezone.now()
    if row.last_used_at is None or now - row.last_used_at >= TOUCH_AFTER:
        row.last_used_at = now
        ApiKey.objects.filter(pk=row.pk).update(last_used_at=now)
    return row.user, row


class ApiKeyAuthentication(TokenAuthentication):
    """Signs in by key. A key that opens nothing is a 401 that says so, never an anonymous visit."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        """As knox; the answer is in the owner's language unless the request asks for another."""
        found: tuple[User, ApiKey] | None = super().authenticate(request)
        if found is not None:
            cookie = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
            header = accepted(request.headers.get("accept-language", ""))
            translation.activate(spoken(cookie, header, found[0].language))
        return found

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiKey]:
        """The user and the key's row; AuthenticationFailed otherwise.

        Unlike knox, an expired key keeps its row, so that its owner sees in the list why a script
        fails.
        """
        found = user_for_key(token.decode("utf-8", errors="replace"))
        if found is None:
            raise AuthenticationFailed(
                _("This API key is unknown, revoked or expired. Make a new one under Settings.")
            )
        return found
