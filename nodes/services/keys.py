"""Secrets and labels derived from the installation's own secret; none of them is stored."""

import hashlib
import hmac
import uuid

from django.conf import settings
from django.db import connection

from nodes.models import Workload

KEY_PREFIX = "nk_"  # of the keys that nodes get when they come in by a token


def _derived(purpose: str, text: str) -> str:
    key = str(settings.SECRET_KEY).encode()
    return hmac.new(key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def secret_hash(secret: str) -> str:
    """What is kept of a token or key. They are random and long, so that a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def serve_key(workload: Workload | uuid.UUID) -> str:
    """What a request to the engine process of a service must carry."""
    return _derived("serve", str(workload.pk if isinstance(workload, Workload) else workload))


def node_secret(name: str) -> str:
    """What only the node of this name and the control plane know."""
    return _derived("node", name)


def forward_key(node: str) -> str:
    """What the gateway and the agent of this node prove themselves with to each other."""
    return _derived("forward", node)


def installation_id(node: str) -> str:
    """Labels processes, so that nobody ends those of another database or node."""
    name = connection.settings_dict["NAME"]
    return _derived("installation", f"{settings.TRAINER_HOME}|{name}|{node}")[:24]
