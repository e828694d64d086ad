"""What a restored backup means for nodes and workloads: nothing runs that the rows say runs."""

import uuid

from django.db import transaction
from django_q.models import OrmQ

from common.phrases import gettext as _
from nodes.models import Node, Workload
from nodes.services.follow import workload_lost
from nodes.services.states import state_set

State = Workload.State


def restored() -> int:
    """Gives up what ran, and waits for the nodes to come back; returns how many were given up.

    Whose jobs they were decides whether to try again. What had only a place is queued again by the
    ordinary sweep, or starts there after all.
    """
    OrmQ.objects.all().delete()  # messages about a world that has gone on since
    reason = _("The platform was restored from a backup that was made while this was running.")
    for node in Node.objects.present():
        _absent(node.pk, reason)
    held = Workload.objects.active().exclude(state=State.PLACED)
    lost = 0
    for pk, epoch in list(held.values_list("pk", "epoch")):
        with transaction.atomic():
            lost += workload_lost(pk, epoch, reason=reason)
    return lost


@transaction.atomic
def _absent(node_id: uuid.UUID, reason: str) -> None:
    """Nothing is placed on the node until it beats again."""
    node = Node.objects.select_for_update().get(pk=node_id)
    state_set(node, Node.State.LOST, reason=reason)
