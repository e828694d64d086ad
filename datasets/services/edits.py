"""Rows changed, left out and rated by hand: a draft of each version, which its project shares."""

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F

from accounts.models import User
from accounts.services import event_record
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.editing import row_value, value_checked
from datasets.models import DatasetVersion, Revision, RowDecision
from datasets.previews import mapping_of
from datasets.reading.indexed import IndexedReader

DECISIONS_MAX = 20_000  # of one revision
BYTES_MAX = 64 * 2**20  # of all its changed rows
RATINGS = range(1, 6)
_VERBS = {
    (Revision.State.OPEN, Revision.State.SAVING): "edits_saving",
    (Revision.State.SAVING, Revision.State.SAVED): "edits_saved",
    (Revision.State.SAVING, Revision.State.OPEN): "edits_refused",
}


@transaction.atomic
def row_decide(
    version_id: uuid.UUID,
    row: int,
    *,
    by: User,
    edition: int,
    verdict: str | None = None,
    value: Any = None,
    rating: int | None = None,
    note: str | None = None,
) -> RowDecision:
    """Decides on a row, counted from 0, in the version's draft. What is None stays as it was.

    `verdict` is of `RowDecision.Verdict`, empty to take it back; `changed` comes with the `value`.
    A `rating` of 0 takes the rating away. `edition` is that of the decision which the caller saw, 0
    for none: Conflict when somebody changed it since, or the draft is being saved.
    """
    version = version_held(version_id, by)
    draft = _draft(version, by)
    if not 0 <= row < IndexedReader(version.rows_path).count:
        row_value(version, row)  # says what is wrong
    decision = draft.decisions.select_related("by").filter(row=row).first()
    seen = decision.edition if decision else 0
    if decision and seen != edition:
        raise Conflict(
            _("%(who)s has changed row %(row)s meanwhile. Look at it, and decide again.")
            % {"who": decision.by.username if decision.by else _("Somebody"), "row": row + 1},
            code="changed_meanwhile",
            data={"edition": seen},
        )
    decision = decision or RowDecision(revision=draft, row=row, edition=0)
    if verdict is not None:
        if verdict == RowDecision.Verdict.ACCEPTED:  # only reviews know it
            verdict = RowDecision.Verdict.NONE
        verdict_set(decision, verdict, value, version)
    if rating is not None:
        if rating and rating not in RATINGS:
            raise DomainError(_("A rating is a number from 1 to 5."), field="rating", code="rating")
        decision.rating = rating or None
    if note is not None:
        decision.note = note.strip()[:500]
    decision.edition += 1
    decision.by = by
    decision.save()
    if not seen and draft.decisions.count() > DECISIONS_MAX:
        raise _too_much()
    return decision


def verdict_set(decision: RowDecision, verdict: str, value: Any, version: DatasetVersion) -> None:
    """Puts verdict and value into a decision whose revision is locked, and counts the bytes.

    DomainError for a value that no training could use, or when the revision holds too much.
    """
    if verdict not in RowDecision.Verdict:
        raise DomainError(
            _("A row is changed, left out, or as it was."), field="verdict", code="verdict"
        )
    stored = ""
    if verdict == RowDecision.Verdict.CHANGED:
        was = row_value(version, decision.row)
        stored = value_checked(value, mapping_of(version))
        if value == was:  # in a review that means that the row is good as it is
            reviewed = decision.revision.is_review
            verdict = RowDecision.Verdict.ACCEPTED if reviewed else RowDecision.Verdict.NONE
            stored = ""
    more = len(stored.encode()) - len(decision.value.encode())
    decision.verdict, decision.value = verdict, stored
    if not more:
        return
    revision = Revision.objects.get(pk=decision.revision_id)
    if more > 0 and revision.bytes + more > BYTES_MAX:
        raise _too_much()
    Revision.objects.filter(pk=revision.pk).update(bytes=F("bytes") + more)


def _too_much() -> DomainError:
    return DomainError(
        _("At most %(rows)s rows and %(size)s MB are decided on at once. Save them, and go on.")
        % {"rows": DECISIONS_MAX, "size": BYTES_MAX >> 20},
        code="too_much",
    )


def version_held(version_id: uuid.UUID, by: User) -> DatasetVersion:
    """The version, locked: what is decided on its rows is decided one after the other."""
    version = (
        DatasetVersion.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("dataset__project")
        .get(pk=version_id)
    )
    if version.state != DatasetVersion.State.READY:
        raise Conflict(
            _("%(version)s is %(state)s. Rows of versions that are ready can be changed.")
            % {"version": version, "state": DatasetVersion.State(version.state).label}
        )
    return version


def _draft(version: DatasetVersion, by: User) -> Revision:
    """The draft of a locked version, made where there is none. Conflict while it is saved."""
    draft = Revision.objects.drafts().filter(version=version).first()
    if draft is None:
        return Revision.objects.create(version=version, created_by=by)
    refuse_saving(draft)
    return draft


def refuse_saving(revision: Revision) -> None:
    """Conflict when nothing can be decided any more."""
    if revision.state != Revision.State.OPEN:
        raise Conflict(
            _("These decisions are %(state)s. Look at the new version.")
            % {"state": Revision.State(revision.state).label},
            code="not_open",
        )


def revision_locked(revision_id: uuid.UUID, by: User) -> Revision:
    """The revision, if somebody may change it, locked with all relations at hand."""
    return (
        Revision.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("version__dataset__project", "created_by")
        .get(pk=revision_id)
    )


@transaction.atomic
def revision_discard(revision_id: uuid.UUID, *, by: User) -> None:
    """Forgets all its decisions. Conflict while they are saved, and afterwards."""
    revision = revision_locked(revision_id, by)
    refuse_saving(revision)
    dataset = revision.version.dataset
    event_record(
        dataset,
        project=dataset.project,
        actor=by,
        verb="edits_discarded",
        old=f"v{revision.version.number}",
    )
    revision.delete()


def revision_move(revision: Revision, to: str, *, by: User | None, **fields: Any) -> Revision:
    """Moves a locked revision to another state, with further fields; Conflict when it must not."""
    old = Revision.State(revision.state)
    if to not in Revision.MOVES[old]:
        raise Conflict(
            _("These decisions are %(state)s and cannot become %(to)s.")
            % {"state": old.label, "to": Revision.State(to).label}
        )
    revision.state = to
    for name, value in fields.items():
        setattr(revision, name, value)
    revision.save(update_fields=["state", *fields])
    event_record(
        revision,
        project=revision.version.dataset.project,
        actor=by,
        verb=_VERBS[old, Revision.State(to)],
        old=old,
        new=to,
        reason=fields.get("problem", ""),
    )
    return revision


def revisions_refuse(versions: Sequence[DatasetVersion]) -> None:
    """Conflict while decisions on rows of one of the versions are being saved."""
    saving = Revision.objects.filter(version__in=versions, state=Revision.State.SAVING)
    revision = saving.select_related("version__dataset").first()
    if revision is not None:
        raise Conflict(
            _("Decisions on rows of “%(version)s” are being saved. Wait for it.")
            % {"version": revision.version},
            code="in_use",
        )
