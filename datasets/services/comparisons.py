"""Versions compared row by row, in the background where they are big."""

import shutil
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import User
from accounts.services import live_touch
from common.commits import after_commit
from common.disks import disk_full_told
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.comparing import Side, compare
from datasets.models import Comparison, DatasetVersion
from datasets.previews import mapping_of
from datasets.reading.locks import locked
from datasets.services.files import folders_remove, settle
from datasets.services.uploads import SMALL

TRIES = 5
REPORTED = 1.0  # seconds between two notes of progress
KEPT = timedelta(days=30)  # after it was last asked for


def comparison_create(before_id: uuid.UUID, after_id: uuid.UUID, *, by: User) -> Comparison:
    """What differs between two versions that the user sees: found before, or begun now.

    Small versions are compared at once, others in the background.
    """
    seen = DatasetVersion.objects.visible_to(by)
    versions = [seen.get(pk=before_id), seen.get(pk=after_id)]
    if versions[0] == versions[1]:
        raise DomainError(_("Choose two different versions."), field="after", code="same")
    for version in versions:
        if version.state not in {DatasetVersion.State.READY, DatasetVersion.State.MAPPING}:
            raise Conflict(
                _("%(version)s is %(state)s. Versions whose rows were read can be compared.")
                % {"version": version, "state": DatasetVersion.State(version.state).label}
            )
    comparison = _asked(*versions)
    if comparison.state == Comparison.State.WAITING and all(
        version.bytes < SMALL for version in versions
    ):
        comparison_run(comparison.pk)
        comparison.refresh_from_db()
    return comparison


@transaction.atomic
def _asked(before: DatasetVersion, after: DatasetVersion) -> Comparison:
    comparison, created = Comparison.objects.get_or_create(before=before, after=after)
    comparison.asked_at = timezone.now()
    if comparison.state == Comparison.State.FAILED:
        comparison.state, comparison.problem, comparison.progress = "waiting", "", {}
        created = True
    comparison.save()
    if created:
        async_task("datasets.tasks.comparison_run", str(comparison.pk), cluster="web")
    return comparison


def comparison_run(comparison_id: uuid.UUID) -> bool:
    """Compares two versions that wait for it; whether this call did it.

    May be killed at any moment: the sweep begins it again.
    """
    comparison = Comparison.objects.filter(pk=comparison_id).first()
    if comparison is None or comparison.state != Comparison.State.WAITING:
        return False
    comparison.directory.mkdir(parents=True, exist_ok=True)
    with locked(comparison.directory) as mine:
        comparison = (
            Comparison.objects.select_related("before__dataset", "after__dataset")
            .filter(pk=comparison_id, state=Comparison.State.WAITING)
            .first()
        )
        if not mine or comparison is None:
            return False
        try:
            with disk_full_told():
                _run(comparison)
        except DomainError as refused:
            folders_remove(comparison.directory)  # of a full disk, before it takes room to say so
            _note(comparison, state=Comparison.State.FAILED, problem=refused.message)
    return True


def _run(comparison: Comparison) -> None:
    tries = int(comparison.progress.get("tries", 0)) + 1
    if tries > TRIES:
        raise DomainError(
            _("Comparing was begun %(tries)s times and never ended. Is there too little memory?")
            % {"tries": TRIES}
        )
    _note(comparison, progress={"tries": tries})
    folders_remove(comparison.directory)
    draft = comparison.directory / "draft"
    draft.mkdir()
    last = time.monotonic()

    def progress(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > REPORTED:
            last = time.monotonic()
            _note(comparison, progress={"tries": tries, "percent": int(100 * min(share, 1))})

    before, after = (
        Side(one.rows_path, mapping_of(one)) for one in (comparison.before, comparison.after)
    )
    counts = compare(before, after, draft, progress)
    settle(draft, comparison.found)
    _note(comparison, state=Comparison.State.DONE, counts=counts, progress={})


def _note(comparison: Comparison, **fields: object) -> None:
    """Writes down how far it is, if it is still wanted."""
    for name, value in fields.items():
        setattr(comparison, name, value)
    Comparison.objects.filter(pk=comparison.pk).update(**fields)
    live_touch(comparison.pk, comparison.after.dataset.project_id)


def comparisons_forget() -> None:
    """Forgets those that nobody asked for lately; the sweep then removes their files."""
    Comparison.objects.filter(asked_at__lt=timezone.now() - KEPT).delete()


def comparisons_drop(versions: Sequence[DatasetVersion]) -> None:
    """Removes, after the commit, the files of comparisons that go with these versions."""
    involved = Comparison.objects.filter(Q(before__in=versions) | Q(after__in=versions))
    for comparison in involved:
        after_commit(shutil.rmtree, comparison.directory, ignore_errors=True)
