"""Work in the background, as its row: locked, begun, and the one door to its state."""

import uuid
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.services import event_record
from common.errors import Conflict
from common.phrases import gettext as _
from datasets.models import Import, RecipeRun

Work = TypeVar("Work", RecipeRun, Import)
_VERBS: dict[type, dict[str, str]] = {
    RecipeRun: {
        RecipeRun.State.RUNNING: "recipe_begun",
        RecipeRun.State.SUCCEEDED: "recipe_done",
        RecipeRun.State.FAILED: "recipe_failed",
        RecipeRun.State.CANCELLED: "cancelled",
    },
    Import: {
        Import.State.WAITING: "import_chosen",
        Import.State.RUNNING: "import_begun",
        Import.State.CHOOSING: "import_asks",
        Import.State.SUCCEEDED: "import_done",
        Import.State.FAILED: "import_failed",
        Import.State.CANCELLED: "cancelled",
    },
}
_RESUMED = ("failed", "waiting")  # the move that is told as going on


class Over(Exception):
    """The work was called off, or is gone."""


def work_locked(rows: QuerySet[Work], pk: uuid.UUID) -> Work:
    """The row, locked in the caller's transaction. `Over` when the work has ended or is gone."""
    work = rows.select_for_update(of=("self",)).filter(pk=pk).first()
    if work is None or not work.is_active:
        raise Over
    return work


def work_begin(work: Work, progress: dict[str, Any], **fields: Any) -> Work:
    """Notes the progress of locked work with which it begins, or begins again.

    The further fields are set when it begins for the first time.
    """
    if work.state == work.State.WAITING:
        return work_move(work, work.State.RUNNING, by=None, progress=progress, **fields)
    work.progress = progress
    work.save(update_fields=["progress"])
    return work


def work_move(work: Work, to: str, *, by: User | None, **fields: Any) -> Work:
    """Moves locked work to another state, with further fields; Conflict when it must not.

    What was secret is forgotten when it ends.
    """
    old = work.State(work.state)
    if to not in work.MOVES[old]:
        raise Conflict(
            _("“%(name)s” is %(state)s and cannot become %(to)s.")
            % {"name": str(work), "state": old.label, "to": work.State(to).label}
        )
    work.state = to
    if not work.is_active:
        fields["ended_at"] = timezone.now()
        if isinstance(work, Import):
            fields["secret"] = ""
    for name, value in fields.items():
        setattr(work, name, value)
    work.save(update_fields=["state", *fields])
    event_record(
        work,
        project=work.project,
        actor=by,
        verb="resumed" if (old, to) == _RESUMED else _VERBS[type(work)][to],
        old=old,
        new=to,
        reason=fields.get("problem", ""),
    )
    return work
