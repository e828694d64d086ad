"""What models learn from: datasets and their immutable versions."""

import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet, User


class DatasetQuerySet(ProjectOwnedQuerySet["Dataset"]):
    """Datasets by who may see them; public ones are seen by everybody, also without an account."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Public ones and those of the user's projects."""
        return self.filter(is_public=True) | self.filter(
            pk__in=super().visible_to(user).values("pk")
        )

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Of the projects where the user is a researcher; public ones are left to operators."""
        rows = super().editable_by(user)
        return rows if user.is_authenticated and user.is_staff else rows.filter(is_public=False)


class Dataset(ProjectOwned):
    """A name for data that grows by versions."""

    name = models.CharField(_("name"), max_length=80)
    remark = models.TextField(_("remark"), blank=True, max_length=2000)
    is_public = models.BooleanField(
        _("public"), default=False, help_text=_("Everybody may read it, also without an account.")
    )
    updated_at = models.DateTimeField(auto_now=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ("-updated_at",)
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="one_dataset_of_a_name"),
        )
        verbose_name = _("dataset")
        verbose_name_plural = _("datasets")

    def __str__(self) -> str:
        return self.name


class DatasetVersionQuerySet(models.QuerySet["DatasetVersion"]):
    """Versions are as visible as their dataset."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Versions of visible datasets."""
        return self.filter(dataset__in=Dataset.objects.visible_to(user))

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Versions of datasets that the user may change."""
        return self.filter(dataset__in=Dataset.objects.editable_by(user))


class DatasetVersion(models.Model):
    """Immutable contents: the uploaded file, its rows as JSON lines, what was found in them."""

    class State(models.TextChoices):
        """Where the check stands."""

        CHECKING = "checking", _("being checked")
        MAPPING = "mapping", _("needs columns named")
        READY = "ready", _("ready")
        BROKEN = "broken", _("broken")

    class Shape(models.TextChoices):
        """The forms of rows the engine reads."""

        ALPACA = "alpaca", _("instruction and answer (alpaca)")
        SHAREGPT = "sharegpt", _("conversations (sharegpt)")
        OPENAI = "openai", _("OpenAI messages")
        PREFERENCE = "preference", _("preference pairs")
        KTO = "kto", _("answers with good or bad marks (KTO)")
        TEXT = "text", _("plain texts (pretraining)")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.CHECKING)
    shape = models.CharField(_("format"), max_length=12, choices=Shape.choices, blank=True)
    columns = models.JSONField(default=dict, blank=True)  # the engine's column -> the file's
    tags = models.JSONField(default=dict, blank=True)  # role names of conversations
    filename = models.CharField(max_length=255)  # as uploaded
    file_format = models.CharField(max_length=8)  # json, jsonl, csv
    bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    rows = models.PositiveIntegerField(default=0)  # usable ones
    report = models.JSONField(
        default=dict, blank=True
    )  # counts and first findings; all are in findings.jsonl
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=("dataset", "number"), name="one_version_of_a_number"),
        )
        verbose_name = _("dataset version")
        verbose_name_plural = _("dataset versions")

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"

    @property
    def directory(self) -> Path:
        """Where its files lie: the original, `rows.jsonl` with its index, `findings.jsonl`."""
        return Path(settings.TRAINER_HOME) / "data" / str(self.dataset_id) / f"v{self.number}"
