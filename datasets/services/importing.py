"""The work of an import: files fetched piece by piece, and made into a version as an upload is."""

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from django.conf import settings
from django.db import transaction

from accounts.models import User
from accounts.services import live_touch
from common.disks import DiskFull, disk_full_told
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.importing.listing import (
    FILES_MAX,
    Listed,
    Listing,
    Offer,
    Place,
    by_patterns,
    offers,
)
from datasets.importing.web import Broken
from datasets.models import Dataset, Import
from datasets.reading.locks import locked
from datasets.reading.refusals import NotRead
from datasets.services.files import LocalFile
from datasets.services.given import given_as_one
from datasets.services.imports import imports_root, place_of, version_made
from datasets.services.room import refuse_size
from datasets.services.uploads import Wish, dataset_create, version_add
from datasets.services.work import Over, work_begin, work_locked, work_move

TRIES = 5  # of an import whose process is killed
WAITS = (1, 3, 10, 30)  # seconds between tries that brought nothing new
LONGER = (60, 120, 240)  # and after them, where something has arrived already
SPARE = 1 << 20  # bytes given back of a disk that is full: saying so takes some, too
REPORTED = 1.0  # seconds between two looks at whether the import was called off


class _Asked(Exception):
    """There are several things to choose from."""

    def __init__(self, found: list[Offer]) -> None:
        super().__init__()
        self.offers = found


class _Fetched(LocalFile):
    """A file that has arrived. It is linked, not copied: nobody else writes to it."""

    def __init__(self, file: Listed, path: Path) -> None:
        super().__init__(path, PurePosixPath(file.path).name)
        self.path = file.path

    def temporary_file_path(self) -> str:
        """Where it lies."""
        return str(self._path)


def import_execute(import_id: uuid.UUID) -> bool:
    """Works at an import that waits, or whose worker was killed; whether this call did it.

    Does nothing when another process is at it or it has ended. May be killed at any moment: the
    sweep begins it again, and it goes on with the files that have arrived.
    """
    found = Import.objects.filter(pk=import_id).first()
    if found is None:
        return False
    imports_root()
    found.directory.mkdir(exist_ok=True)
    with locked(found.directory) as mine:
        if not mine:
            return False
        is_kept = False
        with suppress(Over):
            is_kept = _executed(import_id)
        # A process that ends in any other way keeps what has arrived for the next one.
        if not (is_kept and found.plan.exists()):
            shutil.rmtree(found.directory, ignore_errors=True)
    return True


def _executed(import_id: uuid.UUID) -> bool:
    """Whether what has arrived is kept: it failed for a reason that says nothing about it."""
    try:
        with disk_full_told():
            found = _begin(import_id)
            _store(found, _fetched(found))
    except _Asked as asked:
        _end(import_id, Import.State.CHOOSING, offers=[_offer(one) for one in asked.offers])
    except DomainError as refused:
        _end(import_id, Import.State.FAILED, problem=refused.message)
        return isinstance(refused, Broken | DiskFull | NotRead)
    return False


def _offer(offer: Offer) -> dict[str, Any]:
    return {"name": offer.name, "files": len(offer.files), "bytes": offer.bytes}


def _locked(import_id: uuid.UUID) -> Import:
    rows = Import.objects.select_related("project", "dataset__project", "created_by")
    return work_locked(rows, import_id)


@transaction.atomic
def _begin(import_id: uuid.UUID) -> Import:
    """Notes that the work begins. An import that never came to its end so often is given up."""
    found = _locked(import_id)
    if found.state == Import.State.CHOOSING:
        raise Over
    tries = int(found.progress.get("tries", 0)) + 1
    if tries > TRIES:
        raise DomainError(
            _("The import was begun %(tries)s times and never ended. Import fewer files.")
            % {"tries": TRIES}
        )
    return work_begin(found, {**found.progress, "tries": tries})


@transaction.atomic
def _end(import_id: uuid.UUID, to: str, **fields: Any) -> None:
    work_move(_locked(import_id), to, by=None, progress={}, **fields)


class _Reporter:
    """Tells live pages how far an import is, and looks whether it was called off."""

    def __init__(self, found: Import, files: list[Listed]) -> None:
        self._found = found
        self.project = found.project
        self._last = 0.0
        self._files = len(files)
        self._total = sum(file.size or 0 for file in files)
        self._whole = all(file.size is not None for file in files)
        self.done = self.bytes = 0

    def look(self) -> None:
        """`Over` when the import has ended, QuotaExceeded when it grows too big; each second."""
        now = time.monotonic()
        if now - self._last < REPORTED:
            return
        self._last = now
        total = self._total if self._whole else 0
        progress = {
            **self._found.progress,
            "files": self.done,
            "file_count": self._files,
            "bytes": self.bytes,
            "total": total,
            "percent": min(99, 100 * self.bytes // total) if total else 0,
        }
        if not Import.objects.filter(pk=self._found.pk).active().update(progress=progress):
            raise Over
        refuse_size(self.bytes, self.project)
        live_touch(self._found.pk, self._found.project_id)


def _fetched(found: Import) -> list[_Fetched]:
    """All files, here. DomainError says why one could not be had."""
    place = place_of(found)
    files = _planned(found, place)
    report = _Reporter(found, files)
    report.look()
    folder = found.directory / "files"
    folder.mkdir(exist_ok=True)
    arrived = []
    for number, file in enumerate(files):
        target = folder / str(number)
        if not target.exists():
            _fetch(place, file, target, report)
        arrived.append(_Fetched(file, target))
        report.done += 1
        report.bytes = sum(one.size or 0 for one in arrived)
        report.look()
    return arrived


def _planned(found: Import, place: Place) -> list[Listed]:
    """The files to fetch. What was planned once stays, so that a new try goes on with the same."""
    if found.plan.exists():
        return [Listed(**one) for one in json.loads(found.plan.read_text(encoding="utf-8"))]
    listing = _patiently(place.listing)
    files = _chosen(found, listing)
    if len(files) > FILES_MAX:
        raise DomainError(
            _("These are %(count)s files; at most %(limit)s are imported at once. Choose fewer.")
            % {"count": len(files), "limit": FILES_MAX},
            field="files",
            code="too_many_files",
        )
    refuse_size(sum(file.size or 0 for file in files), found.project)
    if not Import.objects.filter(pk=found.pk).active().update(revision=listing.revision[:100]):
        raise Over
    written = found.plan.with_suffix(".new")
    written.write_text(json.dumps([file.stored() for file in files]), encoding="utf-8")
    written.replace(found.plan)
    return files


def _chosen(found: Import, listing: Listing) -> list[Listed]:
    """The files that the person named or chose, or all where there is nothing to choose."""
    reference: dict[str, Any] = found.reference
    if patterns := reference.get("files"):
        return by_patterns(listing, patterns)
    there = offers(listing)
    if not there:
        raise DomainError(
            _("There is no file of a kind that can be read."), field="path", code="no_files"
        )
    chosen = [offer for offer in there if offer.name in reference.get("choices", ())]
    if len(there) == 1:
        chosen = there
    if len(chosen) < max(1, len(reference.get("choices", ()))) and len(there) > 1:
        raise _Asked(there)
    return list(dict.fromkeys(file for offer in chosen for file in offer.files))


def _fetch(place: Place, file: Listed, target: Path, report: _Reporter) -> None:
    """One file, whole and as it was announced; a cut transfer goes on where it stopped."""
    part = target.with_suffix(".part")
    before = report.bytes
    for again in (True, False):
        work = partial(_receive, place, file, part, before, report)
        _patiently(work, report.look, lambda: before + _size(part))
        if not file.sha256 or _sha256(part, report) == file.sha256.lower():
            part.replace(target)
            return
        part.unlink()
        if not again:
            raise DomainError(
                _("“%(name)s” came damaged twice: its checksum is wrong. Import it again later.")
                % {"name": file.path},
                code="checksum",
            )


def _receive(place: Place, file: Listed, part: Path, before: int, report: _Reporter) -> None:
    """Appends what is missing of a file. `Broken` when it ends too soon, or `DiskFull`."""
    try:
        with disk_full_told():
            _append(place, file, part, before, report)
    except DiskFull:
        with suppress(FileNotFoundError):
            os.truncate(part, max(0, part.stat().st_size - SPARE))
        raise


def _append(place: Place, file: Listed, part: Path, before: int, report: _Reporter) -> None:
    part.touch()
    with part.open("r+b") as sink:
        sink.seek(0, os.SEEK_END)
        if file.size is None:  # whether all is there cannot be told: it begins anew
            _empty(sink)
        elif sink.tell() == file.size:
            return
        stream = place.stream(file, sink.tell())
        if stream.start != sink.tell():
            _empty(sink)
        total = file.size if file.size is not None else stream.total
        if stream.total is not None and file.size is not None and stream.total != file.size:
            raise _wrong_size(file, stream.total)
        for _piece in stream.into(sink):
            report.bytes = before + sink.tell()
            if total is not None and sink.tell() > total:
                raise _wrong_size(file, sink.tell())
            if sink.tell() > settings.UPLOAD_MAX_BYTES:
                refuse_size(sink.tell(), report.project)
            report.look()
        if total is not None and sink.tell() < total:
            raise Broken(
                _("The connection was cut after %(there)s of %(size)s bytes of “%(name)s”.")
                % {"there": sink.tell(), "size": total, "name": file.path},
                code="cut",
            )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _empty(sink: BinaryIO) -> None:
    sink.seek(0)
    sink.truncate()


def _wrong_size(file: Listed, size: int) -> DomainError:
    return DomainError(
        _("“%(name)s” should have %(wanted)s bytes and has %(size)s. Import it again later.")
        % {"name": file.path, "wanted": file.size, "size": size},
        code="size",
    )


def _patiently(
    work: Callable[[], Any],
    look: Callable[[], None] = lambda: None,
    arrived: Callable[[], int] = lambda: 0,
) -> Any:
    """What the work gives. It is tried again while more bytes arrive, and a few times when not: for
    minutes where some are here.
    """
    tried = 0
    before = -1
    while True:
        try:
            return work()
        except Broken:
            there = arrived()
            tried = 0 if there > before >= 0 else tried
            waits = (*WAITS, *LONGER) if there else WAITS
            if tried >= len(waits):
                raise
            until = time.monotonic() + waits[tried]
            before, tried = there, tried + 1
        while time.monotonic() < until:
            time.sleep(0.2)
            look()


def _sha256(path: Path, report: _Reporter) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            report.look()
    return digest.hexdigest()


def _store(found: Import, files: list[_Fetched]) -> None:
    """The files as a version; the import ends in the same stroke."""
    by = _owner(found)
    upload = given_as_one(files)
    if len(files) > 1:
        upload.name = f"{(found.name or PurePosixPath(found.place).name or 'import')[:200]}.zip"
    wish = Wish(**found.wish) if found.wish else None
    stored = partial(version_made, found)
    if found.dataset is not None:
        if not Dataset.objects.editable_by(by).filter(pk=found.dataset.pk).exists():
            raise DomainError(
                _("Who asked for the import may not add versions to “%(name)s” any more.")
                % {"name": found.dataset.name}
            )
        version_add(found.dataset.pk, by=by, upload=upload, wish=wish, stored=stored)
    elif found.name:
        dataset_create(
            project=found.project,
            created_by=by,
            name=found.name,
            remark=_origin(found),
            upload=upload,
            wish=wish,
            stored=stored,
        )
    else:
        raise Conflict(_("The dataset that it was for is gone."))


def _owner(found: Import) -> User:
    if found.created_by is None or not found.created_by.is_active:
        raise DomainError(_("Who asked for the import has no account any more."))
    return found.created_by


def _origin(found: Import) -> str:
    """Where the data came from, for the remark of a new dataset."""
    revision = Import.objects.values_list("revision", flat=True).get(pk=found.pk)
    origin = f"{Import.Kind(found.kind).label}: {found.place}"
    return f"{origin} @ {revision}" if revision else origin
