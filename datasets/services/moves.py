"""The one door through which a version changes its state, and what follows every change."""

from typing import Any

from django.utils import timezone

from accounts.models import User
from accounts.services import event_record
from common.commits import after_commit
from common.errors import Conflict
from common.phrases import gettext as _
from datasets.models import Dataset, DatasetVersion
from datasets.services.info import info_write


def version_move(
    version: DatasetVersion, to: str, *, by: User | None, reason: str = "", **fields: Any
) -> DatasetVersion:
    """Moves a locked version to another state, with further fields; Conflict when it must not."""
    old = DatasetVersion.State(version.state)
    if to not in DatasetVersion.MOVES[old]:
        raise Conflict(
            _("Version %(number)s is %(state)s and cannot become %(to)s.")
            % {
                "number": version.number,
                "state": old.label,
                "to": DatasetVersion.State(to).label,
            }
        )
    version.state = to
    for name, value in fields.items():
        setattr(version, name, value)
    version.save(update_fields=["state", *fields])
    event_record(
        version,
        project=version.dataset.project,
        actor=by,
        verb="checked" if old == DatasetVersion.State.CHECKING else "columns_named",
        old=old,
        new=to,
        reason=reason,
    )
    dataset_touch(version.dataset)
    return version


def dataset_touch(dataset: Dataset) -> None:
    """Notes the moment of a change, and brings the shared list of data in step after commit."""
    Dataset.objects.filter(pk=dataset.pk).update(updated_at=timezone.now())
    after_commit(info_write)
