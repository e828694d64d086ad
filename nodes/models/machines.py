"""Machines that run workloads, and their devices."""

import uuid
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class NodeQuerySet(models.QuerySet["Node"]):
    """Nodes are seen by everybody with an account and changed by operators."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All nodes, for people with an account."""
        return self if user.is_authenticated and user.is_active else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """All nodes, for operators."""
        return self if user.is_authenticated and user.is_staff else self.none()


class Node(models.Model):
    """A machine that runs workloads."""

    class State(models.TextChoices):
        """Whether new work is placed here."""

        READY = "ready", _("ready")
        CORDONED = "cordoned", _("takes no new work")
        LOST = "lost", _("silent")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(_("name"), max_length=40, unique=True)
    runner = models.CharField(_("runner"), max_length=16, default="process")
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.READY)
    is_cordoned = models.BooleanField(_("takes no new work"), default=False)  # outlives a silence
    note = models.CharField(_("note"), max_length=200, blank=True)
    address = models.CharField(max_length=200, blank=True)  # shown to operators only
    cpu_count = models.PositiveSmallIntegerField(default=1)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    disk_bytes = models.PositiveBigIntegerField(default=0)
    facts = models.JSONField(
        default=dict, blank=True
    )  # versions of the system, drivers, engines on it
    shares_home = models.BooleanField(default=True)  # sees the control plane's directory
    heartbeat_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = NodeQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name = _("node")
        verbose_name_plural = _("nodes")

    def __str__(self) -> str:
        return self.name

    @property
    def queue(self) -> str:
        """The name of the node's own task queue."""
        return f"node-{self.name}"


class Gpu(models.Model):
    """A device of a node, as NVML reports it."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="gpus")
    index = models.PositiveSmallIntegerField()
    uuid = models.CharField(max_length=80, unique=True)
    name = models.CharField(max_length=80)
    memory_bytes = models.PositiveBigIntegerField()
    is_present = models.BooleanField(default=True)

    class Meta:
        ordering = ("node", "index")
        verbose_name = _("GPU")
        verbose_name_plural = _("GPUs")

    def __str__(self) -> str:
        return f"{self.node} {self.index}: {self.name}"
