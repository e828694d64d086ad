"""Reviews: rows in a queue, which people accept, change or reject, several of them at once."""

import random
import uuid
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.services import event_record
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.models import DatasetVersion, Revision, RowDecision
from datasets.models.edits import SETTLING
from datasets.reading.indexed import IndexedReader
from datasets.services.edits import refuse_saving, revision_locked, verdict_set, version_held
from datasets.services.indexes import indexes_ready
from datasets.statistics.choosing import Choice
from datasets.statistics.indexes import Condition

ROWS_MAX = 10_000  # of one review
REVIEWERS_MAX = 3  # of one row
CLAIM = timedelta(minutes=10)  # so long a row waits for who looked at it last


def review_create(
    version_id: uuid.UUID,
    *,
    by: User,
    name: str,
    wanted: int = 1,
    sample: int | None = None,
    column: str = "",
    below: float | None = None,
) -> Revision:
    """A queue of rows that wait for `wanted` reviewers each.

    With `column` only rows that have something in it (such as `origin` of rows that were made), or
    with `below` a lower number there (such as a score). Of these a `sample` is drawn. DomainError
    when there is none, or are more than `ROWS_MAX`; Conflict while the column is gone through.
    """
    if column:  # not within the transaction: a refusal would take the nudge back
        version = DatasetVersion.objects.editable_by(by).get(pk=version_id)
        _refuse_waiting(version, column, by)
    return _begin(version_id, by, name, wanted, sample, column, below)


@transaction.atomic
def _begin(
    version_id: uuid.UUID,
    by: User,
    name: str,
    wanted: int,
    sample: int | None,
    column: str,
    below: float | None,
) -> Revision:
    version = version_held(version_id, by)
    name = name.strip()[:80]
    if not name:
        raise DomainError(_("Give it a name of 1 to 80 letters."), field="name", code="name")
    if not 1 <= wanted <= REVIEWERS_MAX:
        raise DomainError(
            _("A row is reviewed by 1 to %(most)s people.") % {"most": REVIEWERS_MAX},
            field="wanted",
        )
    numbers = _numbers(version, sample, column, below)
    revision = Revision.objects.create(
        version=version,
        kind=Revision.Kind.REVIEW,
        name=name,
        created_by=by,
        plan={"rows": len(numbers), "wanted": wanted, "column": column, "below": below},
    )
    RowDecision.objects.bulk_create(
        [
            RowDecision(revision=revision, row=row, seat=seat, place=place, edition=0)
            for place, row in enumerate(numbers)
            for seat in range(wanted)
        ],
        batch_size=1000,
    )
    dataset = version.dataset
    event_record(
        dataset, project=dataset.project, actor=by, verb="review_begun", new=f"v{version.number}"
    )
    return revision


def _numbers(
    version: DatasetVersion, sample: int | None, column: str, below: float | None
) -> list[int]:
    """The rows of a review, in their order."""
    if sample is not None and not 1 <= sample <= ROWS_MAX:
        raise DomainError(
            _("A review has 1 to %(most)s rows.") % {"most": ROWS_MAX}, field="sample"
        )
    every = range(IndexedReader(version.rows_path).count)
    found = _having(version, column, below) if column else every
    if not found:
        raise DomainError(_("No row is like that."), field="column", code="nothing")
    if sample is not None and sample < len(found):
        return sorted(random.SystemRandom().sample(found, sample))
    if len(found) > ROWS_MAX:
        raise DomainError(
            _("These are %(rows)s rows; a review has at most %(most)s. Have a sample drawn.")
            % {"rows": len(found), "most": ROWS_MAX},
            field="sample",
            code="too_many",
        )
    return list(found)


def _having(version: DatasetVersion, column: str, below: float | None) -> list[int]:
    """The rows that have something in the column, or a lower number, in the order of the file."""
    root = version.indexes_directory
    if below is not None:
        value = str(below)
        up_to = Condition(column, "most", value).numbers(root)
        equal = Condition(column, "is", value).numbers(root)  # they come last
        return sorted(up_to[: len(up_to) - len(equal)].tolist())
    empty = set(Condition(column, "filled").numbers(root).tolist())
    return [row for row in range(IndexedReader(version.rows_path).count) if row not in empty]


def _refuse_waiting(version: DatasetVersion, column: str, by: User) -> None:
    """Conflict until the column was gone through, which begins with this; DomainError when there is
    no such column or that failed.
    """
    if column not in version.file_columns:
        raise DomainError(_("No row is like that."), field="column", code="nothing")
    standing = indexes_ready(version, Choice(by=column, order="up"), by=by)
    if standing.state == "failed":
        raise DomainError(standing.problem, field="column", code="failed")
    if standing.state == "waiting":
        raise Conflict(
            _(
                "The column “%(column)s” is being gone through, %(percent)s %% of it so far. That"
                " is done once for this version: begin the review again in a moment."
            )
            % {"column": column, "percent": standing.percent},
            field="column",
            code="waiting",
            data={"percent": standing.percent},
        )


@transaction.atomic
def review_next(revision_id: uuid.UUID, *, by: User) -> RowDecision | None:
    """The row that waits for this reviewer, held for them from now on; None when none does.

    Nobody gets a row that another one looks at, or one twice, unless several reviewers are wanted.
    """
    revision = revision_locked(revision_id, by)
    refuse_saving(revision)
    waiting = _waiting(revision, by)
    decision = waiting.filter(by=by).first() or waiting.first()
    if decision is not None:
        decision.by, decision.claimed_at = by, timezone.now()
        decision.save(update_fields=["by", "claimed_at"])
    return decision


def _waiting(revision: Revision, by: User) -> QuerySet[RowDecision]:
    """Seats that this reviewer may take, in the order of the queue.

    A dispute is settled by somebody who has not taken part in it, or by who made the review.
    """
    free = Q(by=None) | Q(by=by) | Q(claimed_at__lt=timezone.now() - CLAIM)
    own = revision.decisions.filter(row=OuterRef("row"), by=by).exclude(pk=OuterRef("pk"))
    allowed = Q(~Exists(own))
    if revision.created_by_id == by.pk:
        allowed |= Q(seat=SETTLING)
    return revision.decisions.filter(free, allowed, verdict="").order_by("place", "seat")


def _held(revision: Revision, decision_id: int, by: User) -> RowDecision:
    refuse_saving(revision)
    decision = revision.decisions.select_related("revision").filter(pk=decision_id).first()
    if decision is None or decision.by_id != by.pk or decision.verdict:
        raise Conflict(
            _("This row is not yours any more: you looked at it for long, or decided already."),
            code="taken",
        )
    return decision


@transaction.atomic
def review_decide(
    revision_id: uuid.UUID,
    decision_id: int,
    *,
    by: User,
    verdict: str,
    value: Any = None,
    note: str = "",
) -> RowDecision:
    """Accepts, changes (to `value`) or excludes the row that the reviewer holds; else Conflict."""
    revision = revision_locked(revision_id, by)
    decision = _held(revision, decision_id, by)
    if not verdict:
        raise DomainError(_("Accept, change or reject the row."), field="verdict", code="verdict")
    verdict_set(decision, verdict, value, revision.version)
    decision.note = note.strip()[:500]
    decision.edition += 1
    decision.claimed_at = None
    decision.save()
    _dispute_look(revision, decision)
    return decision


def _dispute_look(revision: Revision, decision: RowDecision) -> None:
    """Makes a seat for who settles it when all reviewers have decided and disagree."""
    if decision.seat == SETTLING:
        return
    of_row = revision.decisions.filter(row=decision.row)
    opinions = list(of_row.exclude(seat=SETTLING))
    decided = all(one.verdict for one in opinions)
    if decided and len({(one.verdict, one.value) for one in opinions}) > 1:
        place = ROWS_MAX * 10 + decision.place  # after all others
        of_row.get_or_create(
            revision=revision,
            row=decision.row,
            seat=SETTLING,
            defaults={"place": place, "edition": 0},
        )
    else:
        of_row.filter(seat=SETTLING).delete()


@transaction.atomic
def review_skip(revision_id: uuid.UUID, decision_id: int, *, by: User) -> None:
    """Puts the row that the reviewer holds at the end of the queue, with its other free seats."""
    revision = revision_locked(revision_id, by)
    decision = _held(revision, decision_id, by)
    last = revision.decisions.aggregate(last=Max("place"))["last"] or 0
    free = revision.decisions.filter(Q(by=None) | Q(by=by), row=decision.row, verdict="")
    free.update(by=None, claimed_at=None, place=last + 1)


@transaction.atomic
def review_undo(revision_id: uuid.UUID, *, by: User) -> RowDecision:
    """Opens the reviewer's last decision again; Conflict when there is none, or it was settled."""
    revision = revision_locked(revision_id, by)
    refuse_saving(revision)
    mine = revision.decisions.filter(by=by).select_related("revision")
    decision = mine.exclude(verdict="").order_by("-decided_at", "-pk").first()
    if decision is None:
        raise Conflict(_("You have decided nothing that could be undone."), code="nothing")
    settled = revision.decisions.filter(row=decision.row, seat=SETTLING).exclude(verdict="")
    if decision.seat != SETTLING and settled.exists():
        raise Conflict(_("Somebody has settled the dispute about this row."), code="settled")
    mine.filter(verdict="").update(by=None, claimed_at=None)
    verdict_set(decision, "", None, revision.version)
    decision.claimed_at = timezone.now()
    decision.save()
    _dispute_look(revision, decision)
    return decision
