"""Nodes: they register, beat and fall silent. What they tell is checked before it is believed."""

import hmac
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from nodes.models import Gpu, Node, Workload
from nodes.models.machines import CLOCK_SECONDS
from nodes.services import checks
from nodes.services.clock import database_now
from nodes.services.drains import drains_advance
from nodes.services.follow import workload_lost
from nodes.services.keys import secret_hash
from nodes.services.planning import schedule_asked, schedule_soon
from nodes.services.queue import requeue_unclaimed
from nodes.services.silence import Witness
from nodes.services.states import node_event, settle, state_set

logger = logging.getLogger(__name__)
LEADS_FOR = timedelta(seconds=15)  # three beats
SILENT_AFTER = timedelta(seconds=60)  # twelve beats


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU as the node's driver reports it; `health_codes` as `nodes.nvml` gives them."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    health: str = Gpu.Health.OK
    health_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who says that it is the node: its machine, its key, and the moment by its clock."""

    machine: str = ""
    key: str = ""
    clock: datetime | None = None


class NodeRemoved(Conflict):
    """An operator has removed the node."""

    code = "node_removed"


def clock_refuse(seconds: float) -> None:
    """Raises DomainError when a clock is off by so much that deadlines would be wrong."""
    if abs(seconds) <= CLOCK_SECONDS:
        return
    minutes = round(abs(seconds) / 60)
    if seconds > 0:
        text = _(
            "The clock of this machine is about %(minutes)s minutes ahead. Set it right first."
        )
    else:
        text = _("The clock of this machine is about %(minutes)s minutes slow. Set it right first.")
    raise DomainError(text % {"minutes": minutes}, field="clock", code="clock_wrong")


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
    identity: Identity = Identity(),
) -> Node:
    """Enters a node that starts, or brings its row up to date. Memory and disk in bytes.

    `shares_home` is for a new node; `node_shares_home_set` says it of one that is known.

    Raises DomainError, and changes nothing, for figures that cannot be true, for a machine that is
    not the node's, and for a clock that is off while nothing runs there.
    """
    values = {
        "runner": checks.text("runner", runner, longest=16),
        "cpu_count": checks.whole("cpu_count", cpu_count, low=1, high=checks.MOST_CPUS),
        "memory_bytes": checks.whole("memory_bytes", memory_bytes),
        "disk_bytes": checks.whole("disk_bytes", disk_bytes),
        "facts": checks.facts(facts),
        "address": checks.text("address", address, longest=200),
        "machine_id": checks.text("machine", identity.machine, longest=64),
    }
    _check_devices(devices)
    now = database_now()
    skew = (identity.clock - now).total_seconds() if identity.clock else 0.0
    node = Node.objects.select_for_update().filter(name=name).first()
    if node is not None:
        _refuse_impostor(node, identity, now)
        _refuse_other_runner(node, runner)
    if node is None or not Workload.objects.active().filter(node=node).exists():
        clock_refuse(skew)  # what runs is looked after whatever the clock says
    _refuse_foreign_devices(node, devices, now)
    created = node is None
    if node is None:
        node = Node.objects.create(name=name, shares_home=shares_home, **values)
    for field, value in values.items():
        setattr(node, field, value)
    node.heartbeat_at, node.clock_skew_seconds = now, skew
    node.save(update_fields=[*values, "heartbeat_at", "clock_skew_seconds"])
    devices_set(node, devices)
    if created:
        node_event(node, None, "registered", new=node.state)
    settle(node)
    schedule_soon()
    return node


def _check_devices(devices: Sequence[Device]) -> None:
    checks.listed("devices", devices, most=checks.MOST_GPUS)
    for device in devices:
        checks.whole("devices.index", device.index, high=1000)
        checks.text("devices.uuid", device.uuid, longest=80)
        checks.text("devices.name", device.name, longest=80)
        checks.whole("devices.memory_bytes", device.memory_bytes)
        if device.health not in Gpu.Health.values:
            raise checks.Nonsense(
                _("“%(field)s” has to be one of: %(words)s.")
                % {"field": "devices.health", "words": ", ".join(Gpu.Health.values)},
                field="devices.health",
            )
    if len({device.uuid for device in devices}) < len(devices):
        raise checks.Nonsense(_("A GPU was named twice."), field="devices.uuid")


def _refuse_impostor(node: Node, identity: Identity, now: datetime) -> None:
    """Another machine under the node's name, or a key that was taken away."""
    if node.key_hash and not hmac.compare_digest(node.key_hash, secret_hash(identity.key)):
        raise DomainError(
            _(
                "%(node)s came in with another key. Make a token on the nodes page"
                " and let this machine join with it."
            )
            % {"node": node.name},
            code="wrong_key",
        )
    beats = node.heartbeat_at is not None and now - node.heartbeat_at < SILENT_AFTER
    another = node.machine_id and identity.machine and node.machine_id != identity.machine
    if beats and another and node.state != Node.State.REMOVED:
        raise Conflict(
            _("Another machine works as %(node)s at the moment. Give this one a name of its own.")
            % {"node": node.name},
            code="name_taken",
        )


def _refuse_other_runner(node: Node, runner: str) -> None:
    """What one runner started the other one does not find."""
    held = Workload.objects.active().filter(node=node).exclude(state=Workload.State.PLACED)
    if node.runner != runner and held.exists():
        raise Conflict(
            _(
                "Workloads that were started as %(old)s still run on %(node)s. Let them end, or"
                " stop them, before it starts others as %(new)s."
            )
            % {"old": node.runner, "node": node.name, "new": runner},
            code="runner_differs",
        )


def _refuse_foreign_devices(node: Node | None, devices: Sequence[Device], now: datetime) -> None:
    """A GPU is in one machine: whoever claims that of a living node is wrong or a copy of it."""
    foreign = Gpu.objects.filter(
        uuid__in=[device.uuid for device in devices],
        is_present=True,
        node__heartbeat_at__gt=now - SILENT_AFTER,
    ).exclude(node__state=Node.State.REMOVED)
    if node is not None:
        foreign = foreign.exclude(node=node)
    taken = foreign.select_related("node").first()
    if taken is not None:
        raise Conflict(
            _("The GPU %(uuid)s belongs to %(node)s, which is at work.")
            % {"uuid": taken.uuid, "node": taken.node.name},
            code="gpu_taken",
        )


def devices_set(node: Node, devices: Sequence[Device]) -> bool:
    """Brings the node's devices up to date. Whether what may be placed there changed."""
    before = set(node.gpus.usable().values_list("pk", flat=True))
    present = []
    for device in devices:
        values = {
            "node": node,
            "index": device.index,
            "name": device.name,
            "memory_bytes": device.memory_bytes,
            "is_present": True,
            "gone_at": None,
            "health": device.health,
            "health_codes": list(device.health_codes),
        }
        gpu, _made = Gpu.objects.update_or_create(uuid=device.uuid, defaults=values)
        present.append(gpu.pk)
    missing = node.gpus.filter(is_present=True).exclude(pk__in=present)
    missing.update(is_present=False, gone_at=database_now())
    return before != set(node.gpus.usable().values_list("pk", flat=True))


@transaction.atomic
def node_beat(
    node_id: uuid.UUID,
    *,
    engines: list[str],
    facts: dict[str, Any] | None = None,
    clock: datetime | None = None,
    devices: Sequence[Device] | None = None,
) -> Node:
    """A sign of life; brings back a node that was given up, and notices new engines and devices.

    Of the facts `trouble` says what keeps the node from starting anything now. Raises `NodeRemoved`
    after an operator removed the node, and DomainError for nonsense.
    """
    told = {**checks.facts(facts or {}), "engines": checks.engines(engines)}
    if devices is not None:
        _check_devices(devices)
    # The weaker lock lets others refer to the node meanwhile.
    node = Node.objects.select_for_update(no_key=True).get(pk=node_id)
    if node.state == Node.State.REMOVED:
        raise NodeRemoved(
            _("An operator removed %(node)s. To come back it needs a new token.")
            % {"node": node.name}
        )
    before = node.takes_work
    node.heartbeat_at = database_now()
    if clock is not None:
        node.clock_skew_seconds = round((clock - node.heartbeat_at).total_seconds(), 3)
    news = node.facts != {**node.facts, **told}
    node.facts = {**node.facts, **told}
    node.save(update_fields=["heartbeat_at", "clock_skew_seconds", "facts"])
    if devices is not None:
        _refuse_foreign_devices(node, devices, node.heartbeat_at)
        news = devices_set(node, devices) or news
    settle(node)
    if news or node.takes_work != before:
        schedule_soon()
    return node


def node_leads(node_id: uuid.UUID) -> bool:
    """Whether this is the node which does what one of them has to do for all.

    The first of those that beat lately: when it falls silent the next one takes over. For a moment
    two may lead, so what they do must bear that.
    """
    # One that was found silent does not lead, whatever the database's clock says of its last beat.
    living = Node.objects.present().exclude(state=Node.State.LOST)
    living = living.filter(heartbeat_at__gt=database_now() - LEADS_FOR)
    return living.order_by("pk").values_list("pk", flat=True).first() == node_id


def nodes_sweep(witness: Witness | None = None, *, plan: bool = True) -> None:
    """The safety net: silent nodes, their workloads, starts that nobody made, the queue.

    Without a witness of silence nobody is judged. Without `plan` there is a plan only where one was
    asked for.
    """
    if witness is not None:
        _give_up_silent(witness)
    drains_advance()
    requeue_unclaimed()
    if plan and Workload.objects.waiting().exists():
        schedule_soon()
    else:
        schedule_asked()


def _give_up_silent(witness: Witness) -> None:
    silent = witness.silent(SILENT_AFTER.total_seconds())
    judged = Node.objects.exclude(state__in=(Node.State.LOST, Node.State.REMOVED))
    for pk in judged.filter(pk__in=silent).values_list("pk", flat=True):
        with transaction.atomic():
            node = _still_silent(pk, silent[pk])
            if node is not None:
                state_set(node, Node.State.LOST, reason=_("No sign of life for a minute."))
    gone = witness.silent(settings.NODE_LOST_SECONDS)
    lost = Workload.objects.active().filter(node__state=Node.State.LOST, node__in=gone)
    for workload in lost.exclude(state=Workload.State.PLACED):
        if workload.node_id is not None:
            _give_up(workload, gone[workload.node_id])


def _still_silent(node_id: uuid.UUID, beat: datetime) -> Node | None:
    """The node, which cannot beat from now on, unless it has beaten since then."""
    return Node.objects.select_for_update().filter(pk=node_id, heartbeat_at=beat).first()


@transaction.atomic
def _give_up(workload: Workload, beat: datetime) -> None:
    """Ends a workload of a node whose last beat that was, unless the node beats just now.

    Either the beat comes first and the node renews the leases of what runs there, or this does, and
    the workload is not the node's any more when it looks.
    """
    row = Workload.objects.select_for_update().get(pk=workload.pk)  # before nodes, as everywhere
    node = _still_silent(row.node_id, beat) if row.node_id is not None else None
    if node is None:
        return
    seconds = settings.NODE_LOST_SECONDS
    why = _("The node %(node)s was silent for more than %(seconds)s seconds.")
    workload_lost(row.pk, row.epoch, reason=why % {"node": node.name, "seconds": seconds})
