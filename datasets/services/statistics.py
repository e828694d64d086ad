"""The statistics of a version, made once when it is ready, and what it shares with others."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q
from django_q.tasks import async_task

from accounts.services import live_touch
from common.disks import DiskFull, disk_full_told
from common.errors import DomainError
from common.phrases import dump
from common.phrases import gettext as _
from datasets.checking import stops_find
from datasets.models import DatasetVersion, DatasetVersionQuerySet
from datasets.previews import mapping_of
from datasets.reading.locks import locked
from datasets.services.checks import reporter
from datasets.services.files import stored_bytes, sync
from datasets.services.overlaps import (
    overlaps_find,
    overlaps_forget,
    overlaps_give_up,
    uncompared,
)
from datasets.shapes.families import ways_digest
from datasets.statistics.counting import FORMAT, statistics_compute
from datasets.statistics.duplicates import ROW_BYTES, ROWS_MAX, near_find, near_mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIES = 5  # of a count that is killed or fails
RESERVE = 2**28  # bytes of the disk that a count leaves free
NEAR = ".near"  # the folder that the count of near duplicates holds, not to keep others waiting


def statistics_waiting() -> DatasetVersionQuerySet:
    """Versions whose rows are to be counted, or compared with an evaluation set."""
    versions = DatasetVersion.objects.ready()
    return versions.filter(Q(statistics__isnull=True) | Q(pk__in=uncompared()))


def statistics_outdated() -> DatasetVersionQuerySet:
    """Versions whose statistics lack what was not counted yet when they were made, or whose rows at
    which the engine would stop were found with other chat templates than it has.
    """
    is_early = Q(statistics_format__isnull=True) | Q(statistics_format__lt=FORMAT)
    outdated = Q(statistics__error__isnull=True) & is_early
    if ways := ways_digest():
        outdated |= ~Q(stops_of=ways)
    return DatasetVersion.objects.ready().filter(outdated, statistics__isnull=False)


def outdated_nudge() -> None:
    """Has the newest version with outdated statistics counted again, when no other count waits."""
    version = statistics_outdated().order_by("-created_at").first()
    if version is not None and not statistics_waiting().exists():
        async_task("datasets.tasks.version_statistics", str(version.pk), cluster="web")


def duplicates_waiting() -> DatasetVersionQuerySet:
    """Counted versions whose near duplicates are to be counted."""
    counted = DatasetVersion.objects.ready().filter(statistics__isnull=False)
    return counted.filter(statistics__error__isnull=True, statistics__near__isnull=True)


def version_statistics(version_id: uuid.UUID) -> bool:
    """Counts and compares a ready version that waits for it, or has outdated statistics, which
    stay until then; whether this call did it.

    Does nothing when another process is at it or it is done. May be killed at any moment: the
    sweep starts it again, and nothing it wrote counts before the row says so.
    """
    version = DatasetVersion.objects.ready().filter(pk=version_id).first()
    if version is None or not _work(
        version,
        version.directory,
        "progress",
        waiting=_to_count,
        work=_count_and_compare,
        give_up=_count_give_up,
    ):
        return False
    if duplicates_waiting().filter(pk=version_id).exists():
        async_task("datasets.tasks.version_duplicates", str(version_id), cluster="web")
    return True


def version_duplicates(version_id: uuid.UUID) -> bool:
    """Counts the near duplicates of a counted version, which takes longer than all other counts;
    whether this call did it. As `version_statistics` it may be called and killed at any moment.
    Meanwhile the version may be counted anew and compared.

    Waits, without a try being counted, while the disk has no room for what it needs meanwhile.
    """
    version = duplicates_waiting().filter(pk=version_id).first()
    if version is None:
        return False
    needed = ROW_BYTES * min(version.counts["rows"], ROWS_MAX) + RESERVE
    folder = version.directory / NEAR
    try:
        folder.mkdir(exist_ok=True)
        has_room = shutil.disk_usage(folder).free >= needed
    except FileNotFoundError:  # it was deleted meanwhile
        return False
    if not has_room:
        with locked(folder) as mine:
            if mine:  # else somebody counts, and tells how far that is
                noted = _noted(version, "near_progress")
                _note(version, "near_progress", {**noted, "phase": "room"})
        return False
    return _work(
        version,
        folder,
        "near_progress",
        waiting=duplicates_waiting,
        work=_near_count,
        give_up=_near_give_up,
    )


def _work(
    version: DatasetVersion,
    folder: Path,
    field: str,
    *,
    waiting: Callable[[], DatasetVersionQuerySet],
    work: Callable[[DatasetVersion], None],
    give_up: Callable[[DatasetVersion, str], None],
) -> bool:
    """Works at the version if it waits and nobody else holds the folder; whether this call did it.

    The field of the row tells how far it is.
    """
    with locked(folder) as mine:
        rows = waiting().select_related("dataset__project") if mine else None
        found = rows.filter(pk=version.pk).first() if rows is not None else None
        if found is None:
            return False
        try:
            _tries_count(found, field)
            with disk_full_told():
                work(found)
        except DomainError as refused:
            if isinstance(refused, DiskFull) and _noted(found, field)["tries"] < TRIES:
                return False
            give_up(found, refused.message)
        except FileNotFoundError:
            if DatasetVersion.objects.filter(pk=found.pk).exists():
                raise  # otherwise it was deleted meanwhile
        _note(found, field, {})
        live_touch(found.pk, found.dataset.project_id)
    return True


def _to_count() -> DatasetVersionQuerySet:
    return statistics_waiting() | statistics_outdated()


def _count_and_compare(version: DatasetVersion) -> None:
    if _lacks_counts(version):
        _count(version)
        overlaps_forget(version)
    if (ways := ways_digest()) and version.stops_of != ways:
        found = stops_find(version.rows_path, mapping_of(version), progress=reporter(version))
        _stops_settle(version, found, ways)
    overlaps_find(version)


@transaction.atomic
def _stops_settle(version: DatasetVersion, found: dict[str, Any], ways: str) -> None:
    row = DatasetVersion.objects.select_for_update(of=("self",)).filter(pk=version.pk).first()
    if row is not None:
        row.report["stops"], row.stops_of = found, ways
        row.save(update_fields=["report", "stops_of"])


def _lacks_counts(version: DatasetVersion) -> bool:
    is_outdated = version.is_counted and (version.statistics_format or 0) < FORMAT
    return version.statistics is None or is_outdated


def _count_give_up(version: DatasetVersion, message: str) -> None:
    if _lacks_counts(version):
        version.statistics_format = FORMAT
        _settle(version, version.statistics or {"error": dump(message)}, None)
    DatasetVersion.objects.filter(pk=version.pk).update(stops_of=ways_digest())
    overlaps_give_up(version, message)


def _tries_count(version: DatasetVersion, field: str) -> None:
    """Notes that the count begins. One that never came to its end so often is given up."""
    tries = int(_noted(version, field).get("tries", 0)) + 1
    if tries > TRIES:
        raise DomainError(
            _(
                "The count was begun %(tries)s times and never ended: the machine may have too"
                " little memory. The data can be used all the same."
            )
            % {"tries": TRIES}
        )
    _note(version, field, {"tries": tries})


def _noted(version: DatasetVersion, field: str) -> dict[str, Any]:
    return getattr(version, field) or {}


def _note(version: DatasetVersion, field: str, progress: dict[str, Any]) -> None:
    setattr(version, field, progress)
    DatasetVersion.objects.filter(pk=version.pk).update(**{field: progress})


def _count(version: DatasetVersion) -> None:
    with _draft(version.directory / ".statistics") as draft:
        found = statistics_compute(
            version.rows_path,
            version.check_directory,
            draft,
            mapping_of(version),
            progress=reporter(version),
        )
        if "near" in version.counts:  # it takes long, and is the same again
            found["near"] = version.counts["near"]
        version.statistics_format = FORMAT
        _settle(version, found, draft)


def _near_count(version: DatasetVersion) -> None:
    with _draft(version.directory / NEAR / "draft") as draft:
        found, rows = near_find(
            version.rows_path,
            draft,
            mapping_of(version),
            progress=reporter(version, "near_progress"),
        )
        _near_settle(version, found, draft, rows)


def _near_settle(
    version: DatasetVersion, found: dict[str, Any], draft: Path, rows: "NDArray[Any]"
) -> None:
    """Marks the rows in the facts, and adds what was found to the statistics, of the newest count.

    A count anew writes both, too: only here this one waits for it.
    """
    with locked(version.directory, wait=True):
        if latest := _newest(version):
            near_mark(latest.check_directory, draft, rows)
            _settle(latest, latest.counts | {"near": found}, draft)


def _near_give_up(version: DatasetVersion, message: str) -> None:
    with locked(version.directory, wait=True):
        if latest := _newest(version):
            _settle(latest, latest.counts | {"near": {"error": dump(message)}}, None)


def _newest(version: DatasetVersion) -> DatasetVersion | None:
    """The row as it is now; None when it is gone."""
    rows = duplicates_waiting().select_related("dataset__project")
    return rows.filter(pk=version.pk).first()


@contextmanager
def _draft(draft: Path) -> Iterator[Path]:
    """An empty folder for new files. The caller holds the folder around it."""
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _settle(version: DatasetVersion, found: dict[str, Any], draft: Path | None) -> None:
    """The files into the folder of the check, just before the row says that they are there."""
    for path in draft.iterdir() if draft else ():
        sync(path)
    with transaction.atomic():
        _settle_files(version, found, draft)


def _settle_files(version: DatasetVersion, found: dict[str, Any], draft: Path | None) -> None:
    row = DatasetVersion.objects.select_for_update(of=("self",)).filter(pk=version.pk).first()
    if row is None:
        return
    for path in draft.iterdir() if draft else ():
        path.replace(row.check_directory / path.name)
    version.statistics = found
    version.stored_bytes = stored_bytes(version.directory)
    version.save(update_fields=["statistics", "statistics_format", "stored_bytes"])
    live_touch(version.pk, version.dataset.project_id)
