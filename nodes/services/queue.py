"""The queue: submit, order, stop."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal, TypedDict, Unpack

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import Project, User
from accounts.services import event_record
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from nodes.models import Node, Workload
from nodes.models.workloads import IN_QUEUE
from nodes.services.choices import image_named
from nodes.services.clock import database_now
from nodes.services.moves import locked, move
from nodes.services.planning import nudge, schedule, schedule_soon

State = Workload.State
PLACED_TOO_LONG = timedelta(seconds=30)  # its node is told again of what it did not claim


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


def queue_position(workload: Workload) -> tuple[int, str]:
    """The place in the queue, from 1, and why it waits; place 0 when it has left the queue."""
    if workload.state != State.WAITING:
        return 0, workload.reason if workload.state == State.PLACED else ""
    return queue_places([workload]).get(workload.pk, 0), workload.reason


def queue_places(workloads: Iterable[Workload]) -> dict[uuid.UUID, int]:
    """The places in the queue, from 1, of those that wait, by one question for all of them."""
    wanted = {one.pk for one in workloads if one.state == State.WAITING}
    if not wanted:
        return {}
    place = Window(RowNumber(), order_by=IN_QUEUE)
    queue = Workload.objects.waiting().order_by().annotate(place=place)
    # A condition that names the place is looked at when all are counted; there is no place 0.
    found = queue.filter(Q(place=0) | Q(pk__in=wanted))
    return dict(found.values_list("pk", "place"))


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
        schedule_soon()
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
    since = database_now() - PLACED_TOO_LONG
    late = Workload.objects.filter(state=State.PLACED, placed_at__lt=since)
    silent = Q(nudged_at=None) | Q(nudged_at__lt=since) | Q(node__state=Node.State.LOST)
    return sum(_requeue(pk) for pk in late.filter(silent).values_list("pk", flat=True))


def workloads_fetched_for(workloads: Iterable[Workload]) -> None:
    """Their node is at what their start needs, and has to be told nothing meanwhile."""
    now = database_now()
    placed = Workload.objects.filter(pk__in=[one.pk for one in workloads], state=State.PLACED)
    stale = Q(nudged_at=None) | Q(nudged_at__lt=now - PLACED_TOO_LONG / 3)
    placed.filter(stale).update(nudged_at=now)


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
    schedule_soon()
    return True
