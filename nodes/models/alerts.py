"""What is wrong with nodes, from when on that is said, and to whom."""

import uuid
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.phrases import PhraseField
from nodes.models.machines import Gpu, Node


class AlertRuleQuerySet(models.QuerySet["AlertRule"]):
    """Rules are seen by everybody with an account and changed by operators."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All of them, for people with an account."""
        return self if user.is_authenticated and user.is_active else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """All of them, for operators."""
        return self if user.is_authenticated and user.is_staff else self.none()


class AlertRule(models.Model):
    """When a kind of trouble counts as such: a threshold, how long, and when it is over."""

    class Kind(models.TextChoices):
        """What is watched. The thresholds' units stand in `nodes.services.rules`."""

        SILENCE = "silence", _("A node is silent")
        HEAT = "heat", _("A GPU is hot")
        DISK = "disk", _("A disk is full")
        ECC = "ecc", _("A GPU has memory errors")
        IDLE = "idle", _("A GPU is held and idle")
        CLOCK = "clock", _("A clock is wrong")
        EXCLUSION = "exclusion", _("A GPU is taken out")
        LOSS = "loss", _("A GPU is gone or broken")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices, unique=True)
    is_enabled = models.BooleanField(_("watched"), default=True)
    threshold = models.FloatField(_("threshold"))
    clear = models.FloatField(_("over at"))  # further from trouble than the threshold
    hold_seconds = models.PositiveIntegerField(_("for so many seconds"), default=0)

    objects = AlertRuleQuerySet.as_manager()

    class Meta:
        ordering = ("kind",)
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")

    def __str__(self) -> str:
        return str(self.get_kind_display())


class AlertQuerySet(models.QuerySet["Alert"]):
    """Alerts say nothing of workloads, so everybody with an account may see them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All that were opened, for people with an account."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.exclude(state=Alert.State.PENDING)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """None: they follow from what is measured."""
        return self.none()

    def open(self) -> Self:
        """Those that go on."""
        return self.filter(state=Alert.State.OPEN)

    def current(self) -> Self:
        """Those that go on or are about to be opened."""
        return self.exclude(state=Alert.State.CLOSED)


class Alert(models.Model):
    """One trouble of one node, disk or GPU, from its beginning to its end."""

    class State(models.TextChoices):
        """pending → open → closed; what passes before its time is forgotten."""

        PENDING = "pending", _("begins")
        OPEN = "open", _("open")
        CLOSED = "closed", _("over")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    node = models.ForeignKey(
        Node, on_delete=models.CASCADE, related_name="alerts", verbose_name=_("node")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=AlertRule.Kind.choices)
    subject = models.CharField(
        _("disk or GPU"), max_length=120, blank=True
    )  # a GPU's UUID, a disk's path
    gpu = models.ForeignKey(
        Gpu, on_delete=models.CASCADE, null=True, related_name="alerts", verbose_name=_("GPU")
    )
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.PENDING)
    value = models.FloatField(_("value"))  # the last one that was measured
    threshold = models.FloatField(_("threshold"))
    since = models.DateTimeField(_("since"))
    opened_at = models.DateTimeField(_("opened"), null=True)
    closed_at = models.DateTimeField(_("closed"), null=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ("-since",)
        constraints = (
            models.UniqueConstraint(
                fields=("node", "kind", "subject"),
                condition=models.Q(state__in=("pending", "open")),
                name="one_current_alert",
            ),
        )
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")

    def __str__(self) -> str:
        return f"{self.node} · {self.get_kind_display()}"


class AlertChannelQuerySet(models.QuerySet["AlertChannel"]):
    """Channels are the operators'."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All of them, for operators."""
        return self if user.is_authenticated and user.is_staff else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """All of them, for operators."""
        return self.visible_to(user)


class AlertChannel(models.Model):
    """Where alerts are told besides the pages: an e-mail address or a signed webhook."""

    class Kind(models.TextChoices):
        """How it is told."""

        EMAIL = "email", _("e-mail")
        WEBHOOK = "webhook", _("webhook")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    target = models.CharField(_("address"), max_length=500)
    secret_sealed = models.TextField(blank=True, editable=False)  # what a webhook is signed with
    allows_private = models.BooleanField(_("may lie in a private network"), default=False)
    is_enabled = models.BooleanField(_("in use"), default=True)
    created_by = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("made by"),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AlertChannelQuerySet.as_manager()

    class Meta:
        ordering = ("kind", "target")
        constraints = (
            models.UniqueConstraint(fields=("kind", "target"), name="one_channel_per_target"),
        )
        verbose_name = _("alert channel")
        verbose_name_plural = _("alert channels")

    def __str__(self) -> str:
        return self.target


class AlertDeliveryQuerySet(models.QuerySet["AlertDelivery"]):
    """What was told where."""

    def newest(self) -> Self:
        """The last one of each channel."""
        last = AlertDelivery.objects.filter(channel=models.OuterRef("pk")).order_by("-created_at")
        return self.filter(
            pk__in=AlertChannel.objects.values_list(models.Subquery(last.values("pk")[:1]))
        )


class AlertDelivery(models.Model):
    """One telling of one alert's beginning or end to one channel, until it succeeded or gave up."""

    class Happening(models.TextChoices):
        """What is told."""

        OPENED = "opened", _("opened")
        CLOSED = "closed", _("closed")
        TEST = "test", _("test")

    class State(models.TextChoices):
        """Whether it arrived."""

        WAITING = "waiting", _("on its way")
        SENT = "sent", _("sent")
        FAILED = "failed", _("given up")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    alert = models.ForeignKey(
        Alert, on_delete=models.CASCADE, null=True, related_name="deliveries"
    )  # none for a test
    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="deliveries")
    happening = models.CharField(max_length=8, choices=Happening.choices)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_at = models.DateTimeField(_("next attempt"))
    error = PhraseField(_("last error"), blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(_("sent"), null=True)

    objects = AlertDeliveryQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("state", "next_at"), name="delivery_due"),)
        constraints = (
            models.UniqueConstraint(
                fields=("alert", "channel", "happening"), name="one_delivery_per_channel"
            ),
        )
        verbose_name = _("alert delivery")
        verbose_name_plural = _("alert deliveries")

    def __str__(self) -> str:
        return f"{self.alert or ''} · {self.get_happening_display()} · {self.channel}"
