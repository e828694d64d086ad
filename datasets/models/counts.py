"""Tokens of a version, counted with a tokenizer that somebody chose."""

import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.phrases import PhraseField
from datasets.models.versions import DatasetVersion


class TokenCountQuerySet(models.QuerySet["TokenCount"]):
    """Counts are as visible as the version and the model together."""

    def waiting(self) -> Self:
        """Those that are to be made or are being made, the oldest first."""
        return self.filter(state=TokenCount.State.WAITING).order_by("created_at")


class TokenCount(models.Model):
    """How long a version's rows are for one tokenizer and chat template; counted once.

    Who sees the version and the model sees the count. `key` is that of `checking.counting_key`: it
    changes with the tokenizer's file. The lengths themselves lie beside those of the check. What
    nobody asked for long is forgotten.
    """

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting", _("waiting")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(
        DatasetVersion, on_delete=models.CASCADE, related_name="+", verbose_name=_("version")
    )
    key = models.CharField(_("tokenizer and template"), max_length=400)
    tokenizer = models.CharField(_("tokenizer"), max_length=500)  # its folder under TRAINER_HOME
    template = models.CharField(_("chat template"), max_length=60, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING)
    lengths = models.JSONField(  # as in the version's statistics
        _("lengths"), default=dict, blank=True
    )
    progress = models.JSONField(_("progress"), default=dict, blank=True)  # percent, tries
    problem = PhraseField(_("problem"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    asked_at = models.DateTimeField(_("last asked for"), auto_now_add=True)  # or up to a day ago
    asked_by = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("begun by"),
    )

    objects = TokenCountQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(fields=("version", "key"), name="one_count_of_a_tokenizer"),
        )
        verbose_name = _("count of tokens")
        verbose_name_plural = _("counts of tokens")

    def __str__(self) -> str:
        return f"{self.version} · {self.tokenizer}"

    @staticmethod
    def root() -> Path:
        """Where counts that go on have their folders."""
        return Path(settings.TRAINER_HOME) / "data" / ".counts"

    @property
    def directory(self) -> Path:
        """Its own folder while it goes on."""
        return self.root() / str(self.pk)

    @property
    def tokenizer_directory(self) -> Path:
        """Where the tokenizer lies."""
        return Path(settings.TRAINER_HOME) / self.tokenizer
