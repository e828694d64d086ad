"""The queue as the pages show it, for one reader."""

from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from common.phrases import gettext as _
from nodes.models import Workload
from nodes.overview import NEEDS, pages_of
from nodes.services.forecast import FORESEEN, Moment, starts_told
from nodes.services.reasons import NEVER

QUEUED = ("name", "project__name", "reason", "waits_for", "queued_at")


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A waiting workload."""

    place: int
    name: str
    url: str  # of the page of what it is for
    project: str
    is_mine: bool
    workload: Workload
    reason: str
    is_never: bool
    start: Moment | None  # None where nobody can say
    since: datetime


def queue_of(user: User) -> list[QueueRow]:
    """The head of the queue; other projects' workloads have a place and needs, but no name."""
    queue = Workload.objects.waiting().select_related("project")
    waiting = list(queue.only(*QUEUED, *NEEDS)[:FORESEEN])
    shown = Workload.objects.filter(pk__in=[workload.pk for workload in waiting])
    mine = set(shown.visible_to(user).values_list("pk", flat=True))
    urls, starts = pages_of(mine), starts_told()
    return [
        QueueRow(
            place=place,
            name=workload.name if workload.pk in mine else _("another project's"),
            url=urls.get(workload.pk, ""),
            project=workload.project.name if workload.pk in mine else "",
            is_mine=workload.pk in mine,
            workload=workload,
            reason=workload.reason,
            is_never=workload.waits_for.get("code") in NEVER,
            start=starts.get(workload.pk),
            since=workload.queued_at,
        )
        for place, workload in enumerate(waiting, 1)
    ]
