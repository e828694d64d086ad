"""Emptying nodes, step by step; every step may be repeated."""

from django.db import transaction

from accounts.models import User
from common.phrases import gettext as _
from nodes.models import Node, Workload
from nodes.services.planning import schedule_soon
from nodes.services.queue import workload_stop, workload_unplace
from nodes.services.states import settle

State = Workload.State


def node_empty(node: Node, *, by: User | None = None) -> None:
    """Sends what has not started back to the queue, stops what runs if that was asked for.

    Notices when nothing is left.
    """
    reason = _("%(node)s is being emptied.") % {"node": node.name}
    for workload in Workload.objects.active().filter(node=node):
        if workload.state == State.PLACED:
            workload_unplace(workload.pk, reason=reason)
        elif node.drain == Node.Drain.STOP and workload.state != State.STOPPING:
            workload_stop(workload.pk, mode="checkpoint", reason=reason, by=by, goes_on=True)
    with transaction.atomic():
        held = Node.objects.select_for_update().get(pk=node.pk)
        if held.state in {Node.State.DRAINING, Node.State.DRAINED}:
            settle(held)
    schedule_soon()


def drains_advance() -> None:
    """Goes on with every drain; a part of the sweep."""
    for node in Node.objects.filter(state=Node.State.DRAINING):
        node_empty(node)
