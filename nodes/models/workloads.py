"""What runs on nodes: workloads and the devices they hold."""

from pathlib import Path
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet, Role, User
from common.phrases import PhraseField
from nodes.models.images import Image
from nodes.models.machines import Gpu, Node

IN_QUEUE = ("-priority", "queued_at", "id")


class WorkloadQuerySet(ProjectOwnedQuerySet["Workload"]):
    """Workloads by where they stand."""

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Those the user may stop: researchers any, developers those that serve a model."""
        serving = self.with_role(user, Role.DEVELOPER).filter(is_service=True)
        return self.with_role(user, Role.RESEARCHER) | serving

    def waiting(self) -> Self:
        """In the order in which they are served: priority, then first come."""
        return self.filter(state=Workload.State.WAITING).order_by(*IN_QUEUE)

    def active(self) -> Self:
        """Those that hold a place on a node."""
        return self.filter(state__in=Workload.ACTIVE)

    def occupying(self) -> Self:
        """Those of them that hold GPUs, processors and memory: not what only comes home."""
        return self.active().filter(exited_at=None)


class Workload(ProjectOwned):
    """One process or container to run. `nodes` never asks why it exists.

    The workload's directory holds `config.yaml` and other `files`, `inputs/<name>` (links or mounts
    of the inputs' sources), `output/`, and per epoch the process' identity, exit and result.
    All paths inside configurations are relative to that directory.
    """

    class State(models.TextChoices):
        """waiting → placed → starting → running → stopping → ended."""

        WAITING = "waiting", _("waiting")
        PLACED = "placed", _("placed")
        STARTING = "starting", _("starting")
        RUNNING = "running", _("running")
        STOPPING = "stopping", _("stopping")
        ENDED = "ended", _("ended")

    class Outcome(models.TextChoices):
        """How a workload ended."""

        OK = "ok", _("ok")
        ERROR = "error", _("error")
        OOM = "oom", _("out of memory")
        STOPPED = "stopped", _("stopped")
        TIMEOUT = "timeout", _("time limit")
        LOST = "lost", _("lost")

    ACTIVE: ClassVar[tuple[str, ...]] = (
        State.PLACED,
        State.STARTING,
        State.RUNNING,
        State.STOPPING,
    )
    MOVES: ClassVar[dict[str, set[str]]] = {
        State.WAITING: {State.PLACED, State.ENDED},
        State.PLACED: {State.STARTING, State.WAITING, State.ENDED},
        State.STARTING: {State.RUNNING, State.WAITING, State.STOPPING, State.ENDED},
        State.RUNNING: {State.STOPPING, State.ENDED},
        State.STOPPING: {State.ENDED},
        State.ENDED: set(),
    }

    name = models.CharField(_("name"), max_length=120)
    engine = models.CharField(_("engine"), max_length=40)  # the environment or image that runs it
    image = models.ForeignKey(  # the one that was asked for, or that a container was started with
        Image,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="workloads",
        verbose_name=_("image"),
    )
    verb = models.CharField(
        _("what it does"), max_length=24
    )  # what its entrypoint does: train, predict, export, serve
    inputs = models.JSONField(_("inputs"), default=dict)  # name -> path under TRAINER_HOME
    files = models.JSONField(
        _("files"), default=dict
    )  # relative path -> text, written before the start
    env = models.JSONField(_("environment"), default=dict)  # never secrets
    is_service = models.BooleanField(_("runs until stopped"), default=False)  # runs until stopped
    gpus = models.PositiveSmallIntegerField(_("GPUs"), default=0)
    gpu_memory_bytes = models.PositiveBigIntegerField(
        _("memory of each GPU in bytes"), default=0
    )  # at least this much on each
    cpus = models.FloatField(_("CPUs"), default=1.0)
    memory_bytes = models.PositiveBigIntegerField(
        _("memory in bytes"), default=2**30
    )  # asked for, not enforced
    memory_limit_bytes = models.PositiveBigIntegerField(
        _("memory limit in bytes"), null=True
    )  # ended when it holds more
    memory_bound_bytes = models.PositiveBigIntegerField(
        null=True
    )  # what its container was given, by that limit or by its share of its node
    wall_seconds = models.PositiveIntegerField(_("time limit in seconds"), null=True)
    priority = models.SmallIntegerField(_("priority"), default=50)

    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.WAITING
    )
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices, blank=True)
    reason = PhraseField(_("reason"), blank=True)  # why it waits or how it ended
    waits_for = models.JSONField(
        _("waits for"), default=dict, blank=True
    )  # the code and facts of `reason`
    end_facts = models.JSONField(
        _("how it ended"), default=dict, blank=True
    )  # memory, error line, seconds
    epoch = models.PositiveIntegerField(
        _("start number"), default=0
    )  # raised at each claim; a stale writer is refused
    node = models.ForeignKey(
        Node, on_delete=models.PROTECT, null=True, related_name="workloads", verbose_name=_("node")
    )
    stop_mode = models.CharField(
        _("way of its stop"), max_length=10, blank=True
    )  # "", "checkpoint", "kill"
    stop_requested_at = models.DateTimeField(_("stop asked for"), null=True)
    exit_code = models.IntegerField(_("exit code"), null=True)
    queued_at = models.DateTimeField(_("queued"), auto_now_add=True)
    placed_at = models.DateTimeField(_("placed"), null=True)
    nudged_at = models.DateTimeField(
        _("node told"), null=True
    )  # when its node was told of it last, or was at what its start needs
    started_at = models.DateTimeField(_("started"), null=True)
    # Its process ended, and what it wrote is on its way from a node that does not share the
    # directory: it needs nothing of the node's any more, and has not ended yet.
    exited_at = models.DateTimeField(_("process ended"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    objects = WorkloadQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(fields=("state", *IN_QUEUE), name="workload_queue"),
            models.Index(fields=("state", "-queued_at"), name="workload_newest"),
        )
        verbose_name = _("workload")
        verbose_name_plural = _("workloads")

    def __str__(self) -> str:
        return self.name

    def can_become(self, state: str) -> bool:
        """Whether the move is one of `MOVES`."""
        return state in self.MOVES[self.state]

    @property
    def comes_home(self) -> bool:
        """Whether its process has ended and what it wrote is still on its way."""
        return self.exited_at is not None and self.state != self.State.ENDED

    @property
    def goes_on(self) -> bool:
        """Whether it was stopped only to be moved: whoever submitted it starts it elsewhere."""
        return bool(self.end_facts.get("goes_on"))

    @property
    def directory(self) -> Path:
        """Where its files lie."""
        return Path(settings.TRAINER_HOME) / "output" / str(self.pk)

    @property
    def log_path(self) -> Path:
        """The file its output goes to; it only grows."""
        return Path(settings.TRAINER_HOME) / "logs" / f"{self.pk}.log"

    @property
    def metrics_path(self) -> Path:
        """The engine's own metric file, one JSON object a line; it only grows."""
        return self.directory / "metrics.jsonl"

    @property
    def socket_path(self) -> Path:
        """The unix socket a service listens on. Short: such paths are limited to 107 bytes."""
        return Path(settings.TRAINER_HOME) / "temp" / f"{self.pk.hex[:16]}.sock"

    def facts_path(self, kind: str) -> Path:
        """The file of this epoch for `process`, `exit` or `result`."""
        return self.directory / f"{kind}-{self.epoch}.json"


class Lease(models.Model):
    """A GPU held by a workload. `released_at` ends it."""

    gpu = models.ForeignKey(
        Gpu, on_delete=models.PROTECT, related_name="leases", verbose_name=_("GPU")
    )
    workload = models.ForeignKey(
        Workload, on_delete=models.CASCADE, related_name="leases", verbose_name=_("workload")
    )
    taken_at = models.DateTimeField(_("taken"), auto_now_add=True)
    released_at = models.DateTimeField(_("released"), null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("gpu",), condition=models.Q(released_at=None), name="one_holder_per_gpu"
            ),
        )
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return f"{self.gpu} · {self.workload}"


class PlanRequest(models.Model):
    """Something changed that a plan rests on; whoever plans next takes it away."""

    def __str__(self) -> str:
        return str(self.pk)
