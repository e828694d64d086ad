"""What the node pages show, as plain facts for one reader."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from common.phrases import gettext as _
from nodes.models import Gpu, Node, NodeSample, Workload
from nodes.services.reasons import NEVER

FRESH = timedelta(seconds=30)
QUEUE_SHOWN = 50


@dataclass(slots=True)
class Tenant:
    """A workload on a node, named only to those who may see it."""

    name: str
    url_id: str
    project: str
    state: str
    state_label: str
    since: datetime | None
    workload: Workload


@dataclass(slots=True)
class Device:
    """A GPU with its load and its holder."""

    gpu: Gpu
    percent: int | None = None
    memory_used_bytes: int | None = None
    temperature: int | None = None
    watts: int | None = None
    holder: str = ""


@dataclass(slots=True)
class Card:
    """A node with what happens on it."""

    node: Node
    sample: NodeSample | None
    devices: list[Device] = field(default_factory=list)
    tenants: list[Tenant] = field(default_factory=list)
    cpus_in_use: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether its agent did not report lately."""
        beat = self.node.heartbeat_at
        return beat is None or timezone.now() - beat > FRESH

    @property
    def kind(self) -> str:
        """The colour of its state."""
        if self.is_silent or self.node.state == Node.State.LOST:
            return "no"
        return "ok" if self.node.state == Node.State.READY else "wait"

    @property
    def label(self) -> str:
        """Its state in a word."""
        if self.is_silent or self.node.state == Node.State.LOST:
            return _("silent")
        return _("healthy") if self.node.state == Node.State.READY else _("takes no new work")

    @property
    def models(self) -> list[tuple[int, str, int]]:
        """Its GPUs as (how many, name, bytes of memory)."""
        counts: dict[tuple[str, int], int] = {}
        for device in self.devices:
            key = (device.gpu.name, device.gpu.memory_bytes)
            counts[key] = counts.get(key, 0) + 1
        return [(count, name, size) for (name, size), count in counts.items()]

    def percent(self, used: int, total: int) -> int:
        """Used of total, 0 to 100."""
        return min(100, round(100 * used / total)) if total else 0

    @property
    def memory_percent(self) -> int:
        """Memory in use."""
        used = self.sample.memory_used_bytes if self.sample else 0
        return self.percent(used, self.node.memory_bytes)

    @property
    def disk_percent(self) -> int:
        """Disk in use."""
        return self.percent(self.sample.disk_used_bytes if self.sample else 0, self.node.disk_bytes)


@dataclass(slots=True)
class QueueRow:
    """A waiting workload."""

    place: int
    name: str
    project: str
    is_mine: bool
    workload: Workload
    reason: str
    is_never: bool
    since: datetime


def queue_of(user: User) -> list[QueueRow]:
    """The queue; other projects' workloads have a place and needs, but no name."""
    mine = set(Workload.objects.waiting().visible_to(user).values_list("pk", flat=True))
    rows = []
    waiting = Workload.objects.waiting().select_related("project")[:QUEUE_SHOWN]
    for place, workload in enumerate(waiting, 1):
        is_mine = workload.pk in mine
        rows.append(
            QueueRow(
                place=place,
                name=workload.name if is_mine else _("another project's"),
                project=workload.project.name if is_mine else "",
                is_mine=is_mine,
                workload=workload,
                reason=workload.reason,
                is_never=workload.waits_for.get("code") in NEVER,
                since=workload.queued_at,
            )
        )
    return rows


def cards_of(user: User, nodes: list[Node]) -> list[Card]:
    """The nodes as the user may see them."""
    mine = set(Workload.objects.active().visible_to(user).values_list("pk", flat=True))
    return [_card(node, mine) for node in nodes]


def _card(node: Node, mine: set[Any]) -> Card:
    sample = node.samples.order_by("-at").first()
    card = Card(node, sample)
    active = list(
        Workload.objects.active().filter(node=node).select_related("project").order_by("placed_at")
    )
    names = {}
    for workload in active:
        is_mine = workload.pk in mine
        names[workload.pk] = workload.name if is_mine else _("another project's")
        card.cpus_in_use += workload.cpus
        card.tenants.append(
            Tenant(
                name=names[workload.pk],
                url_id=str(workload.pk) if is_mine else "",
                project=workload.project.name if is_mine else "",
                state=workload.state,
                state_label=str(workload.get_state_display()),
                since=workload.started_at or workload.placed_at,
                workload=workload,
            )
        )
    loads = {gpu["index"]: gpu for gpu in (sample.gpus if sample else [])}
    for gpu in node.gpus.filter(is_present=True):
        holders = gpu.leases.filter(released_at=None).values_list("workload_id", flat=True)
        load = loads.get(gpu.index, {})
        card.devices.append(
            Device(
                gpu,
                load.get("percent"),
                load.get("memory_used_bytes"),
                load.get("temperature"),
                load.get("watts"),
                ", ".join(names.get(pk, _("in use")) for pk in holders),
            )
        )
    return card
