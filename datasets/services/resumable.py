"""Uploads of many gigabytes that go on where they stopped, whatever stopped them.

What has arrived is what lies on the disk: nothing else counts it, so nothing can disagree with it.
"""

import base64
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import BinaryIO

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone

from accounts.models import Project, Role, User
from accounts.services import project_hold, role_require
from common.disks import disk_full_told
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.models import Upload
from datasets.reading.locks import locked
from datasets.services.room import refuse_size

OPEN_MAX = 2000  # of one person at a time: a folder's files are all kept until its form is sent
CHECKSUMS = ("sha256", "sha1")
_PIECE = 1 << 20


class ChecksumMismatch(DomainError):
    """A piece arrived damaged; nothing of it is kept."""

    http_status = 460
    code = "checksum"


class Busy(DomainError):
    """Another connection writes to this upload."""

    http_status = 423
    code = "busy"


class Held:
    """A finished upload as a service takes files. `spends` are the rows that it uses up."""

    def __init__(self, upload: Upload) -> None:
        self.name: str | None = upload.filename
        self.size: int | None = upload.size
        self.path = upload.path or upload.filename
        self.spends = (upload.pk,)
        self._file = upload.file

    def temporary_file_path(self) -> str:
        """Where it lies, so that it is linked and not copied."""
        return str(self._file)

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The contents in pieces."""
        with self._file.open("rb") as file:
            while piece := file.read(chunk_size or _PIECE):
                yield piece


def upload_create(
    *,
    project: Project,
    created_by: User,
    filename: str,
    size: int,
    path: str = "",
    modified: str = "",
    folder_files: int | None = None,
    folder_size: int | None = None,
) -> Upload:
    """An upload whose bytes are to come; the project's storage is held for all of them.

    `modified` is when the file last changed, as its client writes it to know it again;
    `folder_files` and `folder_size` (bytes) are those of the whole folder that it is sent with.
    `BadFile` (too large), `QuotaExceeded`, Conflict (too many at a time).
    """
    role_require(created_by, project, Role.RESEARCHER)
    with transaction.atomic():
        project_hold(project.pk)
        if Upload.objects.filter(created_by=created_by).count() >= OPEN_MAX:
            raise Conflict(
                _("You have %(limit)s uploads open. Finish or discard some.") % {"limit": OPEN_MAX},
                code="too_many_uploads",
            )
        refuse_size(size, project)
        upload = Upload.objects.create(
            project=project,
            created_by=created_by,
            filename=filename,
            path=path,
            size=size,
            modified=modified,
            folder_files=folder_files,
            folder_size=folder_size,
            expires_at=_expiry(),
        )
    _keep_folder(upload)
    if not size:  # all of it has arrived: no client sends a piece
        upload.directory.mkdir(parents=True)
        upload.file.touch()
    return upload


def _expiry() -> datetime:
    return timezone.now() + timedelta(seconds=settings.UPLOAD_KEEP_SECONDS)


def _keep_folder(upload: Upload) -> None:
    """What has arrived of a folder stays while more of it comes; written once a minute at most."""
    end = _expiry()
    late = Upload.objects.beside(upload).filter(expires_at__lt=end - timedelta(minutes=1))
    if late.update(expires_at=end):
        upload.expires_at = end


def upload_append(upload: Upload, stream: BinaryIO, *, offset: int, checksum: str = "") -> int:
    """Appends what the stream holds from `offset` on; how many bytes are there then.

    `checksum` is an algorithm and a digest in Base64, as tus writes them. Conflict when the offset
    is not what has arrived, `Busy`, `ChecksumMismatch`; DomainError for more than was announced.
    """
    digest, wanted = _digest(checksum)
    upload.directory.mkdir(parents=True, exist_ok=True)
    with locked(upload.directory) as mine:
        if not mine:
            raise Busy(_("Another connection writes to this upload."))
        if offset != upload.received:
            raise Conflict(
                _("%(there)s bytes are here, not %(offset)s. Go on from there.")
                % {"there": upload.received, "offset": offset},
                code="offset",
                data={"offset": upload.received},
            )
        if offset == upload.size:
            return offset
        with disk_full_told():
            _write(upload, stream, digest, wanted)
    _keep_folder(upload)
    return upload.received


def _write(upload: Upload, stream: BinaryIO, digest: "hashlib._Hash", wanted: bytes) -> None:
    """All of the stream or, when it is too long or damaged, nothing; the caller has the lock."""
    with upload.file.open("ab") as file:
        offset = file.tell()
        try:
            while piece := stream.read(_PIECE):
                if file.tell() + len(piece) > upload.size:
                    raise DomainError(_("More bytes came than were announced."), code="too_large")
                file.write(piece)
                if wanted:
                    digest.update(piece)
            if wanted and digest.digest() != wanted:
                raise ChecksumMismatch(_("The piece arrived damaged. Send it again."))
        except DomainError:
            file.truncate(offset)
            raise
        file.flush()
        os.fsync(file.fileno())


def _digest(checksum: str) -> "tuple[hashlib._Hash, bytes]":
    if not checksum:
        return hashlib.sha256(), b""
    name, _space, text = checksum.partition(" ")
    try:
        if name not in CHECKSUMS:
            raise ValueError(name)
        return hashlib.new(name, usedforsecurity=False), base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DomainError(
            _("The checksum must be %(names)s and a digest in Base64.")
            % {"names": " / ".join(CHECKSUMS)},
            code="checksum_unknown",
        ) from error


def uploads_delete(uploads: Iterable[Upload]) -> None:
    """Forgets uploads and what has arrived of them."""
    gone = list(uploads)
    Upload.objects.filter(pk__in=[upload.pk for upload in gone]).delete()
    for upload in gone:
        shutil.rmtree(upload.directory, ignore_errors=True)


def uploads_finished(ids: Sequence[str], *, by: User | AnonymousUser) -> list[Held]:
    """The person's finished uploads in this order, as files. DomainError names what is missing."""
    try:
        wanted = [uuid.UUID(one) for one in ids]
    except ValueError:
        wanted = [uuid.uuid4()]
    rows = {row.pk: row for row in Upload.objects.editable_by(by).filter(pk__in=wanted)}
    if set(wanted) - set(rows):
        raise DomainError(
            _("The upload is gone: it stood still too long, or was used. Upload the file again."),
            field="file",
            code="upload_gone",
        )
    for row in rows.values():
        if row.received < row.size:
            raise DomainError(
                _("Of “%(name)s” %(there)s of %(size)s bytes have arrived. Upload the rest first.")
                % {"name": row.filename, "there": row.received, "size": row.size},
                field="file",
                code="upload_unfinished",
            )
    return [Held(rows[one]) for one in wanted]


def uploads_spend(ids: Sequence[uuid.UUID]) -> None:
    """Forgets uploads that became a version, within the transaction that stores it."""
    used = list(Upload.objects.filter(pk__in=ids))
    Upload.objects.filter(pk__in=ids).delete()
    for upload in used:
        transaction.on_commit(partial(shutil.rmtree, upload.directory, ignore_errors=True))


def uploads_sweep() -> None:
    """Removes expired uploads, and folders that belong to none."""
    for upload in Upload.objects.filter(expires_at__lt=timezone.now()):
        with locked(upload.directory) as mine:
            if mine or not upload.directory.exists():
                uploads_delete([upload])
    folders = list(Upload.root().iterdir()) if Upload.root().exists() else []
    # A row is older than its folder: what has none now never gets one.
    known = {str(one) for one in Upload.objects.values_list("pk", flat=True)}
    for folder in folders:
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)
