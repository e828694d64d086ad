"""What happens to a workload on its node. Called by the node's worker and its agent.

Every write carries the epoch of its writer; a writer of an older epoch changes nothing.
"""

import logging
import uuid
from collections.abc import Mapping, Set
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from common.phrases import dump
from common.phrases import gettext as _
from nodes.models import Node, Workload
from nodes.runners import (
    AlreadyStarted,
    CannotStart,
    Exit,
    NoRoom,
    Place,
    Unreachable,
    runner,
)
from nodes.services.choices import ImageRefused, image_is_here, images_offer
from nodes.services.engines import EngineMissing
from nodes.services.hardware import failure_note
from nodes.services.keys import installation_id
from nodes.services.launches import launch_of
from nodes.services.moves import ForeignWorkload, announce, leases_release, locked, move
from nodes.services.planning import schedule_soon
from nodes.services.verdicts import (
    error_of_log,
    facts_of_end,
    is_contained,
    judge,
    result_of,
)

logger = logging.getLogger(__name__)
State = Workload.State
Outcome = Workload.Outcome
MAX_EPOCHS = 3  # a start that takes its worker down with it is not tried for ever
MAX_RETURNS = 10  # nor one that no node has room or an image for, though all say so


def place_of(workload: Workload) -> Place:
    """Where the files of the workload's present epoch lie."""
    return Place(workload.pk, workload.epoch, workload.directory)


@transaction.atomic
def workload_claim(
    workload_id: uuid.UUID, epoch: int, *, node: str | None = None
) -> Workload | None:
    """Takes a placed workload for its start and raises its epoch; None when somebody else has.

    `node` is who claims it. Raises `ForeignWorkload` when it has its place on another one by now:
    a message may be older than the placing.
    """
    taken = Workload.objects.filter(pk=workload_id, state=State.PLACED, epoch=epoch)
    workload = taken.select_for_update(of=("self",)).select_related("node").first()
    if workload is None:
        return None
    if node is not None and workload.node is not None and workload.node.name != node:
        raise ForeignWorkload(workload.pk, node)
    workload.epoch += 1
    return move(workload, State.STARTING, reason=workload.reason, fields=("epoch",))


@transaction.atomic
def workload_reclaim(workload_id: uuid.UUID, epoch: int) -> Workload | None:
    """Takes over a start that was begun and not finished, under a new epoch.

    The caller has made sure that the old start cannot bring a process any more. Ends the workload
    when that has happened too often.
    """
    workload = _held(workload_id, epoch, State.STARTING, State.STOPPING)
    if workload is None:
        return None
    if workload.state == State.STOPPING or workload.epoch - _returns(workload) >= MAX_EPOCHS:
        stopped = workload.state == State.STOPPING
        _end(
            workload,
            Outcome.STOPPED if stopped else Outcome.ERROR,
            workload.reason
            if stopped
            else _("It could not be started in %(count)s tries.") % {"count": MAX_EPOCHS},
        )
        return None
    workload.epoch += 1
    workload.save(update_fields=["epoch"])
    return workload


def workload_start(workload_id: uuid.UUID, epoch: int, *, node: str | None = None) -> bool:
    """Claims a placed workload for a node and starts its process. Whether this call started it.

    On a node that does not share the directory the agent starts it, once its inputs are there.
    """
    if not _has_image(workload_id, epoch):
        return False
    workload = workload_claim(workload_id, epoch, node=node)
    if workload is None or (workload.node and not workload.node.shares_home):
        return False
    return workload_launch(workload)


def workload_launch(workload: Workload, inputs: Mapping[str, Path] | None = None) -> bool:
    """Starts the process of a claimed workload's present epoch. Whether this call started it.

    `inputs` says where its inputs lie when that is not where the workload says.
    """
    if workload.node is None:
        return False
    try:
        launch = launch_of(workload, place_of(workload), inputs)
        runner(workload.node.runner, installation_id(workload.node.name)).start(launch)
    except AlreadyStarted:
        return False
    except Unreachable as error:
        logger.warning("workload %s epoch %s: %s", workload.pk, workload.epoch, error)
        return False  # the agent takes the start over once there is an answer
    except EngineMissing:
        why = _("The engine %(engine)s is not installed on %(node)s.")
        facts = {"engine": workload.engine, "node": workload.node.name}
        workload_end(workload.pk, workload.epoch, outcome=Outcome.ERROR, reason=why % facts)
        return False
    except ImageRefused as error:
        workload_return_without_image(workload, str(error))
        return False
    except NoRoom as error:
        why = _("It could not be started: %(error)s") % {"error": error}
        workload_return(workload.pk, workload.epoch, reason=why)
        return False
    except CannotStart as error:
        why = _("It could not be started: %(error)s") % {"error": error}
        workload_end(workload.pk, workload.epoch, outcome=Outcome.ERROR, reason=why)
        return False
    workload_started(workload.pk, workload.epoch)
    return True


def workload_return_without_image(
    workload: Workload, reason: str, missing: Set[uuid.UUID] = frozenset()
) -> None:
    """Its node has no image for it, and is known by what it has, and can have, from now on."""
    with suppress(Unreachable):  # the agent takes the start over once there is an answer
        engines, facts = images_offer(missing)
        facts = {**facts, "engines": engines}
        workload_return(workload.pk, workload.epoch, reason=reason, facts=facts)


def _has_image(workload_id: uuid.UUID, epoch: int) -> bool:
    """Whether nothing has to be fetched before its start; the agent fetches."""
    placed = Workload.objects.filter(pk=workload_id, state=State.PLACED, epoch=epoch)
    workload = placed.select_related("node", "image").first()
    if workload is None or not is_contained(workload):
        return True
    try:
        return image_is_here(workload)
    except Unreachable:
        return False


@transaction.atomic
def workload_note(workload_id: uuid.UUID, epoch: int, *, reason: str) -> None:
    """Tells what a placed workload's start waits for."""
    placed = Workload.objects.filter(pk=workload_id, state=State.PLACED, epoch=epoch)
    if placed.exclude(reason=reason).update(reason=reason):
        announce(workload_id, State.PLACED, State.PLACED)


def workload_sending_note(
    workload_id: uuid.UUID, epoch: int, *, sent: int, size: int, hindrance: str
) -> None:
    """Tells how far what an ended process left is on its way from its node, in bytes.

    `hindrance` says what keeps it there now; empty when nothing does.
    """
    facts = {"sent": sent, "size": size, "hindrance": dump(hindrance)}
    begun = (State.STARTING, State.RUNNING, State.STOPPING)
    held = Workload.objects.filter(pk=workload_id, epoch=epoch, state__in=begun)
    held.update(waits_for={"code": "outputs", "args": facts})


@transaction.atomic
def workload_refuse(workload_id: uuid.UUID, epoch: int, *, reason: str) -> bool:
    """Ends a placed workload that cannot be started on its node. Whether this call ended it."""
    workload = _held(workload_id, epoch, State.PLACED)
    if workload is None:
        return False
    _end(workload, Outcome.ERROR, reason)
    return True


def _held(workload_id: uuid.UUID, epoch: int, *states: str) -> Workload | None:
    """The locked row if it is of this epoch and in one of these states."""
    rows = Workload.objects.select_for_update().filter(pk=workload_id, epoch=epoch)
    workload = rows.first()
    return workload if workload is not None and workload.state in states else None


@transaction.atomic
def workload_started(workload_id: uuid.UUID, epoch: int) -> bool:
    """The process is there. Whether this call was the one that noticed."""
    workload = _held(workload_id, epoch, State.STARTING, State.STOPPING)
    if workload is None or workload.started_at is not None:
        return False
    workload.started_at = timezone.now()
    if workload.state == State.STOPPING:
        workload.save(update_fields=["started_at"])
        return True
    move(workload, State.RUNNING, reason=workload.reason, fields=("started_at",))
    return True


@transaction.atomic
def workload_overrun(workload_id: uuid.UUID, epoch: int, *, used_bytes: int) -> bool:
    """Writes down that it held more memory than its limit, before it is ended for that."""
    workload = _held(workload_id, epoch, State.RUNNING, State.STOPPING)
    if workload is None:
        return False
    workload.end_facts = {**workload.end_facts, "memory_overrun_bytes": used_bytes}
    workload.save(update_fields=["end_facts"])
    return True


@transaction.atomic
def workload_exited(workload_id: uuid.UUID, epoch: int, end: Exit) -> bool:
    """The process has ended and its files are not home yet: others get its place meanwhile.

    The workload stays active, so that nobody runs it again, until `workload_ended`. Whether this
    call noticed.
    """
    workload = _held(workload_id, epoch, State.STARTING, State.RUNNING, State.STOPPING)
    if workload is None or workload.exited_at is not None:
        return False
    workload.exited_at = timezone.now()
    workload.started_at = workload.started_at or datetime.fromtimestamp(end.started_at, UTC)
    fields = ("exited_at", "started_at")
    if workload.state == State.STARTING:
        move(workload, State.RUNNING, reason=workload.reason, fields=fields)
    else:
        workload.save(update_fields=fields)
        announce(workload.pk, workload.state, workload.state)
    leases_release(workload)
    schedule_soon()
    return True


def workload_ended(workload_id: uuid.UUID, epoch: int, end: Exit) -> bool:
    """The process has ended. Exit and result file say how well. Whether this call ended it."""
    workload = Workload.objects.filter(pk=workload_id, epoch=epoch).first()
    if workload is None or workload.state == State.ENDED:
        return False
    result = result_of(workload)
    error = error_of_log(workload)
    with transaction.atomic():
        held = _held(workload_id, epoch, State.STARTING, State.RUNNING, State.STOPPING)
        if held is None:
            return False
        held.exit_code = -end.signal if end.signal is not None else end.code
        held.end_facts = {**held.end_facts, **facts_of_end(end, result, error)}
        if held.started_at is None:
            started = datetime.fromtimestamp(end.started_at, UTC)
            held.started_at = started if end.started_at else timezone.now()
        outcome, reason = judge(held, end, result, error)
        _end(held, outcome, reason, "exit_code", "end_facts", "started_at")
        if error and error.get("class") == "gpu_hw":
            failure_note(held.pk)
    return True


def _end(workload: Workload, outcome: str, reason: str, *fields: str) -> None:
    """Ends a locked row and gives its place to the next."""
    workload.outcome = outcome
    move(workload, State.ENDED, reason=reason, fields=("outcome", *fields))
    schedule_soon()


@transaction.atomic
def workload_return(
    workload_id: uuid.UUID, epoch: int, *, reason: str, facts: Mapping[str, Any] | None = None
) -> bool:
    """Sends one that its node cannot start, and of which nothing runs, back to the queue.

    The node is placed on by these `facts` until it tells itself what it has; without any it gets
    nothing until it has looked at its disks anew. What came back too often ends.
    """
    workload = _held(workload_id, epoch, State.PLACED, State.STARTING, State.STOPPING)
    if workload is None or workload.node_id is None:
        return False
    if workload.state == State.STOPPING:
        _end(workload, Outcome.STOPPED, workload.reason)
        return True
    if _returns(workload) >= MAX_RETURNS:
        _end(workload, Outcome.ERROR, reason)
        return True
    node = Node.objects.select_for_update(no_key=True).get(pk=workload.node_id)
    node.facts = {**node.facts, **(facts or {"trouble": dump(reason)})}
    node.save(update_fields=["facts"])
    workload.end_facts = {**workload.end_facts, "returns": _returns(workload) + 1}
    image = workload.image
    if image is not None and not (image.digest and image.is_enabled):
        workload.image = None  # no other node can have it
    workload.node, workload.placed_at = None, None
    fields = ("node", "placed_at", "end_facts", "image")
    move(workload, State.WAITING, reason=reason, fields=fields)
    schedule_soon()
    return True


def _returns(workload: Workload) -> int:
    """How often it came back to the queue from a node that could not start it."""
    return int(workload.end_facts.get("returns", 0))


@transaction.atomic
def workload_end(workload_id: uuid.UUID, epoch: int, *, outcome: str, reason: str) -> bool:
    """Ends a workload that has no exit to read. Whether this call ended it."""
    workload = _held(workload_id, epoch, State.STARTING, State.RUNNING, State.STOPPING)
    if workload is None:
        return False
    _end(workload, outcome, reason)
    return True


@transaction.atomic
def workload_keep(workload_id: uuid.UUID, epoch: int, *, reason: str, path: Path) -> bool:
    """Ends a workload whose outputs stay on its node, under this path. Whether this call did."""
    workload = _held(workload_id, epoch, State.STARTING, State.RUNNING, State.STOPPING)
    if workload is None:
        return False
    workload.end_facts = {**workload.end_facts, "kept": str(path)}
    _end(workload, Outcome.ERROR, reason, "end_facts")
    return True


def workload_lost(workload_id: uuid.UUID, epoch: int, *, reason: str) -> bool:
    """Its process, or its node, is gone without a word."""
    return workload_end(workload_id, epoch, outcome=Outcome.LOST, reason=reason)


@transaction.atomic
def workload_signal(workload_id: uuid.UUID, epoch: int, *, node: str | None = None) -> None:
    """Passes a stop on to the process. `node` is who does; on another one nothing happens."""
    workload = locked(workload_id)
    if workload.state != State.STOPPING or workload.epoch != epoch or workload.node is None:
        return
    if node is not None and workload.node.name != node:
        return
    driver = runner(workload.node.runner, installation_id(workload.node.name))
    driver.stop(place_of(workload), force=False)
