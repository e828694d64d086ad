"""Two versions, compared row by row."""

import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.phrases import PhraseField
from datasets.models.versions import DatasetVersion


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    """Comparisons are as visible as both versions together."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Of versions that the user sees."""
        seen = DatasetVersion.objects.visible_to(user)
        return self.filter(before__in=seen, after__in=seen)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """None: versions never change, and what is found in them neither."""
        return self.none()


class Comparison(models.Model):
    """What is the same, changed, added and removed; the row numbers lie in files, see `comparing`.

    It can be found again at any time: what nobody asked for long is swept away.
    """

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting", _("waiting")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    before = models.ForeignKey(
        DatasetVersion, on_delete=models.CASCADE, related_name="+", verbose_name=_("before")
    )
    after = models.ForeignKey(
        DatasetVersion, on_delete=models.CASCADE, related_name="+", verbose_name=_("after")
    )
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING)
    counts = models.JSONField(  # same, changed, added, removed
        _("numbers"), default=dict, blank=True
    )
    progress = models.JSONField(_("progress"), default=dict, blank=True)  # percent, tries
    problem = PhraseField(_("problem"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    asked_at = models.DateTimeField(_("last asked for"), auto_now_add=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(fields=("before", "after"), name="one_comparison_of_two"),
        )
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"

    @staticmethod
    def root() -> Path:
        """Where all comparisons lie."""
        return Path(settings.TRAINER_HOME) / "data" / ".comparisons"

    @property
    def directory(self) -> Path:
        """Its own folder."""
        return self.root() / str(self.pk)

    @property
    def found(self) -> Path:
        """The folder of its files, there when it is done."""
        return self.directory / "found"
