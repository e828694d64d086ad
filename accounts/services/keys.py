"""Keys for the API."""

import uuid
from datetime import timedelta

from django.db import transaction

from accounts.models import ApiKey, Project, User
from accounts.services.events import event_record
from common.errors import DomainError, QuotaExceeded
from common.phrases import gettext as _

MAX_DAYS = 3650
MAX_KEYS = 100


@transaction.atomic
def api_key_create(
    user: User, *, name: str, scope: str = ApiKey.Scope.ALL, expires_in_days: int | None = None
) -> tuple[ApiKey, str]:
    """A new key of the user; gives its row and the key itself, which is shown this once.

    Raises DomainError for an empty name, an unknown scope or a number of days out of 1 to 3650,
    and QuotaExceeded past 100 keys.
    """
    name = name.strip()
    if not 1 <= len(name) <= 80:
        raise DomainError(
            _("Give the key a name of 1 to 80 signs, so that you know later what uses it."),
            field="name",
        )
    if scope not in ApiKey.Scope.values:
        raise DomainError(
            _("The scope must be one of: %(scopes)s.") % {"scopes": ", ".join(ApiKey.Scope.values)},
            field="scope",
        )
    if expires_in_days is not None and not 1 <= expires_in_days <= MAX_DAYS:
        raise DomainError(
            _("Choose between 1 and %(most)d days, or none for a key without an end.")
            % {"most": MAX_DAYS},
            field="expires_in_days",
        )
    if ApiKey.objects.filter(user=user).count() >= MAX_KEYS:
        raise QuotaExceeded(
            _("You have %(most)d keys, which is the most. Revoke those that nothing uses.")
            % {"most": MAX_KEYS},
            data={"limit": MAX_KEYS},
        )
    expiry = timedelta(days=expires_in_days) if expires_in_days else None
    key, secret = ApiKey.objects.create(user, expiry=expiry, name=name, scope=scope)
    _record(key, user, "created")
    return key, secret


@transaction.atomic
def api_key_revoke(key_id: uuid.UUID, *, by: User) -> None:
    """Ends a key at once. Operators may end anybody's."""
    keys = ApiKey.objects.all() if by.is_staff else ApiKey.objects.editable_by(by)
    key = keys.select_for_update(of=("self",)).get(pk=key_id)
    _record(key, by, "revoked")
    key.delete()


def _record(key: ApiKey, actor: User, verb: str) -> None:
    event_record(
        key,
        project=Project.objects.filter(personal_of=key.user).first(),
        actor=actor,
        verb=verb,
        data={"name": key.name, "prefix": key.token_key, "scope": key.scope},
    )
