"""What the nodes have, and how soon a job could start."""

from dataclasses import dataclass

from django.db.models import Sum

from jobs.engines.base import Hardware
from nodes.models import Gpu, Node, Workload


def _ready() -> list[Node]:
    return list(Node.objects.filter(state=Node.State.READY).prefetch_related("gpus"))


def hardware() -> Hardware:
    """GPUs of the machine that has most of them, and the largest memory, of those that work."""
    best: tuple[int, ...] = ()
    memory, cpus = 0, 1
    for node in _ready():
        gpus = tuple(
            sorted((gpu.memory_bytes for gpu in node.gpus.all() if gpu.is_present), reverse=True)
        )
        if (len(gpus), sum(gpus)) > (len(best), sum(best)):
            best = gpus
        if node.memory_bytes > memory:
            memory, cpus = node.memory_bytes, node.cpu_count
    return Hardware(best, memory, cpus)


@dataclass(frozen=True)
class Start:
    """When a job would start if it were submitted now: at once, or behind so many others."""

    at_once: bool
    ahead: int
    no_node: bool = False


def start_foreseen(gpus: int, cpus: float) -> Start:
    """A look at the queue and at what is free."""
    ahead = Workload.objects.waiting().count()
    nodes = _ready()
    if not nodes:
        return Start(False, ahead, no_node=True)
    if ahead:
        return Start(False, ahead)
    for node in nodes:
        running = node.workloads.occupying()
        used = running.aggregate(total=Sum("cpus"))["total"] or 0.0
        free_gpus = Gpu.objects.filter(node=node, is_present=True).exclude(
            leases__released_at=None, leases__isnull=False
        )
        fits = free_gpus.count() >= gpus if gpus else node.cpu_count - used >= cpus
        if fits:
            return Start(True, 0)
    return Start(False, 0)
