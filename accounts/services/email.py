"""Another e-mail address, where new passwords go: asked for and confirmed."""

import logging
import uuid
from collections.abc import Callable

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import signing
from django.core.mail import send_mail
from django.db import transaction
from django.utils.translation import get_language, override

from accounts.models import Project, User
from accounts.services.events import event_record
from accounts.services.users import checked_email
from common.errors import DomainError
from common.phrases import gettext as _

logger = logging.getLogger(__name__)
LINK_SECONDS = 3 * 24 * 3600
_SALT = "accounts.email"
_STAYS_HERE = {f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy")}


def mail_goes_out() -> bool:
    """Whether messages leave this installation, so that a mailbox can confirm its address."""
    return settings.EMAIL_BACKEND not in _STAYS_HERE


def email_change(
    user_id: uuid.UUID, *, email: str, password: str, link_to: Callable[[str], str]
) -> User:
    """Another address for oneself. Where mail goes out, it counts when its mailbox confirms it.

    `link_to` gives the address of the page for a key that goes into the message. Raises DomainError
    with the field to blame for a wrong password, a bad, taken or unchanged address, and when the
    message cannot be sent; nothing has changed then.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user_id)
        if not user.check_password(password):
            raise DomainError(
                _("This is not your present password."), field="password", code="wrong_password"
            )
        email = checked_email(email, of=user)
        if email == user.email.lower():
            raise DomainError(_("This is your address already."), field="email", code="unchanged")
        if not mail_goes_out():
            return _set(user, email, by=user)
        user.pending_email = email
        user.save(update_fields=["pending_email"])
        _record(user, "email_asked", by=user, to=email)
    link = link_to(signing.dumps([str(user.pk), email], salt=_SALT))
    try:
        _confirmation_send(user, link)
    except Exception:  # a wrong setting, a dead server, a refused mailbox: all the same here
        logger.exception("no message could be sent to confirm an address")
        User.objects.filter(pk=user.pk, pending_email=email).update(pending_email="")
        raise DomainError(
            _(
                "No message could be sent to %(email)s, so your address stays as it is."
                " Check the new one, or ask an operator to look at the mail settings."
            )
            % {"email": email},
            field="email",
            code="mail_failed",
        ) from None
    return user


def email_confirm(key: str) -> User:
    """Makes the asked-for address count; `key` is what its mailbox got.

    DomainError when the key is no good, too old, used, or the address was taken meanwhile.
    """
    user_id, email = _opened(key)
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id, is_active=True).first()
        if user is None or user.pending_email != email:
            raise _link_no_good()
        old = user.email
        _set(user, checked_email(email, of=user), by=user)
    _change_tell(user, old)
    return user


def email_waiting(key: str) -> str:
    """The address that a key would make count; DomainError as in `email_confirm`."""
    user_id, email = _opened(key)
    if not User.objects.filter(pk=user_id, pending_email=email, is_active=True).exists():
        raise _link_no_good()
    return email


@transaction.atomic
def email_change_cancel(user_id: uuid.UUID) -> User:
    """Leaves the address as it is; a message that is on its way opens nothing any more."""
    user = User.objects.select_for_update().get(pk=user_id)
    if user.pending_email:
        _record(user, "email_kept", by=user, to=user.pending_email)
        user.pending_email = ""
        user.save(update_fields=["pending_email"])
    return user


@transaction.atomic
def email_set(user_id: uuid.UUID, *, email: str, by: User) -> User:
    """What operators do for somebody who cannot: another address at once."""
    user = User.objects.select_for_update().get(pk=user_id)
    email = checked_email(email, of=user)
    return user if email == user.email.lower() else _set(user, email, by=by)


def _set(user: User, email: str, *, by: User) -> User:
    """The caller holds the row."""
    old, user.email, user.pending_email = user.email, email, ""
    user.save(update_fields=["email", "pending_email"])
    # allauth finds people by its own rows too: an old address must not open the door any more.
    EmailAddress.objects.filter(user=user).delete()
    _record(user, "email_changed", by=by, **{"from": old})
    return user


def _record(user: User, verb: str, *, by: User, **facts: str) -> None:
    personal = Project.objects.filter(personal_of=user).first()
    event_record(user, project=personal, actor=by, verb=verb, data=facts)


def _opened(key: str) -> tuple[str, str]:
    try:
        user_id, email = signing.loads(key, salt=_SALT, max_age=LINK_SECONDS)
    except (signing.BadSignature, ValueError):
        raise _link_no_good() from None
    return str(user_id), str(email)


def _link_no_good() -> DomainError:
    return DomainError(
        _(
            "This link was used already, is too old, or another address was asked for since."
            " Change the address once more under Settings."
        ),
        field="key",
        code="link_no_good",
    )


def _confirmation_send(user: User, link: str) -> None:
    with override(user.language or get_language()):
        text = _(
            "Hello %(name)s,\n\n"
            "this address was entered for your account on LLM Cloud Trainer. To use it from now"
            " on, open this page and confirm:\n\n"
            "%(link)s\n\n"
            "The link works for three days. If it was not you, do nothing: the address stays"
            " unused."
        ) % {"name": user.username, "link": link}
        send_mail(_("Confirm your e-mail address"), text, None, [user.pending_email])


def _change_tell(user: User, old: str) -> None:
    """Tells the old address; when that fails, the change stands all the same."""
    with override(user.language or get_language()):
        text = _(
            "Hello %(name)s,\n\n"
            "your account on LLM Cloud Trainer now has the e-mail address %(email)s; this one is"
            " no longer used. If it was not you, tell whoever runs the installation at once."
        ) % {"name": user.username, "email": user.email}
        try:
            send_mail(_("Your e-mail address was changed"), text, None, [old])
        except Exception:
            logger.exception("the old address could not be told that it was changed")
