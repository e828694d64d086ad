"""Files on their way to a version."""

import zlib
from pathlib import Path
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet, User

MARKED = 64 * 1024  # bytes


class UploadQuerySet(ProjectOwnedQuerySet["Upload"]):
    """Uploads are their uploader's alone."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """As those that may be gone on with."""
        return self.editable_by(user)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """The user's own, in projects where the user may still upload."""
        return super().editable_by(user).filter(created_by_id=user.pk)


class Upload(ProjectOwned):
    """A file on its way. When it has become a version, or stood still too long, it is gone."""

    filename = models.CharField(_("file"), max_length=255)
    path = models.CharField(_("path"), max_length=255, blank=True)  # in the folder it comes from
    size = models.PositiveBigIntegerField(_("size"))  # as announced, in bytes
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
        return self.file.stat().st_size if self.file.exists() else 0

    @property
    def mark(self) -> int:
        """CRC-32 of the first and then the last `MARKED` bytes that have arrived.

        A file that has the same there, where it is as long as what has arrived, may go on with it.
        """
        if not self.received:
            return 0
        with self.file.open("rb") as file:
            first = file.read(MARKED)
            file.seek(max(self.received - MARKED, 0))
            return zlib.crc32(file.read(MARKED), zlib.crc32(first))
