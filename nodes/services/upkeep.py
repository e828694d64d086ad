"""What operators tell a node: notes, no new work, empty yourself, leave."""

import uuid
from typing import Literal

from django.db import transaction

from accounts.models import User
from common.errors import Conflict
from common.phrases import gettext as _
from common.phrases import ngettext
from nodes.models import Lease, Node, Workload
from nodes.services.alerts import alerts_end
from nodes.services.clock import database_now
from nodes.services.drains import node_empty
from nodes.services.machines import SILENT_AFTER
from nodes.services.planning import schedule_soon
from nodes.services.states import node_event, settle, state_set

NO_KEY = "-"


def _locked(node_id: uuid.UUID) -> Node:
    return Node.objects.present().select_for_update().get(pk=node_id)


def _settle_living(node: Node, *, by: User) -> None:
    """A silent node gets its state when it is back."""
    if node.state != Node.State.LOST:
        settle(node, actor=by)


@transaction.atomic
def node_note(node_id: uuid.UUID, *, note: str, by: User) -> Node:
    """What everybody should know about the node."""
    node = _locked(node_id)
    old, node.note = node.note, note.strip()[:200]
    node.save(update_fields=["note"])
    if old != node.note:
        node_event(node, by, "note", reason=node.note)
    return node


@transaction.atomic
def node_cordon(node_id: uuid.UUID, *, cordoned: bool, by: User) -> Node:
    """Takes no new work, or takes it again, which also ends a drain; what runs goes on."""
    node = _locked(node_id)
    node.is_cordoned = cordoned
    if not cordoned:
        node.drain = Node.Drain.NONE
    node.save(update_fields=["is_cordoned", "drain"])
    _settle_living(node, by=by)
    schedule_soon()
    return node


def node_drain(node_id: uuid.UUID, *, mode: Literal["wait", "stop"], by: User) -> Node:
    """Empties the node: nothing new comes, what has not started goes back to the queue.

    What runs ends by itself (`wait`), or saves a checkpoint and goes on elsewhere (`stop`). A
    `stop` after a `wait` hastens it. `node_cordon(cordoned=False)` ends the drain.
    """
    with transaction.atomic():
        node = _locked(node_id)
        node.drain = Node.Drain(mode).value
        node.save(update_fields=["drain"])
        node_event(node, by, "drain", data={"mode": mode})
        _settle_living(node, by=by)
    # Not in the same transaction: workloads are locked before nodes everywhere.
    node_empty(node, by=by)
    node.refresh_from_db()
    return node


@transaction.atomic
def node_remove(node_id: uuid.UUID, *, by: User) -> None:
    """Takes the node off the pages and its key away; its past stays with what ran there.

    Raises `Conflict` while it holds anything, and for a node without a key that still beats: it
    would be back at its next start.
    """
    node = _locked(node_id)
    held = Workload.objects.active().filter(node=node).count()
    leases = Lease.objects.filter(gpu__node=node, released_at=None).count()
    if held or leases:
        raise Conflict(
            ngettext(
                "%(node)s still holds %(count)s workload. Drain it first.",
                "%(node)s still holds %(count)s workloads. Drain it first.",
                max(held, leases),
            )
            % {"node": node.name, "count": max(held, leases)},
            code="in_use",
        )
    beats = node.heartbeat_at is not None and database_now() - node.heartbeat_at < SILENT_AFTER
    if beats and not node.key_hash:
        raise Conflict(
            _(
                "%(node)s came in without a token and still reports: it would be back at once."
                " Stop its agent first."
            )
            % {"node": node.name},
            code="still_beats",
        )
    # A mark that no key fits: what came in by a token comes back only by another one.
    node.key_hash, node.key_prefix = NO_KEY if node.key_hash else "", ""
    node.is_cordoned, node.drain, node.excluded_at, node.exclusion = False, "", None, {}
    node.save(
        update_fields=[
            "key_hash",
            "key_prefix",
            "is_cordoned",
            "drain",
            "excluded_at",
            "exclusion",
        ]
    )
    node.gpus.update(is_present=False, gone_at=None)
    alerts_end(node)
    state_set(node, Node.State.REMOVED, actor=by)
    schedule_soon()
