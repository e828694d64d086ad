"""Data on its way from a hub, a store of objects or a shared directory."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet
from common.phrases import PhraseField
from datasets.models.versions import Dataset, DatasetVersion


class ImportQuerySet(ProjectOwnedQuerySet["Import"]):
    """Imports: of the project that gets the data."""

    def active(self) -> Self:
        """Those that have not ended."""
        return self.filter(state__in=Import.ACTIVE)

    def kept(self) -> Self:
        """Those that failed lately: what has arrived of them may be there to go on with."""
        before = timezone.now() - timedelta(seconds=settings.UPLOAD_KEEP_SECONDS)
        return self.filter(state=Import.State.FAILED, ended_at__gt=before)


class Import(ProjectOwned):
    """Files of another place that become a version. It keeps where they came from."""

    class Kind(models.TextChoices):
        """What kind of place."""

        HUGGINGFACE = "huggingface", _("Hugging Face")
        MODELSCOPE = "modelscope", _("ModelScope")
        S3 = "s3", _("S3 or OSS")
        DIRECTORY = "directory", _("Shared directory")

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        CHOOSING = "choosing", _("needs a choice")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    kind = models.CharField(_("from"), max_length=12, choices=Kind.choices)
    # By kind: repository and revision; path, endpoint and region; directory and path. With `files`,
    # patterns of names, and `choices`, names of offers.
    reference = models.JSONField(_("place"))
    secret = models.TextField(  # sealed, and gone when it has ended
        _("secret"), blank=True, editable=False
    )
    # Whether there was a secret, which is asked for again before it goes on.
    needs_secret = models.BooleanField(
        _("needs a secret"), default=False, db_default=False, editable=False
    )
    # Into a new version of this dataset; without one, into a new dataset called `name`.
    dataset = models.ForeignKey(
        Dataset, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("dataset")
    )
    name = models.CharField(_("new dataset"), max_length=80, blank=True)
    wish = models.JSONField(  # shape, columns, tags, where known before
        _("what was asked for"), default=dict, blank=True
    )
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.WAITING
    )
    # Files and bytes so far and in all, percent, tries.
    progress = models.JSONField(_("progress"), default=dict, blank=True)
    offers = models.JSONField(  # to choose from: name, files, bytes
        _("what can be chosen"), default=list, blank=True
    )
    revision = models.CharField(_("revision"), max_length=100, blank=True)  # that was fetched
    problem = PhraseField(_("problem"), blank=True)
    version = models.ForeignKey(
        DatasetVersion,
        on_delete=models.SET_NULL,
        null=True,
        related_name="imports",
        verbose_name=_("version"),
    )
    ended_at = models.DateTimeField(_("ended"), null=True)

    ACTIVE = (State.WAITING, State.RUNNING, State.CHOOSING)
    MOVES = {
        State.WAITING: (State.RUNNING, State.FAILED, State.CANCELLED),
        State.RUNNING: (State.CHOOSING, State.SUCCEEDED, State.FAILED, State.CANCELLED),
        State.CHOOSING: (State.WAITING, State.FAILED, State.CANCELLED),
        State.SUCCEEDED: (),
        State.FAILED: (State.WAITING, State.CANCELLED),
        State.CANCELLED: (),
    }

    objects = ImportQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("import")
        verbose_name_plural = _("imports")

    def __str__(self) -> str:
        return self.place

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in self.ACTIVE

    @property
    def place(self) -> str:
        """Where from, in one line."""
        given: dict[str, Any] = self.reference
        if self.kind == self.Kind.DIRECTORY:
            return str(Path(given.get("directory", "")) / given.get("path", ""))
        return str(given.get("repository") or given.get("path", ""))

    @property
    def directory(self) -> Path:
        """Where files wait until all are there; gone when it has ended, unless it can go on."""
        return Path(settings.TRAINER_HOME) / "data" / ".imports" / str(self.pk)

    @property
    def plan(self) -> Path:
        """The list of the files to fetch."""
        return self.directory / "plan.json"

    @property
    def can_resume(self) -> bool:
        """Whether it failed and what has arrived is still there to go on with."""
        return self.state == self.State.FAILED and self.plan.exists()

    @property
    def kept_until(self) -> datetime | None:
        """When what has arrived goes; None before it has ended."""
        return self.ended_at and self.ended_at + timedelta(seconds=settings.UPLOAD_KEEP_SECONDS)


class PublicSource(models.Model):
    """Where a public dataset of the installation's list comes from, fetched or not."""

    key = models.CharField(_("name"), max_length=80, unique=True)  # in the list
    dataset = models.OneToOneField(
        Dataset, on_delete=models.CASCADE, related_name="source", verbose_name=_("dataset")
    )
    entry = models.JSONField(_("entry"))  # as it stands in the list

    class Meta:
        ordering = ("key",)
        verbose_name = _("public source")
        verbose_name_plural = _("public sources")

    def __str__(self) -> str:
        return self.key
