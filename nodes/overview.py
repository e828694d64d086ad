"""What the node pages show, as plain facts for one reader."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, Sum, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils import timezone

from accounts.models import User
from common.phrases import gettext as _
from nodes.models import Alert, AlertRule, Gpu, Lease, Node, NodeSample, Workload
from nodes.services.sentences import (
    alert_text,
    exclusion_text,
    gone_text,
    health_text,
    node_hints,
    node_trouble,
    start_trouble,
    throttle_text,
)
from nodes.signals import workloads_linked

FRESH = timedelta(seconds=30)
TENANTS_SHOWN = 2  # of a node among others
NEEDS = ("gpus", "gpu_memory_bytes", "cpus", "memory_bytes")
TENANT = ("name", "project__name", "state", "since", "exited_at")
# Which alerts say that something is broken; the others say that somebody should look.
GRAVE = {
    AlertRule.Kind.SILENCE,
    AlertRule.Kind.ECC,
    AlertRule.Kind.EXCLUSION,
    AlertRule.Kind.LOSS,
}
LOOKS = {
    Node.State.READY: "ok",
    Node.State.EXCLUDED: "no",
    Node.State.LOST: "no",
    Node.State.DRAINED: "off",
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """A workload on a node, named only to those who may see it, and what it asked for."""

    name: str
    url: str  # of the page of what it is for
    is_mine: bool
    project: str
    state: str
    comes_home: bool  # its process has ended, and what it wrote is on its way
    since: datetime | None
    gpus: int
    gpu_memory_bytes: int
    cpus: float
    memory_bytes: int

    @property
    def state_label(self) -> str:
        """Its state in a word."""
        if self.comes_home:
            return _("brings its results home")
        return str(Workload.State(self.state).label)


def short_model(name: str) -> str:
    """A GPU's name without its maker and its memory, which stands beside it."""
    return re.sub(r"^(NVIDIA |GeForce |Tesla |Quadro )+|-\d+GB$", "", name)


@dataclass(frozen=True, slots=True)
class Share:
    """What a process holds of a GPU; named only to those who may see its workload."""

    name: str
    memory_bytes: int | None
    percent: float | None


@dataclass(slots=True)
class Device:
    """A GPU with its load and its holder."""

    gpu: Gpu
    load: dict[str, Any] = field(default_factory=dict)
    holder: str = ""
    shares: list[Share] = field(default_factory=list)
    is_idle: bool = False  # held for long and hardly used

    @property
    def name(self) -> str:
        """Its place in the machine."""
        return f"GPU {self.gpu.index}"

    @property
    def model(self) -> str:
        """What it is called among people."""
        return short_model(self.gpu.name)

    @property
    def percent(self) -> float | None:
        """How much of it is used; None where that is not known."""
        return self.load.get("percent")

    @property
    def is_usable(self) -> bool:
        """Whether work may be placed on it."""
        gpu = self.gpu
        return gpu.is_present and gpu.excluded_at is None and gpu.health != Gpu.Health.FAILED

    @property
    def look(self) -> str:
        """The colour of its state."""
        if not self.is_usable:
            return "no"
        return "ok" if self.gpu.health == Gpu.Health.OK else "wait"

    @property
    def label(self) -> str:
        """Its state in a word."""
        if not self.gpu.is_present:
            return _("gone")
        if self.gpu.excluded_at is not None:
            return _("excluded")
        return str(self.gpu.get_health_display())

    @property
    def trouble(self) -> str:
        """Why it is not well; empty when it is."""
        texts = (
            gone_text(self.gpu),
            exclusion_text(self.gpu.exclusion),
            health_text(self.gpu),
            throttle_text(self.load.get("throttled", ())),
        )
        return " ".join(text for text in texts if text)


@dataclass(slots=True)
class Card:
    """A node with what happens on it."""

    node: Node
    sample: NodeSample | None
    devices: list[Device] = field(default_factory=list)
    tenants: list[Tenant] = field(default_factory=list)  # those that are named
    active: int = 0  # how many run here, named or not
    cpus_in_use: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether its agent did not report lately."""
        beat = self.node.heartbeat_at
        late = beat is None or timezone.now() - beat > FRESH
        return late or self.node.state == Node.State.LOST

    @property
    def kind(self) -> str:
        """The colour of its state."""
        if self.is_silent:
            return "no"
        return LOOKS.get(Node.State(self.node.state), "wait") if not self.trouble else "wait"

    @property
    def label(self) -> str:
        """Its state in a word."""
        if self.is_silent:
            return _("silent")
        if self.node.state != Node.State.READY:
            return str(self.node.get_state_display())
        return _("takes no new work") if self.trouble else _("healthy")

    @property
    def trouble(self) -> str:
        """Why it takes no new work, where that is not plain from its state."""
        return node_trouble(self.node)

    @property
    def start_trouble(self) -> str:
        """Why nothing can be started here now, for operators."""
        return start_trouble(self.node, to_operator=True)

    @property
    def hints(self) -> list[str]:
        """What operators should change about it."""
        return node_hints(self.node)

    @property
    def gist(self) -> str:
        """The names of the first that run here, and how many more there are."""
        names = ", ".join(tenant.name for tenant in self.tenants[:TENANTS_SHOWN])
        more = self.active - TENANTS_SHOWN
        return f"{names} +{more}" if more > 0 else names

    @property
    def models(self) -> list[tuple[int, str, int]]:
        """Its GPUs, but those that are gone, as (how many, name, bytes of memory)."""
        counts: dict[tuple[str, int], int] = {}
        for device in self.devices:
            if not device.gpu.is_present:
                continue
            key = (short_model(device.gpu.name), device.gpu.memory_bytes)
            counts[key] = counts.get(key, 0) + 1
        return [(count, name, size) for (name, size), count in counts.items()]

    def percent(self, used: int, total: int) -> int:
        """Used of total, 0 to 100."""
        return min(100, round(100 * used / total)) if total else 0

    @property
    def loads(self) -> dict[str, dict[str, Any]]:
        """What was last measured of each GPU, by its UUID."""
        return {load["uuid"]: load for load in (self.sample.gpus if self.sample else [])}

    @property
    def memory_percent(self) -> int:
        """Memory in use."""
        used = self.sample.memory_used_bytes if self.sample else 0
        return self.percent(used, self.node.memory_bytes)

    @property
    def disk_percent(self) -> int:
        """Disk in use."""
        return self.percent(self.sample.disk_used_bytes if self.sample else 0, self.node.disk_bytes)


def cards_of(user: User, nodes: list[Node], *, most: int | None = None) -> list[Card]:
    """The nodes as the user may see them, asked for all at once.

    Each names what runs there, or with `most` only so many of it, the longest there first.
    """
    samples = {one.node_id: one for one in NodeSample.objects.filter(node__in=nodes).newest()}
    idle = set(
        Alert.objects.open()
        .filter(node__in=nodes, kind=AlertRule.Kind.IDLE)
        .values_list("gpu", flat=True)
    )
    held: dict[int, list[UUID]] = {}
    leases = Lease.objects.filter(released_at=None, gpu__node__in=nodes)
    for gpu_id, workload_id in leases.values_list("gpu_id", "workload_id"):
        held.setdefault(gpu_id, []).append(workload_id)
    cards = {node.pk: Card(node, samples.get(node.pk)) for node in nodes}
    names = _fill_tenants(user, cards, {pk for holders in held.values() for pk in holders}, most)
    named = {str(pk): name for pk, name in names.items()}
    for gpu in Gpu.objects.known().filter(node__in=nodes):
        card = cards[gpu.node_id]
        load = card.loads.get(gpu.uuid, {})
        holder = ", ".join(names.get(pk, _("in use")) for pk in held.get(gpu.pk, ()))
        card.devices.append(Device(gpu, load, holder, _shares(load, named), gpu.pk in idle))
    return list(cards.values())


def _fill_tenants(
    user: User, cards: dict[UUID, Card], holders: set[UUID], most: int | None
) -> dict[UUID, str]:
    """Gives each card what runs there; returns the names of all that are shown or hold a GPU."""
    node = F("node_id")
    active = Workload.objects.active().filter(node__in=list(cards))
    found = active.annotate(
        since=Coalesce("started_at", "placed_at"),
        rank=Window(RowNumber(), partition_by=node, order_by=("placed_at", "pk")),
        beside=Window(Count("pk"), partition_by=node),
        taken=Window(Sum("cpus", filter=Q(exited_at=None)), partition_by=node),
    )
    if most is not None:
        found = found.filter(Q(rank__lte=most) | Q(pk__in=holders))
    # Plain values: there may be hundreds, and rows of models cost ten times as much.
    rows = list(
        found.order_by("node_id", "rank").values_list(
            "pk", "node_id", "rank", "beside", "taken", *TENANT, *NEEDS
        )
    )
    seen = Workload.objects.filter(pk__in=[row[0] for row in rows]).visible_to(user)
    mine = set(seen.values_list("pk", flat=True))
    urls = pages_of(mine)
    names = {}
    for pk, node_id, rank, beside, taken, name, project, state, since, exited, *needs in rows:
        is_mine = pk in mine
        names[pk] = name if is_mine else _("another project's")
        card = cards[node_id]
        card.active, card.cpus_in_use = beside, taken or 0.0
        if most is None or rank <= most:
            whose, comes_home = project if is_mine else "", exited is not None
            tenant = Tenant(
                names[pk], urls.get(pk, ""), is_mine, whose, state, comes_home, since, *needs
            )
            card.tenants.append(tenant)
    return names


def pages_of(workloads: Collection[UUID]) -> dict[UUID, str]:
    """Where to read about each of these, which the reader may see."""
    found: dict[UUID, str] = {}
    if workloads:
        for _receiver, pages in workloads_linked.send(None, workload_ids=list(workloads)):
            found.update(pages if isinstance(pages, dict) else {})
    return found


def _shares(load: dict[str, Any], names: dict[str, str]) -> list[Share]:
    return [
        Share(
            names.get(process.get("workload", ""), _("a process that is none of ours")),
            process.get("memory_used_bytes"),
            process.get("percent"),
        )
        for process in load.get("processes", ())
    ]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is wrong with a node now."""

    text: str
    look: str
    node: Node
    since: datetime


def notices_of(user: User, nodes: list[Node]) -> list[Notice]:
    """What is wrong with these nodes, the grave things first."""
    alerts = Alert.objects.open().visible_to(user).filter(node__in=nodes)
    found = [
        Notice(
            alert_text(alert, to_operator=user.is_staff),
            "bad" if alert.kind in GRAVE else "warn",
            alert.node,
            alert.since,
        )
        for alert in alerts.select_related("node", "gpu").order_by("-since")
    ]
    return sorted(found, key=lambda notice: notice.look)
