"""Planning: what waits gets its places. One plans at a time, for all who ask meanwhile."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django_q.tasks import async_task

from common.commits import after_commit
from common.phrases import gettext as _
from nodes import scheduler
from nodes.models import Gpu, Lease, Node, PlanRequest, Workload
from nodes.models.workloads import IN_QUEUE
from nodes.services.clock import database_now
from nodes.services.moves import move
from nodes.services.reasons import reason_text

State = Workload.State
# As `scheduler.shape_of`.
SHAPE = ("engine", "gpus", "gpu_memory_bytes", "cpus", "memory_bytes", "image_id")
FEW = 8
TURN = 0x706C616E  # the advisory lock of whoever plans; any number that nothing else here uses


@dataclass(frozen=True, slots=True)
class Head:
    """A waiting workload that is planned for, and the reason that was noted for it last.

    `is_deepest`: others of its shape may follow that are not looked at.
    """

    request: scheduler.Request
    waits_for: dict[str, Any]
    is_deepest: bool


@transaction.atomic
def schedule() -> int:
    """Plans and applies, after whoever plans now; returns how many were placed."""
    _take_turn(wait=True)
    placed = _plan_and_apply()
    after_commit(schedule_asked)  # for those who came while nobody else could plan
    return placed


def schedule_soon() -> None:
    """Has it planned as soon as this change stands.

    What is often, like the end of a workload, waits for no planner: whoever plans looks again
    before it leaves, so one plan does for all that changed during the one before.
    """
    PlanRequest.objects.create()
    after_commit(schedule_asked)


def schedule_asked() -> None:
    """Plans while somebody asks for it; leaves it to whoever plans already."""
    while PlanRequest.objects.exists():
        with transaction.atomic():
            if not _take_turn(wait=False):
                return
            _plan_and_apply()


def _take_turn(*, wait: bool) -> bool:
    """Whether this transaction may plan; until its end nobody else does.

    On SQLite a transaction that writes is alone anyway.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("select pg_advisory_xact_lock(%s)", (TURN,))
            return True
        cursor.execute("select pg_try_advisory_xact_lock(%s)", (TURN,))
        return bool(cursor.fetchone()[0])


def _plan_and_apply() -> int:
    """What is asked from here on is left to the next plan."""
    PlanRequest.objects.all().delete()
    nodes = list(Node.objects.present().order_by("pk"))
    heads, decisions = _plan(nodes)
    _note_waits(heads, decisions)
    placements = [one for one in decisions if isinstance(one, scheduler.Placement)]
    # In the order of their keys, as everybody locks nodes.
    placements.sort(key=lambda one: one.machine)
    return sum(_place(one) for one in placements)


def _plan(nodes: list[Node]) -> tuple[list[Head], list[scheduler.Decision]]:
    """Decides about the first of each shape, about as many as it takes to know of all.

    What follows a lasting answer to its own shape shares it and changes nothing for others: that
    thousands wait alike costs no more than that a few do.
    """
    depth = len(nodes) + FEW
    heads = _heads(depth)
    if not heads:
        return [], []
    running, places = tenants(), machines(nodes)
    while True:
        requests = [head.request for head in heads]
        decisions = scheduler.plan(requests, running, places, database_now())
        lasting = {
            one.request for one in decisions if isinstance(one, scheduler.Wait) and one.lasting
        }
        if all(head.request.key in lasting for head in heads if head.is_deepest):
            return heads, decisions
        depth *= 8
        heads = _heads(depth)


def _heads(depth: int) -> list[Head]:
    """The first `depth` workloads of each shape that wait."""
    rank = Window(
        RowNumber(),
        partition_by=[F(name) for name in SHAPE],
        order_by=IN_QUEUE,
    )
    rows = Workload.objects.filter(state=State.WAITING).annotate(rank=rank)
    return [
        Head(scheduler.Request(*request), waits_for, is_deepest=rank == depth)
        for *request, waits_for, rank in rows.filter(rank__lte=depth).values_list(
            "id", "priority", "queued_at", *SHAPE, "waits_for", "rank"
        )
    ]


def tenants() -> list[scheduler.Tenant]:
    """What holds a place now."""
    held: dict[uuid.UUID, set[int]] = {}
    for workload_id, gpu_id in Lease.objects.filter(released_at=None).values_list(
        "workload_id", "gpu_id"
    ):
        held.setdefault(workload_id, set()).add(gpu_id)
    holders = Workload.objects.occupying().filter(node__isnull=False)
    return [
        scheduler.Tenant(
            key=key,
            machine=node,
            placed_at=placed_at or queued_at,
            cpus=cpus,
            memory_bytes=memory_bytes,
            devices=frozenset(held.get(key, ())),
            is_service=is_service,
        )
        for key, node, placed_at, queued_at, cpus, memory_bytes, is_service in holders.values_list(
            "id", "node_id", "placed_at", "queued_at", "cpus", "memory_bytes", "is_service"
        )
        if node is not None
    ]


def machines(nodes: list[Node]) -> list[scheduler.Machine]:
    """These nodes, as the planner sees them."""
    devices: dict[uuid.UUID, list[scheduler.Device]] = {}
    for gpu in Gpu.objects.usable().order_by("node_id", "index"):
        devices.setdefault(gpu.node_id, []).append(scheduler.Device(gpu.pk, gpu.memory_bytes))
    return [
        scheduler.Machine(
            key=node.pk,
            name=node.name,
            cpus=float(node.cpu_count),
            memory_bytes=node.memory_bytes,
            devices=tuple(devices.get(node.pk, ())),
            accepts=node.takes_work,
            engines=_engines(node, "engines"),
            gpu_engines=_engines(node, "gpu_engines"),
            gives_gpus=node.facts.get("docker_gives_gpus", True),
            missing_images=frozenset(node.facts.get("missing_images", ())),
        )
        for node in nodes
    ]


def _engines(node: Node, fact: str) -> frozenset[str] | None:
    return frozenset(node.facts[fact]) if fact in node.facts else None


def _place(decision: scheduler.Placement) -> int:
    """Gives the workload its place and wakes the node's worker.

    The node is held from here on: it was cordoned or removed before and gets nothing, or it is
    afterwards, and then this place is seen.
    """
    node = Node.objects.select_for_update(no_key=True).get(pk=decision.machine)
    workload = _free_waiting().filter(pk=decision.request).first()
    if workload is None or not node.takes_work:
        return 0
    workload.node, workload.placed_at = node, database_now()
    move(
        workload,
        State.PLACED,
        reason=_("On %(node)s.") % {"node": node.name},
        fields=("node", "placed_at"),
    )
    Lease.objects.bulk_create(
        Lease(gpu_id=device, workload=workload) for device in decision.devices
    )
    nudge(workload, node)
    return 1


def nudge(workload: Workload, node: Node) -> None:
    """Tells the node's worker that there is something to start."""
    Workload.objects.filter(pk=workload.pk).update(nudged_at=database_now())
    async_task("nodes.tasks.workload_start", str(workload.pk), workload.epoch, cluster=node.queue)


def _note_waits(heads: list[Head], decisions: list[scheduler.Decision]) -> None:
    """Keeps the reasons, so that reading them costs no planning; writes only those that changed."""
    waits = {
        one.request: {"code": one.code, "args": one.args}
        for one in decisions
        if isinstance(one, scheduler.Wait)
    }
    known = {head.request.key: head.waits_for for head in heads}
    news = [key for key, waits_for in waits.items() if waits_for != known[key]]
    if news:
        rows = list(_free_waiting().filter(pk__in=news).only("pk"))
        for row in rows:
            row.waits_for, row.reason = waits[row.pk], reason_text(waits[row.pk])
        Workload.objects.bulk_update(rows, ("waits_for", "reason"), batch_size=100)
    for head in heads:
        if head.is_deepest:
            shape = scheduler.shape_of(head.request)
            seen = [one.request.key for one in heads if scheduler.shape_of(one.request) == shape]
            _note_rest(shape, seen, waits[head.request.key])


def _note_rest(shape: scheduler.Shape, seen: list[uuid.UUID], waits_for: dict[str, Any]) -> None:
    """Gives all of a shape that were not looked at the reason that they share."""
    alike = dict(zip(SHAPE, shape, strict=True))
    rest = _free_waiting().filter(**alike).exclude(pk__in=seen).exclude(waits_for=waits_for)
    Workload.objects.filter(pk__in=rest.values("pk")).update(
        waits_for=waits_for, reason=reason_text(waits_for)
    )


def _free_waiting() -> QuerySet[Workload]:
    """What waits and is not just being changed by somebody, locked."""
    rows = Workload.objects.filter(state=State.WAITING)
    return rows.select_for_update(skip_locked=True)
