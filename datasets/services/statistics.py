"""The statistics of a version, made once when it is ready, and what it shares with others."""

import shutil
import uuid
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q

from accounts.services import live_touch
from common.errors import DomainError
from common.phrases import dump
from common.phrases import gettext as _
from datasets.models import DatasetVersion, DatasetVersionQuerySet
from datasets.previews import mapping_of
from datasets.reading.locks import locked
from datasets.services.checks import reporter
from datasets.services.files import stored_bytes, sync
from datasets.services.overlaps import overlaps_find, overlaps_give_up, uncompared
from datasets.statistics.counting import statistics_compute

TRIES = 5  # of a count that is killed or fails


def statistics_waiting() -> DatasetVersionQuerySet:
    """Versions whose rows are to be counted, or compared with an evaluation set."""
    versions = DatasetVersion.objects.ready()
    return versions.filter(Q(statistics__isnull=True) | Q(pk__in=uncompared()))


def version_statistics(version_id: uuid.UUID) -> bool:
    """Counts and compares a ready version that waits for it; whether this call did it.

    Does nothing when another process is at it or it is done. May be killed at any moment: the
    sweep starts it again, and nothing it wrote counts before the row says so.
    """
    version = DatasetVersion.objects.ready().filter(pk=version_id).first()
    if version is None:
        return False
    with locked(version.directory) as mine:
        waiting = statistics_waiting().select_related("dataset__project") if mine else None
        version = waiting.filter(pk=version_id).first() if waiting is not None else None
        if version is None:
            return False
        try:
            _tries_count(version)
            if version.statistics is None:
                _count(version)
            overlaps_find(version)
        except DomainError as refused:
            if version.statistics is None:
                _settle(version, {"error": dump(refused.message)}, None)
            overlaps_give_up(version, refused.message)
        except FileNotFoundError:
            if DatasetVersion.objects.filter(pk=version_id).exists():
                raise  # otherwise it was deleted meanwhile
        DatasetVersion.objects.filter(pk=version_id).update(progress={})
        live_touch(version_id, version.dataset.project_id)
    return True


def _tries_count(version: DatasetVersion) -> None:
    """Notes that the count begins. One that never came to its end so often is given up."""
    tries = int(version.progress.get("tries", 0)) + 1
    if tries > TRIES:
        raise DomainError(
            _(
                "The count was begun %(tries)s times and never ended: the machine may have too"
                " little memory. The data can be used all the same."
            )
            % {"tries": TRIES}
        )
    version.progress = {"tries": tries}
    DatasetVersion.objects.filter(pk=version.pk).update(progress=version.progress)


def _count(version: DatasetVersion) -> None:
    draft = version.directory / ".statistics"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        found = statistics_compute(
            version.rows_path,
            version.check_directory,
            draft,
            mapping_of(version),
            progress=reporter(version),
        )
        for path in draft.iterdir():
            sync(path)
        _settle(version, found, draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@transaction.atomic
def _settle(version: DatasetVersion, found: dict[str, Any], draft: Path | None) -> None:
    """The files into the folder of the check, just before the row says that they are there."""
    row = DatasetVersion.objects.select_for_update(of=("self",)).filter(pk=version.pk).first()
    if row is None:
        return
    if draft is not None:
        for path in draft.iterdir():
            path.replace(row.check_directory / path.name)
    version.statistics = found
    version.stored_bytes = stored_bytes(version.directory)
    version.save(update_fields=["statistics", "stored_bytes"])
    live_touch(version.pk, version.dataset.project_id)
