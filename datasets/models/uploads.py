"""Files on their way to a version."""

import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models.functions import Left
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet, User

MARKED = 64 * 1024  # bytes


class Arrived(NamedTuple):
    """What has arrived at one moment, while more of it may come.

    `mark` is the CRC-32 of the first and then the last `MARKED` of the `received` bytes.
    """

    received: int
    mark: int


class UploadQuerySet(ProjectOwnedQuerySet["Upload"]):
    """Uploads are their uploader's alone."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """As those that may be gone on with."""
        return self.editable_by(user)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """The user's own, in projects where the user may still upload."""
        return super().editable_by(user).filter(created_by_id=user.pk)

    def beside(self, upload: "Upload") -> Self:
        """The upload, and its uploader's others of the same folder."""
        if not upload.folder:
            return self.filter(pk=upload.pk)
        mine = self.filter(project=upload.project_id, created_by=upload.created_by_id)
        inside = f"{upload.folder}/"  # SQLite's LIKE does not tell capital letters apart
        return mine.annotate(top=Left("path", len(inside))).filter(top=inside)

    def by_folder(self) -> "list[Arriving]":
        """All of them: the files of a folder together, every other file alone; newest first."""
        groups: dict[str, list[Upload]] = {}
        for upload in self:
            groups.setdefault(upload.folder or str(upload.pk), []).append(upload)
        return [Arriving.of(group) for group in groups.values()]


class Upload(ProjectOwned):
    """A file on its way. When it has become a version, or stood still too long, it is gone."""

    filename = models.CharField(_("file"), max_length=255)
    path = models.CharField(_("path"), max_length=255, blank=True)  # in the folder it comes from
    size = models.PositiveBigIntegerField(_("size"))  # as announced, in bytes
    modified = models.CharField(_("last change"), max_length=255, blank=True)  # the client's words
    # What the client says of the folder that it sends: how many files, how many bytes.
    folder_files = models.PositiveIntegerField(_("files of the folder"), null=True)
    folder_size = models.PositiveBigIntegerField(_("size of the folder"), null=True)
    expires_at = models.DateTimeField(_("expires"))

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")

    def __str__(self) -> str:
        return self.filename

    @staticmethod
    def root() -> Path:
        """Where all uploads lie."""
        return Path(settings.TRAINER_HOME) / "data" / ".uploads"

    @property
    def folder(self) -> str:
        """The folder that it comes from, the uppermost one; empty for a file by itself."""
        return self.path.partition("/")[0] if "/" in self.path else ""

    @property
    def directory(self) -> Path:
        """Its own folder."""
        return self.root() / str(self.pk)

    @property
    def file(self) -> Path:
        """What has arrived."""
        return self.directory / "part"

    @property
    def received(self) -> int:
        """Bytes that have arrived."""
        try:
            return self.file.stat().st_size
        except FileNotFoundError:
            return 0

    @cached_property
    def arrived(self) -> Arrived:
        """What had arrived when it was first asked for.

        A file that has the same mark after as many bytes, and did not change, may go on from there.
        """
        try:
            file = self.file.open("rb")
        except FileNotFoundError:  # nothing came yet, or it was used or discarded just now
            return Arrived(0, 0)
        with file:
            received = os.fstat(file.fileno()).st_size
            part = min(received, MARKED)
            first = file.read(part)
            file.seek(received - part)
            return Arrived(received, zlib.crc32(file.read(part), zlib.crc32(first)))


@dataclass(frozen=True)
class Arriving:
    """A file, or a folder, that did not become a version yet: what there is of it, and in all."""

    upload: Upload  # the newest of them
    done: int  # files that have arrived
    files: int
    received: int  # bytes
    size: int

    @classmethod
    def of(cls, uploads: list[Upload]) -> Self:
        """What these make together; they are of one folder, or one file."""
        received = [upload.received for upload in uploads]
        there = zip(received, uploads, strict=True)
        return cls(
            upload=uploads[0],
            done=sum(here == upload.size for here, upload in there),
            files=max(len(uploads), uploads[0].folder_files or 0),
            received=sum(received),
            size=max(sum(upload.size for upload in uploads), uploads[0].folder_size or 0),
        )

    @property
    def name(self) -> str:
        """Of the folder, or the file."""
        return self.upload.folder or self.upload.path or self.upload.filename
