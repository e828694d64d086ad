"""Nodes: they register, beat, fall silent, and are told what to do by operators."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import event_record
from common.errors import Conflict
from nodes.models import Gpu, Node, NodeSample, Workload
from nodes.services.follow import workload_lost
from nodes.services.queue import requeue_unclaimed, schedule

logger = logging.getLogger(__name__)
SILENT_AFTER = timedelta(seconds=60)  # twelve beats
LOST_AFTER = timedelta(seconds=300)  # then its workloads are given up
KEEP_FINE = timedelta(days=1)
KEEP = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU as the node's driver reports it."""

    index: int
    uuid: str
    name: str
    memory_bytes: int


@transaction.atomic
def node_register(
    name: str,
    *,
    cpu_count: int,
    memory_bytes: int,
    disk_bytes: int,
    facts: dict[str, Any],
    devices: Sequence[Device],
    address: str = "",
    runner: str = "process",
    shares_home: bool = True,
) -> Node:
    """Enters a node that starts, or brings its row up to date. Memory and disk in bytes.

    `shares_home` is for a new node; `node_shares_home_set` says it of one that is known.
    """
    node, created = Node.objects.select_for_update().get_or_create(
        name=name, defaults={"shares_home": shares_home}
    )
    _refuse_other_runner(node, runner)
    node.runner = runner
    node.cpu_count, node.memory_bytes, node.disk_bytes = cpu_count, memory_bytes, disk_bytes
    node.facts, node.address, node.heartbeat_at = facts, address, timezone.now()
    node.save(
        update_fields=[
            "runner",
            "cpu_count",
            "memory_bytes",
            "disk_bytes",
            "facts",
            "address",
            "heartbeat_at",
        ]
    )
    present = []
    for device in devices:
        values = {
            "node": node,
            "index": device.index,
            "name": device.name,
            "memory_bytes": device.memory_bytes,
            "is_present": True,
        }
        gpu, _made = Gpu.objects.update_or_create(uuid=device.uuid, defaults=values)
        present.append(gpu.pk)
    node.gpus.exclude(pk__in=present).update(is_present=False)
    if created:
        _record(node, None, "registered", "", node.state)
    _set_state(node, _wanted(node))
    schedule()
    return node


def _refuse_other_runner(node: Node, runner: str) -> None:
    """What one runner started the other one does not find."""
    held = Workload.objects.active().filter(node=node).exclude(state=Workload.State.PLACED)
    if node.runner != runner and held.exists():
        raise Conflict(
            _(
                "Workloads that were started as %(old)s still run on %(node)s. Let them end, or"
                " stop them, before it starts others as %(new)s."
            )
            % {"old": node.runner, "node": node.name, "new": runner}
        )


def _wanted(node: Node) -> str:
    return Node.State.CORDONED if node.is_cordoned else Node.State.READY


def _record(node: Node, actor: User | None, verb: str, old: str, new: str, why: str = "") -> None:
    event_record(node, project=None, actor=actor, verb=verb, old=old, new=new, reason=why)


def _set_state(node: Node, state: str, *, actor: User | None = None, reason: str = "") -> bool:
    """The one door for a node's state; the caller holds the row. Whether it changed."""
    if node.state == state:
        return False
    old, node.state = node.state, state
    node.save(update_fields=["state"])
    _record(node, actor, "state", old, state, reason)
    return True


@transaction.atomic
def node_beat(
    node_id: uuid.UUID, *, engines: list[str], facts: dict[str, Any] | None = None
) -> None:
    """A sign of life; brings back a node that was given up, and notices new engines.

    Of the facts `trouble` says what keeps the node from starting anything now.
    """
    node = Node.objects.select_for_update().get(pk=node_id)
    node.heartbeat_at = timezone.now()
    now = {**node.facts, **(facts or {}), "engines": engines}
    news = node.facts != now
    node.facts = now
    node.save(update_fields=["heartbeat_at", "facts"])
    if _set_state(node, _wanted(node)) or news:
        schedule()


@transaction.atomic
def node_cordon(node_id: uuid.UUID, *, cordoned: bool, by: User) -> Node:
    """Takes no new work, or takes it again; what runs goes on."""
    node = Node.objects.select_for_update().get(pk=node_id)
    node.is_cordoned = cordoned
    node.save(update_fields=["is_cordoned"])
    if node.state != Node.State.LOST:
        _set_state(node, _wanted(node), actor=by)
    schedule()
    return node


@transaction.atomic
def node_note(node_id: uuid.UUID, *, note: str, by: User) -> Node:
    """What everybody should know about the node."""
    node = Node.objects.select_for_update().get(pk=node_id)
    old, node.note = node.note, note.strip()[:200]
    node.save(update_fields=["note"])
    if old != node.note:
        _record(node, by, "note", "", "", node.note)
    return node


def sample_record(
    node_id: uuid.UUID,
    *,
    cpu_percent: float,
    memory_used_bytes: int,
    disk_used_bytes: int,
    gpus: list[dict[str, Any]],
) -> NodeSample:
    """A point of the curves."""
    return NodeSample.objects.create(
        node_id=node_id,
        at=timezone.now(),
        cpu_percent=cpu_percent,
        memory_used_bytes=memory_used_bytes,
        disk_used_bytes=disk_used_bytes,
        gpus=gpus,
    )


def samples_thin(node_id: uuid.UUID) -> int:
    """Keeps a day in full, 31 days by the minute, nothing older. Returns how many went."""
    now = timezone.now()
    samples = NodeSample.objects.filter(node_id=node_id)
    removed = samples.filter(at__lt=now - KEEP).delete()[0]
    seen: set[int] = set()
    surplus: list[int] = []
    old = samples.filter(at__lt=now - KEEP_FINE).order_by("-at")
    # The newest of the old ones only: what lies behind them was thinned by an earlier round.
    for pk, at in old.values_list("pk", "at")[:5000]:
        minute = int(at.timestamp() // 60)
        if minute in seen:
            surplus.append(pk)
        seen.add(minute)
    for start in range(0, len(surplus), 500):
        removed += samples.filter(pk__in=surplus[start : start + 500]).delete()[0]
    return removed


def nodes_sweep(*, judge: bool = True) -> None:
    """The safety net: silent nodes, their workloads, starts that nobody made, the queue.

    `judge` is False while the caller cannot tell silence from its own deafness, for example just
    after the database was away.
    """
    if judge:
        _give_up_silent()
    requeue_unclaimed()
    # Looking first takes no lock: most sweeps find nothing.
    if Workload.objects.waiting().exists():
        schedule()


def _give_up_silent() -> None:
    now = timezone.now()
    silent = Node.objects.exclude(state=Node.State.LOST).filter(heartbeat_at__lt=now - SILENT_AFTER)
    for pk in silent.values_list("pk", flat=True):
        with transaction.atomic():
            node = Node.objects.select_for_update().get(pk=pk)
            if node.heartbeat_at is None or node.heartbeat_at < now - SILENT_AFTER:
                _set_state(node, Node.State.LOST, reason=_("No sign of life for a minute."))
    lost = Workload.objects.filter(
        node__state=Node.State.LOST, node__heartbeat_at__lt=now - LOST_AFTER
    ).exclude(state__in=(Workload.State.PLACED, Workload.State.ENDED, Workload.State.WAITING))
    for workload in lost.select_related("node"):
        name = workload.node.name if workload.node else settings.NODE_NAME
        why = _("The node %(node)s is silent for more than five minutes.") % {"node": name}
        workload_lost(workload.pk, workload.epoch, reason=why)
