"""When what waits will start: the plan played forward over the ends that can be foreseen.

Nothing is invented. What has no end that can be foreseen holds its place for ever here, and what
needs that place gets no moment.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.core.cache import cache

from nodes import scheduler
from nodes.models import Node, Workload
from nodes.services.clock import database_now
from nodes.services.planning import SHAPE, machines, tenants
from nodes.signals import workloads_foreseen

FORESEEN = 20  # from the head of the queue
ALIKE = 3  # so many of a kind have to have ended before a length is expected of the next
LATELY = 500  # of all that has ended, the newest
ROUNDS = 40  # ends that are played through
TOLD_SECONDS = 10
TOLD = "nodes.starts_foreseen"  # in the cache
KIND = ("project_id", "engine", "verb", "gpus")
ASKED = ("wall_seconds", "is_service", "priority", "queued_at", *KIND, *SHAPE)


@dataclass(frozen=True, slots=True)
class Moment:
    """About when. `is_latest`: time limits say so, and it may well be earlier."""

    at: datetime
    is_latest: bool = False

    def after(self, length: "Length") -> "Moment":
        """When what starts at this moment ends."""
        return Moment(self.at + length.time, self.is_latest or length.is_limit)


@dataclass(frozen=True, slots=True)
class Length:
    """How long something runs, by others of its kind or by its limit."""

    time: timedelta
    is_limit: bool


def starts_told() -> dict[uuid.UUID, Moment]:
    """`starts_foreseen` for pages: all of them together look for it once in ten seconds."""
    told: dict[uuid.UUID, Moment] | None = cache.get(TOLD)
    if told is None:
        told = starts_foreseen()
        cache.set(TOLD, told, TOLD_SECONDS)
    return told


def starts_foreseen() -> dict[uuid.UUID, Moment]:
    """When each of the first in the queue starts, of those of which that can be said."""
    waiting = list(Workload.objects.waiting().only(*ASKED)[:FORESEEN])
    if not waiting:
        return {}
    now, past = database_now(), _past_seconds()
    lengths = {one.pk: _length(one, past) for one in waiting}
    requests = [
        scheduler.Request(
            one.pk, one.priority, one.queued_at, *(getattr(one, name) for name in SHAPE)
        )
        for one in waiting
    ]
    return _play(requests, _ends(past, now), lengths, now)


def _play(
    requests: Iterable[scheduler.Request],
    ends: dict[uuid.UUID, Moment],
    lengths: Mapping[uuid.UUID, Length | None],
    now: datetime,
) -> dict[uuid.UUID, Moment]:
    """Plans at every end that is known, as the planner will when it has come."""
    starts: dict[uuid.UUID, Moment] = {}
    waiting = {request.key: request for request in requests}
    running, places = tenants(), machines(list(Node.objects.present().order_by("pk")))
    moment = Moment(now)
    for _round in range(ROUNDS):
        for placed in scheduler.plan(waiting.values(), running, places, moment.at):
            if isinstance(placed, scheduler.Placement):
                request = waiting.pop(placed.request)
                running.append(_tenant(request, placed, moment.at))
                starts[request.key] = moment
                if length := lengths[request.key]:
                    ends[request.key] = moment.after(length)
        known = [ends[one.key] for one in running if one.key in ends]
        if not waiting or not known:
            break
        moment = min(known, key=lambda end: end.at)
        running = [one for one in running if one.key not in ends or ends[one.key].at > moment.at]
    return starts


def _tenant(
    request: scheduler.Request, placed: scheduler.Placement, at: datetime
) -> scheduler.Tenant:
    held = frozenset(placed.devices)
    needs = (request.cpus, request.memory_bytes, held)
    return scheduler.Tenant(request.key, placed.machine, at, *needs)


def _ends(past: Mapping[Any, list[float]], now: datetime) -> dict[uuid.UUID, Moment]:
    """When what runs will have ended: by its own progress, else by others of its kind."""
    running = Workload.objects.occupying().filter(is_service=False, node__isnull=False)
    rows = {row.pk: row for row in running.only("wall_seconds", "is_service", "started_at", *KIND)}
    ends = {}
    for row in rows.values():
        since = row.started_at or now
        if length := _length(row, past, gone=(now - since).total_seconds()):
            ends[row.pk] = replace(Moment(since).after(length), at=max(now, since + length.time))
    for _receiver, told in workloads_foreseen.send(None, workload_ids=list(rows)):
        known: dict[uuid.UUID, datetime] = told if isinstance(told, dict) else {}
        ends |= {pk: Moment(max(now, at)) for pk, at in known.items()}
    return ends


def _length(
    workload: Workload, past: Mapping[Any, list[float]], *, gone: float = 0
) -> Length | None:
    """How long all of it takes, when it has run for `gone` seconds already."""
    if workload.is_service:
        return None
    limit = workload.wall_seconds
    kind = tuple(getattr(workload, name) for name in KIND)
    longer = [seconds for seconds in past.get(kind, ()) if seconds > gone]
    if len(longer) >= ALIKE:
        seconds = median(longer)
        return Length(timedelta(seconds=min(seconds, limit or seconds)), is_limit=False)
    return Length(timedelta(seconds=limit), is_limit=True) if limit else None


def _past_seconds() -> dict[Any, list[float]]:
    """How long workloads ran that ended well lately, by their kind."""
    ended = Workload.objects.filter(state=Workload.State.ENDED, outcome=Workload.Outcome.OK)
    known = ended.filter(is_service=False, started_at__isnull=False, ended_at__isnull=False)
    rows = known.order_by("-queued_at")[:LATELY]
    found: dict[Any, list[float]] = {}
    for *kind, began, exited, ended_at in rows.values_list(
        *KIND, "started_at", "exited_at", "ended_at"
    ):
        found.setdefault(tuple(kind), []).append(((exited or ended_at) - began).total_seconds())
    return found
