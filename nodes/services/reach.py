"""How the gateway reaches a service on another machine: through the agent of its node.

Both sides know a key that is derived for the node. A request proves that it comes from the control
plane, for this very path and body, and works once; the answer proves that it comes from the node.
"""

import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass, field

from nodes.models import Node, Workload
from nodes.runners.shim import boot_id
from nodes.services.keys import forward_key

NONCE_HEADER = "X-Trainer-Nonce"
PROOF_HEADER = "X-Trainer-Proof"
ANSWER_HEADER = "X-Trainer-Answer"


@dataclass(frozen=True)
class Route:
    """Where a service listens: a socket of this machine, or an agent's address and its key."""

    socket: str = ""
    url: str = ""
    key: str = field(default="", repr=False)


def route_to(workload: Workload) -> Route:
    """The way to a service from this machine; without a socket and an address there is none."""
    node = workload.node
    if node is None or is_here(node):
        return Route(socket=str(workload.socket_path))
    if not node.agent_url:
        return Route()
    return Route(url=f"{node.agent_url}/replicas/{workload.pk}", key=forward_key(node.name))


def is_here(node: Node) -> bool:
    """Whether the node's sockets can be opened here: one directory and one machine."""
    return node.shares_home and node.boot_id in {"", boot_id()}


def node_reach_set(node_id: uuid.UUID, *, agent_url: str) -> None:
    """Notes where the node's agent listens, empty for nowhere, and which machine it is on."""
    facts = {"agent_url": agent_url, "boot_id": boot_id()}
    Node.objects.filter(pk=node_id).exclude(**facts).update(**facts)


def nonce() -> str:
    """What makes a request unlike every other."""
    return secrets.token_hex(16)


def proof(key: str, nonce: str, method: str, path: str, body: bytes) -> str:
    """Shows that the control plane asks for this."""
    text = f"{method}\n{path}\n{nonce}\n{hashlib.sha256(body).hexdigest()}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def answer_proof(key: str, nonce: str) -> str:
    """Shows that the node answers."""
    return hmac.new(key.encode(), f"answer\n{nonce}".encode(), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compares proofs in a time that tells nothing."""
    return hmac.compare_digest(one.encode(), other.encode())
