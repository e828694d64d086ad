"""The one door for a workload's state."""

import uuid

from django.utils import timezone

from accounts.models import User
from accounts.services import event_record
from common.commits import after_commit
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from nodes.models import Lease, Workload
from nodes.signals import workload_changed

State = Workload.State


class ForeignWorkload(DomainError):
    """A node speaks for a workload that has its place elsewhere."""

    http_status = 403
    code = "not_yours"

    def __init__(self, workload: object, node: str) -> None:
        super().__init__(
            _("The workload %(workload)s has no place on %(node)s.")
            % {"workload": workload, "node": node}
        )


def locked(workload_id: uuid.UUID) -> Workload:
    """The row, held until the end of the transaction. Raises `Workload.DoesNotExist`."""
    return Workload.objects.select_for_update().get(pk=workload_id)


def move(
    workload: Workload,
    to: str,
    *,
    reason: str = "",
    actor: User | None = None,
    fields: tuple[str, ...] = (),
) -> Workload:
    """Moves a row that the caller holds locked, and saves `fields` with it. Raises `Conflict`."""
    if not workload.can_become(to):
        raise Conflict(
            _("A workload that is “%(old)s” cannot become “%(new)s”.")
            % {"old": State(workload.state).label, "new": State(to).label}
        )
    old, workload.state = workload.state, to
    if to != State.WAITING:
        workload.waits_for = {}
    workload.reason = reason
    if to == State.ENDED:
        workload.ended_at = timezone.now()
    workload.save(
        update_fields={"state", "reason", "waits_for", "ended_at", *fields},
    )
    if to in {State.ENDED, State.WAITING}:
        leases_release(workload)
    event_record(
        workload,
        project=workload.project,
        actor=actor,
        verb="state",
        old=old,
        new=to,
        reason=reason,
        data={"epoch": workload.epoch, "outcome": workload.outcome},
    )
    announce(workload.pk, old, to)
    return workload


def leases_release(workload: Workload) -> None:
    """Gives the GPUs that it still holds to others; the caller holds the row."""
    Lease.objects.filter(workload=workload, released_at=None).update(released_at=timezone.now())


def announce(workload_id: uuid.UUID, old: str, new: str) -> None:
    """Tells those above, once the change stands."""
    after_commit(
        workload_changed.send_robust, sender=Workload, workload_id=workload_id, old=old, new=new
    )
