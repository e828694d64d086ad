"""Which nodes share the control plane's directory, and how a node shows who it is."""

import hmac
import os
import secrets
import uuid
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from nodes.models import Node
from nodes.services.keys import KEY_PREFIX, node_secret, secret_hash

HOME_ID = "home-id"


def home_id(*, make: bool) -> str:
    """What tells this directory from all others; empty when it has no such mark yet.

    Only the control plane makes the mark: a node that finds the same one in its own directory
    shares it.
    """
    path = Path(settings.TRAINER_HOME) / HOME_ID
    if make and not path.exists():
        draft = path.with_name(f".{HOME_ID}.{os.getpid()}")
        draft.write_text(secrets.token_hex(16), encoding="ascii")
        with suppress(FileExistsError):  # the first one stands
            os.link(draft, path)
        draft.unlink()
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def node_key(name: str) -> str:
    """What the node's agent shows to the control plane."""
    return settings.NODE_KEY or f"{name}.{node_secret(name)}"


def node_of_key(key: str) -> Node | None:
    """Whose key this is; None for nobody's.

    A node that came in by a token has the key that it got then. One that was set up by hand has
    one that follows from the installation's secret.
    """
    nodes = Node.objects.present()
    if key.startswith(KEY_PREFIX):
        return nodes.filter(key_hash=secret_hash(key)).first()
    name, _dot, secret = key.partition(".")
    if not hmac.compare_digest(secret.encode(), node_secret(name).encode()):
        return None
    return nodes.filter(name=name, key_hash="").first()


def node_shares_home_set(node_id: uuid.UUID, *, shares: bool) -> None:
    """Notes whether the node shares the control plane's directory."""
    Node.objects.filter(pk=node_id).exclude(shares_home=shares).update(shares_home=shares)


def files_are_here() -> bool:
    """Whether this process sees the control plane's files: not on a node that does not share them.

    What reads those files asks first, and leaves the work to the control plane's queue otherwise.
    """
    if not settings.CONTROL_URL:
        return True
    return not Node.objects.filter(name=settings.NODE_NAME, shares_home=False).exists()
