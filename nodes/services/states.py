"""A node's state: what is wanted of it, what runs on it, and whether it lives."""

from accounts.models import User
from accounts.services import event_record
from nodes.models import Node, Workload


def node_event(
    node: Node,
    actor: User | None,
    verb: str,
    *,
    old: str = "",
    new: str = "",
    reason: str = "",
    data: dict[str, object] | None = None,
) -> None:
    """Writes down a change of a node, which belongs to no project."""
    event_record(
        node, project=None, actor=actor, verb=verb, old=old, new=new, reason=reason, data=data
    )


def state_set(node: Node, state: str, *, actor: User | None = None, reason: str = "") -> bool:
    """The one door for a node's state; the caller holds the row. Whether it changed."""
    if node.state == state:
        return False
    old, node.state = node.state, state
    node.save(update_fields=["state"])
    node_event(node, actor, "state", old=old, new=state, reason=reason)
    return True


def settle(node: Node, *, actor: User | None = None, reason: str = "") -> bool:
    """Brings a living node's state in line with what is wanted of it. Whether it changed."""
    return state_set(node, _wanted(node), actor=actor, reason=reason)


def _wanted(node: Node) -> str:
    if node.excluded_at is not None:
        return Node.State.EXCLUDED
    if node.drain:
        busy = Workload.objects.active().filter(node=node).exists()
        return Node.State.DRAINING if busy else Node.State.DRAINED
    return Node.State.CORDONED if node.is_cordoned else Node.State.READY
