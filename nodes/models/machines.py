"""Machines that run workloads, their devices, and the tokens that let machines in."""

import uuid
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class NodeQuerySet(models.QuerySet["Node"]):
    """Nodes are seen by everybody with an account and changed by operators."""

    def present(self) -> Self:
        """Those that were not removed."""
        return self.exclude(state=Node.State.REMOVED)

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All nodes, for people with an account."""
        return self.present() if user.is_authenticated and user.is_active else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """All nodes, for operators."""
        return self.present() if user.is_authenticated and user.is_staff else self.none()


class Node(models.Model):
    """A machine that runs workloads.

    What operators and the platform want of it (`is_cordoned`, `drain`, `excluded_at`) outlives a
    silence; `state` follows from that, from what runs, and from the signs of life.
    """

    class State(models.TextChoices):
        """Whether new work is placed here."""

        READY = "ready", _("ready")
        CORDONED = "cordoned", _("takes no new work")
        DRAINING = "draining", _("draining")
        DRAINED = "drained", _("drained")
        EXCLUDED = "excluded", _("excluded")
        LOST = "lost", _("silent")
        REMOVED = "removed", _("removed")

    class Drain(models.TextChoices):
        """What happens to what runs while the node is emptied."""

        NONE = "", _("not asked for")
        WAIT = "wait", _("what runs goes on to its end")
        STOP = "stop", _("what runs saves a checkpoint and goes on elsewhere")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(_("name"), max_length=40, unique=True)
    runner = models.CharField(_("runner"), max_length=16, default="process")
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.READY)
    is_cordoned = models.BooleanField(_("takes no new work"), default=False)
    drain = models.CharField(_("drain"), max_length=8, choices=Drain.choices, blank=True)
    excluded_at = models.DateTimeField(_("excluded"), null=True)
    exclusion = models.JSONField(default=dict, blank=True)  # the code and facts of the reason
    note = models.CharField(_("note"), max_length=200, blank=True)
    address = models.CharField(_("address"), max_length=200, blank=True)  # shown to operators only
    machine_id = models.CharField(
        _("machine id"), max_length=64, blank=True
    )  # tells its machine from a copy
    key_hash = models.CharField(max_length=64, blank=True, db_index=True)  # of the key it came with
    key_prefix = models.CharField(_("key starts with"), max_length=12, blank=True)
    cpu_count = models.PositiveSmallIntegerField(_("CPUs"), default=1)
    memory_bytes = models.PositiveBigIntegerField(_("memory in bytes"), default=0)
    disk_bytes = models.PositiveBigIntegerField(_("disk in bytes"), default=0)
    facts = models.JSONField(
        _("facts"), default=dict, blank=True
    )  # versions of the system, drivers, engines on it
    shares_home = models.BooleanField(default=True)  # sees the control plane's directory
    agent_url = models.CharField(max_length=200, blank=True)  # where its agent takes requests
    boot_id = models.CharField(max_length=40, blank=True)  # of the system that its agent runs on
    heartbeat_at = models.DateTimeField(
        _("last sign of life"), null=True
    )  # by the database's clock, not by the node's
    clock_skew_seconds = models.FloatField(
        _("clock ahead by seconds"), default=0
    )  # how far the node's clock is ahead
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

    @property
    def takes_work(self) -> bool:
        """Whether new work may be placed here."""
        return (
            self.state == self.State.READY
            and not self.is_clock_wrong
            and not self.facts.get("trouble")
        )

    @property
    def is_clock_wrong(self) -> bool:
        """Whether its clock is too far off to be trusted with deadlines."""
        return abs(self.clock_skew_seconds) > CLOCK_SECONDS


CLOCK_SECONDS = 60.0  # how far a node's clock may be off


class GpuQuerySet(models.QuerySet["Gpu"]):
    """Devices by whether they may be used."""

    def known(self) -> Self:
        """There, or gone without an operator having let them go."""
        return self.filter(Q(is_present=True) | Q(gone_at__isnull=False))

    def usable(self) -> Self:
        """There, not broken, and not taken out."""
        return self.filter(is_present=True, excluded_at=None).exclude(health=Gpu.Health.FAILED)


class Gpu(models.Model):
    """A device of a node, as NVML reports it."""

    class Health(models.TextChoices):
        """What its driver says of it."""

        OK = "ok", _("healthy")
        DEGRADED = "degraded", _("needs attention")
        FAILED = "failed", _("broken")

    node = models.ForeignKey(
        Node, on_delete=models.CASCADE, related_name="gpus", verbose_name=_("node")
    )
    index = models.PositiveSmallIntegerField(_("number"))
    uuid = models.CharField(_("UUID"), max_length=80, unique=True)
    name = models.CharField(_("name"), max_length=80)
    memory_bytes = models.PositiveBigIntegerField(_("memory in bytes"))
    is_present = models.BooleanField(_("there"), default=True)
    gone_at = models.DateTimeField(_("gone"), null=True)  # until it is back or an operator lets go
    health = models.CharField(_("health"), max_length=8, choices=Health.choices, default=Health.OK)
    health_codes = models.JSONField(default=list, blank=True)  # what is wrong, as nodes.nvml says
    ecc_uncorrected = models.PositiveBigIntegerField(null=True)  # ever; None where not offered
    excluded_at = models.DateTimeField(_("excluded"), null=True)
    exclusion = models.JSONField(default=dict, blank=True)

    objects = GpuQuerySet.as_manager()

    class Meta:
        ordering = ("node", "index")
        verbose_name = _("GPU")
        verbose_name_plural = _("GPUs")

    def __str__(self) -> str:
        return f"{self.node} {self.index}: {self.name}"


class HardwareError(models.Model):
    """An error that speaks against a device: told by its driver, or a workload that failed so."""

    class Kind(models.TextChoices):
        """Where it showed."""

        ECC = "ecc", _("uncorrected memory error")
        XID = "xid", _("XID of the driver")
        FAILURE = "failure", _("workload that failed with a hardware error")

    node = models.ForeignKey(
        Node, on_delete=models.CASCADE, related_name="hardware_errors", verbose_name=_("node")
    )
    gpu = models.ForeignKey(
        Gpu, on_delete=models.CASCADE, related_name="hardware_errors", verbose_name=_("GPU")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    number = models.PositiveIntegerField(
        _("number"), default=0
    )  # of an XID; how many new ECC errors
    workload = models.ForeignKey(
        "nodes.Workload",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("workload"),
    )
    at = models.DateTimeField(_("at"))
    counts = models.BooleanField(
        _("counts"), default=True
    )  # not any more after an operator's release

    class Meta:
        ordering = ("-at",)
        indexes = (models.Index(fields=("gpu", "at"), name="error_of_gpu"),)
        constraints = (
            models.UniqueConstraint(fields=("gpu", "workload"), name="one_failure_per_workload"),
        )
        verbose_name = _("hardware error")
        verbose_name_plural = _("hardware errors")

    def __str__(self) -> str:
        return f"{self.gpu} · {self.get_kind_display()}"


class NodeTokenQuerySet(models.QuerySet["NodeToken"]):
    """Tokens are the operators'."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All of them, for operators."""
        return self if user.is_authenticated and user.is_staff else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """All of them, for operators."""
        return self.visible_to(user)


class NodeToken(models.Model):
    """Lets one machine in, once, until then. The token itself is not kept, only its hash."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    prefix = models.CharField(_("starts with"), max_length=12, unique=True, editable=False)
    token_hash = models.CharField(max_length=64, editable=False)
    note = models.CharField(_("note"), max_length=120, blank=True)
    expires_at = models.DateTimeField(_("expires"))
    used_at = models.DateTimeField(_("used"), null=True, editable=False)
    node = models.ForeignKey(
        Node,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="tokens",
        verbose_name=_("node"),
    )
    created_by = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("made by"),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = NodeTokenQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("node token")
        verbose_name_plural = _("node tokens")

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def is_expired(self) -> bool:
        """Whether its end has come."""
        return self.expires_at <= timezone.now()

    @property
    def is_open(self) -> bool:
        """Whether a machine may still come in with it."""
        return self.used_at is None and not self.is_expired
