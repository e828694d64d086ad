"""What is known of files, so that they are not read anew each time a node asks."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class FileDigest(models.Model):
    """The SHA-256 of a file under TRAINER_HOME, true while its size and time are these."""

    PATH_MAX: ClassVar[int] = 500

    path = models.CharField(max_length=PATH_MAX, unique=True)
    size = models.PositiveBigIntegerField()
    mtime_ns = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    noted_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("file digest")
        verbose_name_plural = _("file digests")

    def __str__(self) -> str:
        return self.path
