"""Secrets at rest: sealed with a key that follows from the installation's own secret."""

import base64
import hashlib
import hmac

from django.conf import settings


class Unsealable(Exception):
    """The text was sealed with another key, or is no sealed text."""


def derived_key(secret: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose."""
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()


def seal_with(key: bytes, text: str) -> str:
    """Sealed with a key of 32 bytes, so that who lacks it can neither read nor change it."""
    from cryptography.fernet import Fernet  # heavy: not every process seals something

    return Fernet(base64.urlsafe_b64encode(key)).encrypt(text.encode()).decode()


def unseal_with(key: bytes, sealed: str) -> str:
    """The text. Raises `Unsealable`."""
    from cryptography.fernet import Fernet, InvalidToken

    try:
        return Fernet(base64.urlsafe_b64encode(key)).decrypt(sealed.encode()).decode()
    except (InvalidToken, ValueError) as error:
        raise Unsealable from error


def _own_key(purpose: str) -> bytes:
    return derived_key(str(settings.SECRET_KEY).encode(), f"seal:{purpose}")


def seal(text: str, *, purpose: str) -> str:
    """Sealed with the installation's own key."""
    return seal_with(_own_key(purpose), text)


def unseal(sealed: str, *, purpose: str) -> str:
    """The text. Raises `Unsealable`, also after the installation's secret was changed."""
    return unseal_with(_own_key(purpose), sealed)
