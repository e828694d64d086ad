"""The queue: submit, order, place, stop."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypedDict, Unpack

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import Project, User
from accounts.services import event_record
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from nodes import scheduler
from nodes.models import Gpu, Lease, Node, Workload
from nodes.services.images import image_named
from nodes.services.moves import locked, move
from nodes.services.reasons import reason_text

State = Workload.State
PLACED_TOO_LONG = timedelta(seconds=30)  # a placed workload that nobody claimed is queued again
SHAPE = ("engine", "gpus", "gpu_memory_bytes", "cpus", "memory_bytes")  # as `scheduler.shape_of`
FEW = 8


class Wishes(TypedDict, total=False):
    """What a workload asks for; left out, the model's defaults hold. Memory in bytes."""

    is_service: bool  # runs until stopped
    gpus: int
    gpu_memory_bytes: int  # at least this much on each
    cpus: float
    memory_bytes: int
    memory_limit_bytes: int | None  # ended when its processes hold more
    wall_seconds: int | None
    priority: int  # 0 to 100, higher ones first
    image: str  # name or id of one on the operators' list, instead of the engine's newest


@dataclass(frozen=True, slots=True)
class Head:
    """A waiting workload that is planned for, and the reason that was noted for it last.

    `is_deepest`: others of its shape may follow that are not looked at.
    """

    request: scheduler.Request
    waits_for: dict[str, Any]
    is_deepest: bool


@transaction.atomic
def workload_submit(
    *,
    project: Project,
    created_by: User | None,
    name: str,
    engine: str,
    verb: str,
    inputs: Mapping[str, str],
    files: Mapping[str, str],
    env: Mapping[str, str] | None = None,
    **wishes: Unpack[Wishes],
) -> Workload:
    """Queues a workload, and places it at once where there is room.

    `inputs` are paths relative to TRAINER_HOME, or `hub:<id>` for what the engine fetches itself.
    """
    _refuse_bad_inputs(inputs)
    named = wishes.pop("image", "")
    workload = Workload.objects.create(
        project=project,
        created_by=created_by,
        name=name,
        engine=engine,
        verb=verb,
        inputs=dict(inputs),
        files=dict(files),
        env=dict(env or {}),
        image=image_named(named, engine=engine) if named else None,
        **wishes,
    )
    event_record(
        workload, project=project, actor=created_by, verb="submitted", new=State.WAITING.value
    )
    schedule()
    workload.refresh_from_db()
    return workload


def _refuse_bad_inputs(inputs: Mapping[str, str]) -> None:
    """Inputs lie under TRAINER_HOME and nowhere else."""
    home = settings.TRAINER_HOME
    for name, value in inputs.items():
        if value.startswith("hub:"):
            continue
        if not (home / value).resolve().is_relative_to(home):
            raise DomainError(
                _("The input “%(name)s” lies outside of the platform's own directory.")
                % {"name": name},
                field=name,
                code="outside",
            )


@transaction.atomic
def schedule() -> int:
    """Plans and applies. Called on every change and by a sweep; returns how many were placed."""
    # All planners take these locks first and in this order, so that one plans at a time. They wait
    # for no other lock: what somebody is changing this moment is planned after that change.
    nodes = list(Node.objects.present().select_for_update(no_key=True).order_by("pk"))
    heads, decisions = _plan(nodes)
    by_key = {node.pk: node for node in nodes}
    placed = 0
    for decision in decisions:
        if isinstance(decision, scheduler.Placement):
            placed += _place(decision, by_key[decision.machine])
    _note_waits(heads, decisions)
    return placed


def _plan(nodes: list[Node]) -> tuple[list[Head], list[scheduler.Decision]]:
    """Decides about the first of each shape, about as many as it takes to know of all.

    What follows a lasting answer to its own shape shares it and changes nothing for others: that
    thousands wait alike costs no more than that a few do.
    """
    depth = len(nodes) + FEW
    heads = _heads(depth)
    if not heads:
        return [], []
    tenants, machines = _tenants(), _machines(nodes)
    while True:
        requests = [head.request for head in heads]
        decisions = scheduler.plan(requests, tenants, machines, timezone.now())
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
        order_by=("-priority", "queued_at", "id"),
    )
    rows = Workload.objects.filter(state=State.WAITING).annotate(rank=rank)
    return [
        Head(scheduler.Request(*request), waits_for, is_deepest=rank == depth)
        for *request, waits_for, rank in rows.filter(rank__lte=depth).values_list(
            "id", "priority", "queued_at", *SHAPE, "waits_for", "rank"
        )
    ]


def _tenants() -> list[scheduler.Tenant]:
    held: dict[uuid.UUID, set[int]] = {}
    for workload_id, gpu_id in Lease.objects.filter(released_at=None).values_list(
        "workload_id", "gpu_id"
    ):
        held.setdefault(workload_id, set()).add(gpu_id)
    active = Workload.objects.active().filter(node__isnull=False)
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
        for key, node, placed_at, queued_at, cpus, memory_bytes, is_service in active.values_list(
            "id", "node_id", "placed_at", "queued_at", "cpus", "memory_bytes", "is_service"
        )
        if node is not None
    ]


def _machines(nodes: list[Node]) -> list[scheduler.Machine]:
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
            engines=frozenset(node.facts["engines"]) if "engines" in node.facts else None,
        )
        for node in nodes
    ]


def _place(decision: scheduler.Placement, node: Node) -> int:
    """Gives the workload its place and wakes the node's worker."""
    workload = _free_waiting().filter(pk=decision.request).first()
    if workload is None:
        return 0
    workload.node, workload.placed_at = node, timezone.now()
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


def queue_position(workload: Workload) -> tuple[int, str]:
    """The place in the queue, from 1, and why it waits; place 0 when it has left the queue."""
    if workload.state != State.WAITING:
        return 0, workload.reason if workload.state == State.PLACED else ""
    ahead = Workload.objects.filter(state=State.WAITING).filter(
        Q(priority__gt=workload.priority)
        | Q(priority=workload.priority, queued_at__lt=workload.queued_at)
        | Q(priority=workload.priority, queued_at=workload.queued_at, pk__lt=workload.pk)
    )
    return ahead.count() + 1, workload.reason


def queue_places(workloads: Iterable[Workload]) -> dict[uuid.UUID, int]:
    """The places in the queue, from 1, of those that wait, by one question for all of them."""
    wanted = {one.pk for one in workloads if one.state == State.WAITING}
    queue = Workload.objects.waiting().values_list("pk", flat=True) if wanted else ()
    return {key: place for place, key in enumerate(queue, 1) if key in wanted}


@transaction.atomic
def workload_priority_set(
    workload_id: uuid.UUID, priority: int, *, by: User | None = None
) -> Workload:
    """Changes who comes first. Raises `Conflict` when it does not wait any more."""
    workload = locked(workload_id)
    if workload.state != State.WAITING:
        raise Conflict(_("Only what waits has a place in the queue, and this has started."))
    if not 0 <= priority <= 100:
        raise DomainError(_("A priority is between 0 and 100."), field="priority")
    old, workload.priority = workload.priority, priority
    workload.save(update_fields=["priority"])
    event_record(
        workload,
        project=workload.project,
        actor=by,
        verb="priority",
        old=str(old),
        new=str(priority),
    )
    schedule()
    workload.refresh_from_db()
    return workload


@transaction.atomic
def workload_stop(
    workload_id: uuid.UUID,
    *,
    mode: Literal["checkpoint", "kill"],
    reason: str,
    by: User | None = None,
    goes_on: bool = False,
) -> Workload:
    """Stops a workload; again and again does no harm. What has no process yet ends at once.

    `checkpoint` gives it a long time to save where it is, `kill` a few seconds. A `kill` after a
    `checkpoint` shortens the wait. `goes_on` says in its `end_facts` that nobody wants its end:
    whoever submitted it goes on elsewhere.
    """
    workload = locked(workload_id)
    if workload.state == State.ENDED:
        return workload
    if goes_on and not workload.stop_mode:
        workload.end_facts = {**workload.end_facts, "goes_on": True}
        workload.save(update_fields=["end_facts"])
    if workload.state in {State.WAITING, State.PLACED}:
        workload.outcome, workload.stop_mode = Workload.Outcome.STOPPED, mode
        workload.stop_requested_at = timezone.now()
        fields = ("outcome", "stop_mode", "stop_requested_at")
        move(workload, State.ENDED, reason=reason, actor=by, fields=fields)
        schedule()
        return workload
    if workload.stop_mode in {mode, "kill"}:
        return workload
    workload.stop_mode, workload.stop_requested_at = mode, timezone.now()
    if workload.state == State.STOPPING:
        workload.save(update_fields=["stop_mode", "stop_requested_at"])
    else:
        asked = ("stop_mode", "stop_requested_at")
        move(workload, State.STOPPING, reason=reason, actor=by, fields=asked)
    if workload.node is not None:
        async_task(
            "nodes.tasks.workload_stop",
            str(workload.pk),
            workload.epoch,
            cluster=workload.node.queue,
        )
    return workload


def requeue_unclaimed() -> int:
    """Queues again what was placed and not claimed, and nudges on the way; a part of the sweep."""
    late = Workload.objects.filter(
        state=State.PLACED, placed_at__lt=timezone.now() - PLACED_TOO_LONG
    ).values_list("pk", flat=True)
    return sum(_requeue(pk) for pk in late)


@transaction.atomic
def _requeue(workload_id: uuid.UUID) -> bool:
    workload = locked(workload_id)
    if workload.state != State.PLACED or workload.node is None:
        return False
    if workload.node.state != Node.State.LOST:
        nudge(workload, workload.node)
        return False
    return workload_unplace(workload_id, reason=_("The node fell silent before the start."))


@transaction.atomic
def workload_unplace(workload_id: uuid.UUID, *, reason: str) -> bool:
    """Sends what has its place and has not started back to the queue. Whether it did."""
    workload = locked(workload_id)
    if workload.state != State.PLACED:
        return False
    workload.node, workload.placed_at = None, None
    move(workload, State.WAITING, reason=reason, fields=("node", "placed_at"))
    return True
