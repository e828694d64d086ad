"""What is known of files, so that they are not read anew each time a node asks."""

from typing import ClassVar, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class FileDigestQuerySet(models.QuerySet["FileDigest"]):
    """Names of files may tell more than their readers should know."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All, for operators."""
        return self if user.is_authenticated and user.is_active and user.is_staff else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """None: the platform alone writes them."""
        return self.none()


class FileDigest(models.Model):
    """The SHA-256 of a file under TRAINER_HOME, true while its size and time are these."""

    PATH_MAX: ClassVar[int] = 500

    path = models.CharField(max_length=PATH_MAX, unique=True)
    size = models.PositiveBigIntegerField()
    mtime_ns = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    noted_at = models.DateTimeField(auto_now=True)

    objects = FileDigestQuerySet.as_manager()

    class Meta:
        verbose_name = _("file digest")
        verbose_name_plural = _("file digests")

    def __str__(self) -> str:
        return self.path
