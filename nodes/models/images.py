"""The list of container images that may run."""

import uuid
from typing import ClassVar, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.phrases import PhraseField
from nodes.models.machines import Node


class ImageQuerySet(models.QuerySet["Image"]):
    """Images are the operators' business."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All, for operators."""
        return self if user.is_authenticated and user.is_active and user.is_staff else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """All, for operators."""
        return self.visible_to(user)

    def allowed(self) -> Self:
        """Those that may run, the one that runs by default first."""
        ready = self.filter(state=Image.State.READY, is_enabled=True)
        return ready.order_by("-enabled_at", "-added_at")


class Image(models.Model):
    """An engine's image. What may run is this content, by its id, whatever its name comes to mean.

    Of several enabled images of an engine that a node can have and use, the one enabled last runs
    by default.
    """

    class State(models.TextChoices):
        """waiting → fetching → ready, or building → ready."""

        WAITING = "waiting", _("waiting")
        FETCHING = "fetching", _("being fetched")
        BUILDING = "building", _("being built")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    class Variant(models.TextChoices):
        """What an engine says it was built for; others say nothing, and are for both."""

        CPU = "cpu", "CPU"
        CUDA = "cuda", "CUDA"

    MOVES: ClassVar[dict[str, set[str]]] = {
        State.WAITING: {State.FETCHING},
        State.FETCHING: {State.READY, State.FAILED, State.WAITING},
        State.BUILDING: {State.READY, State.FAILED, State.WAITING},
        State.READY: set(),
        State.FAILED: {State.WAITING},
    }

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reference = models.CharField(_("name"), max_length=255)
    engine = models.CharField(_("engine"), max_length=40, blank=True)  # as the image says
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.WAITING
    )
    image_id = models.CharField(_("id"), max_length=80, blank=True)
    digest = models.CharField(_("digest"), max_length=400, blank=True)  # where a registry has it
    size_bytes = models.PositiveBigIntegerField(_("size"), default=0)
    description = models.JSONField(default=dict, blank=True)  # the engine's own files
    doing = models.CharField(max_length=200, blank=True)  # while it is fetched or built
    percent = models.PositiveSmallIntegerField(default=0)
    error = PhraseField(blank=True)
    node = models.ForeignKey(
        Node, on_delete=models.SET_NULL, null=True, related_name="+"
    )  # who fetches it
    is_enabled = models.BooleanField(_("may run"), default=False)
    enabled_at = models.DateTimeField(null=True)
    added_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("added by")
    )
    added_at = models.DateTimeField(_("added"), auto_now_add=True)

    objects = ImageQuerySet.as_manager()

    class Meta:
        ordering = ("reference", "-added_at")
        constraints = (
            models.UniqueConstraint(
                fields=("reference", "image_id"),
                condition=~models.Q(image_id=""),
                name="one_row_per_image",
            ),
        )
        verbose_name = _("image")
        verbose_name_plural = _("images")

    def __str__(self) -> str:
        return self.reference

    @property
    def is_busy(self) -> bool:
        """Whether something is being done about it."""
        return self.state in {self.State.WAITING, self.State.FETCHING, self.State.BUILDING}

    @property
    def variant(self) -> str:
        """One of `Variant`, or what else its `engine.json` says."""
        facts = self.description.get("engine.json")
        return str(facts.get("variant", "")) if isinstance(facts, dict) else ""

    @property
    def short_id(self) -> str:
        """As Docker's own lists show it."""
        return self.image_id.removeprefix("sha256:")[:12]
