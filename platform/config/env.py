"""Readers of environment variables that name what is wrong."""

import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def text(name: str, default: str | None = None) -> str:
    """The variable's text, or `default`; without a default the variable must be set."""
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"{name} must be set")
    return value


def flag(name: str, *, default: bool) -> bool:
    """A yes or no: true, false, 1 or 0."""
    value = text(name, str(default)).lower()
    if value not in _FLAGS:
        raise ImproperlyConfigured(f"{name}={value!r}: use 'true' or 'false'")
    return _FLAGS[value]


def integer(name: str, default: int, *, least: int | None = None) -> int:
    """A whole number, not below `least`."""
    value = text(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r}: use a whole number") from None
    if least is not None and number < least:
        raise ImproperlyConfigured(f"{name}={value!r}: use {least} or more")
    return number


def items(name: str, default: str = "") -> list[str]:
    """A list separated by commas."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def secret(name: str, default: str | None = None) -> str:
    """A secret from the variable itself or from the file that `NAME_FILE` points to."""
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        return text(name, default)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE={path!r}: {error.strerror}") from None


def secret_kept(path: Path) -> str:
    """A secret of this installation, made once and readable by its owner only."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return path.read_text(encoding="utf-8").strip()
