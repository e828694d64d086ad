"""Work on models: training, evaluation, export; its attempts, checkpoints and metrics."""

from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet
from common.phrases import PhraseField
from datasets.models import DatasetVersion
from nodes.models import Workload
from registry.models import Evaluation, ModelVersion


class JobQuerySet(ProjectOwnedQuerySet["Job"]):
    """Jobs by where they stand."""

    def active(self) -> Self:
        """Not in a final state and not paused."""
        return self.filter(state__in=Job.ACTIVE)

    def containing(self, text: str) -> Self:
        """With the text in name, remark, model or data."""
        used = JobDataset.objects.filter(job=models.OuterRef("pk"))
        data = used.filter(dataset_version__dataset__name__icontains=text)
        return self.filter(
            models.Q(name__icontains=text)
            | models.Q(remark__icontains=text)
            | models.Q(model_version__model__name__icontains=text)
            | models.Exists(data)
        )

    def with_parts(self) -> Self:
        """With what every list shows beside them."""
        return self.select_related(
            "model_version__model", "output_version__model", "project", "created_by"
        )


class Job(ProjectOwned):
    """What a user asked for. The configuration is rendered once and stored with it."""

    class Kind(models.TextChoices):
        """What is done."""

        TRAIN = "train", _("training")
        EVALUATE = "evaluate", _("evaluation")
        EXPORT = "export", _("export")

    class Stage(models.TextChoices):
        """What a training teaches."""

        PT = "pt", _("pretraining")
        SFT = "sft", _("supervised fine-tuning")
        RM = "rm", _("reward model")
        DPO = "dpo", _("preference optimisation")
        KTO = "kto", _("good and bad marks (KTO)")

    class Method(models.TextChoices):
        """Which weights a training changes."""

        LORA = "lora", "LoRA"
        QLORA = "qlora", "QLoRA"
        FREEZE = "freeze", _("freeze")
        FULL = "full", _("full")

    class State(models.TextChoices):
        """See `MOVES`."""

        QUEUED = "queued", _("waiting")
        PREPARING = "preparing", _("preparing")
        RUNNING = "running", _("running")
        PAUSING = "pausing", _("pausing")
        PAUSED = "paused", _("paused")
        STOPPING = "stopping", _("stopping")
        FINALIZING = "finalizing", _("finishing")
        STOPPED = "stopped", _("stopped")
        CANCELLED = "cancelled", _("cancelled")
        SUCCEEDED = "succeeded", _("done")
        FAILED = "failed", _("failed")

    class Failure(models.TextChoices):
        """Kinds of failure."""

        USER_DATA = "user_data", _("the data")
        USER_CONFIG = "user_config", _("the settings")
        OOM = "oom", _("out of memory")
        DISK = "disk", _("disk full")
        NETWORK_HUB = "network_hub", _("network or hub")
        NODE_LOST = "node_lost", _("node lost")
        GPU_HW = "gpu_hw", _("GPU hardware")
        ENGINE_BUG = "engine_bug", _("engine")
        TIMEOUT = "timeout", _("time limit")
        QUOTA = "quota", _("quota")

    class Wanted(models.TextChoices):
        """What a person asked of a running job; decides what its end means."""

        PAUSE = "pause", _("pause")
        STOP = "stop", _("stop and keep")
        CANCEL = "cancel", _("cancel")

    GOING_ON: ClassVar[tuple[str, ...]] = (
        State.PREPARING,
        State.RUNNING,
        State.PAUSING,
        State.STOPPING,
        State.FINALIZING,
    )
    ACTIVE: ClassVar[tuple[str, ...]] = (State.QUEUED, *GOING_ON)
    FINAL: ClassVar[tuple[str, ...]] = (
        State.STOPPED,
        State.CANCELLED,
        State.SUCCEEDED,
        State.FAILED,
    )
    MOVES: ClassVar[dict[str, set[str]]] = {
        State.QUEUED: {
            State.PREPARING,
            State.RUNNING,
            State.PAUSED,
            State.FINALIZING,
            State.STOPPING,
            State.CANCELLED,
            State.FAILED,
        },
        State.PREPARING: {
            State.RUNNING,
            State.PAUSING,
            State.PAUSED,
            State.STOPPING,
            State.FINALIZING,
            State.CANCELLED,
            State.FAILED,
            State.QUEUED,
        },
        State.RUNNING: {
            State.PAUSING,
            State.PAUSED,
            State.STOPPING,
            State.FINALIZING,
            State.CANCELLED,
            State.FAILED,
            State.QUEUED,
        },
        State.PAUSING: {
            State.PAUSED,
            State.STOPPING,
            State.FINALIZING,
            State.CANCELLED,
            State.FAILED,
            State.QUEUED,
        },
        State.PAUSED: {State.QUEUED, State.CANCELLED, State.FINALIZING},
        State.STOPPING: {State.STOPPED, State.FINALIZING, State.CANCELLED, State.FAILED},
        State.FINALIZING: {State.SUCCEEDED, State.STOPPED, State.FAILED},
        State.STOPPED: {State.QUEUED},
        State.FAILED: {State.QUEUED},
        State.CANCELLED: set(),
        State.SUCCEEDED: set(),
    }

    name = models.CharField(_("name"), max_length=80)
    remark = models.TextField(_("remark"), blank=True, max_length=2000)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    engine = models.CharField(_("engine"), max_length=40, default="llamafactory")
    stage = models.CharField(_("goal"), max_length=8, choices=Stage.choices, blank=True)
    method = models.CharField(_("method"), max_length=8, choices=Method.choices, blank=True)
    preset = models.CharField(_("preset"), max_length=16, blank=True)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="jobs", verbose_name=_("model version")
    )
    dataset_versions = models.ManyToManyField(
        DatasetVersion,
        through="JobDataset",
        related_name="jobs",
        verbose_name=_("dataset versions"),
    )
    gpus = models.PositiveSmallIntegerField(_("GPUs"), default=0)
    settings = models.JSONField(  # the form's fields, engine argument -> value
        _("settings"), default=dict
    )
    config_overrides = models.TextField(  # YAML as the user typed it
        _("changed settings"), blank=True
    )
    config = models.TextField(_("configuration"), blank=True)  # the final YAML
    parent = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="clones",
        verbose_name=_("made from"),
    )
    priority = models.SmallIntegerField(_("priority"), default=50)

    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.QUEUED)
    failure = models.CharField(_("failure"), max_length=12, choices=Failure.choices, blank=True)
    failure_line = PhraseField(_("line of the failure"), blank=True)  # the log line that proves it
    failure_code = models.CharField(  # which advice fits
        _("kind of failure"), max_length=24, blank=True
    )
    wanted = models.CharField(_("wanted state"), max_length=8, choices=Wanted.choices, blank=True)
    output_name = models.CharField(_("register as"), max_length=120, blank=True)
    idempotency_key = models.CharField(
        _("idempotency key"), max_length=120, blank=True, editable=False
    )
    estimate = models.JSONField(  # what was foreseen at the start: bytes, steps
        _("estimate"), default=dict
    )
    step = models.PositiveIntegerField(_("step"), default=0)
    total_steps = models.PositiveIntegerField(_("steps in all"), default=0)
    phase = models.CharField(_("phase"), max_length=24, blank=True)
    latest = models.JSONField(_("latest figures"), default=dict)  # metric -> newest value
    result = models.JSONField(_("result"), default=dict)  # what the engine reported at the end
    output_version = models.OneToOneField(
        ModelVersion,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="produced_by",
        verbose_name=_("model version made"),
    )
    evaluations = models.ManyToManyField(
        Evaluation, related_name="jobs", blank=True, verbose_name=_("evaluations")
    )
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("project", "-created_at"), name="job_of_project"),
            models.Index(fields=("project", "state", "kind"), name="job_by_state"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("project", "idempotency_key"),
                condition=~models.Q(idempotency_key=""),
                name="one_job_of_an_idempotency_key",
            ),
        )
        verbose_name = _("job")
        verbose_name_plural = _("jobs")

    def __str__(self) -> str:
        return self.name

    def can_become(self, state: str) -> bool:
        """Whether the move is one of `MOVES`."""
        return state in self.MOVES[self.state]

    @property
    def is_final(self) -> bool:
        """Nothing will happen to it by itself any more."""
        return self.state in self.FINAL

    @property
    def is_active(self) -> bool:
        """Waits, runs or is being finished."""
        return not self.is_final and self.state != self.State.PAUSED

    @property
    def percent(self) -> int:
        """How far it is, 0 to 100."""
        if self.state == self.State.SUCCEEDED:
            return 100
        return min(100, 100 * self.step // self.total_steps) if self.total_steps else 0

    @property
    def took(self) -> timedelta | None:
        """From the first start to the end; None while either is missing."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    @property
    def data_directory(self) -> Path:
        """The data of all its attempts, as the engine wants them."""
        return Path(settings.TRAINER_HOME) / "data" / "jobs" / str(self.pk)

    @property
    def weights_directory(self) -> Path:
        """Where the weights it made are published; outlives the job."""
        return Path(settings.TRAINER_HOME) / "models" / str(self.pk)

    @property
    def predictions_directory(self) -> Path:
        """Where the answers of an evaluation are kept; outlives the job."""
        return Path(settings.TRAINER_HOME) / "output" / "predictions" / str(self.pk)

    def latest_attempt(self) -> "Attempt | None":
        """The newest try, with its workload."""
        return self.attempts.select_related("workload", "resumed_from").last()


class JobDataset(models.Model):
    """What a dataset version is to a job."""

    class Use(models.TextChoices):
        """What it is used for."""

        TRAIN = "train", _("training")
        EVAL = "eval", _("evaluation")
        AFTER = "after", _("evaluation afterwards")

    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, related_name="datasets", verbose_name=_("job")
    )
    dataset_version = models.ForeignKey(
        DatasetVersion,
        on_delete=models.PROTECT,
        related_name="uses",
        verbose_name=_("dataset version"),
    )
    use = models.CharField(_("use"), max_length=8, choices=Use.choices, default=Use.TRAIN)
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        ordering = ("use", "position")
        verbose_name = _("dataset of a job")
        verbose_name_plural = _("datasets of jobs")

    def __str__(self) -> str:
        return f"{self.job} · {self.dataset_version}"


class Attempt(models.Model):
    """One try at a job: one workload."""

    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, related_name="attempts", verbose_name=_("job")
    )
    number = models.PositiveSmallIntegerField(_("number"))
    workload = models.OneToOneField(
        Workload, on_delete=models.PROTECT, related_name="attempt", verbose_name=_("workload")
    )
    resumed_from = models.ForeignKey(
        "Checkpoint",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("resumed from"),
    )
    resumed_step = models.PositiveIntegerField(  # older values after it do not stand
        _("resumed at step"), default=0
    )
    is_automatic = models.BooleanField(  # made because the one before was lost
        _("automatic"), default=False
    )
    metrics_offset = models.PositiveBigIntegerField(  # bytes of the metric file taken in
        _("metrics read so far"), default=0
    )
    started_at = models.DateTimeField(_("started"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=("job", "number"), name="one_attempt_of_a_number"),
        )
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")

    def __str__(self) -> str:
        return f"{self.job} #{self.number}"


class Checkpoint(models.Model):
    """A resumable state that an attempt saved."""

    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, related_name="checkpoints", verbose_name=_("job")
    )
    attempt = models.ForeignKey(
        Attempt, on_delete=models.CASCADE, related_name="checkpoints", verbose_name=_("attempt")
    )
    name = models.CharField(_("name"), max_length=40)
    step = models.PositiveIntegerField(_("step"))
    bytes = models.PositiveBigIntegerField(_("size in bytes"), default=0)
    saved_at = models.DateTimeField(_("saved"))
    is_present = models.BooleanField(_("there"), default=True)

    class Meta:
        ordering = ("step",)
        constraints = (
            models.UniqueConstraint(fields=("attempt", "step"), name="one_checkpoint_of_a_step"),
        )
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")

    def __str__(self) -> str:
        return f"{self.job} {self.name}"


class Metric(models.Model):
    """What the engine reported at one step. After a resume the newer attempt's values stand."""

    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, related_name="metrics", verbose_name=_("job")
    )
    attempt = models.ForeignKey(
        Attempt, on_delete=models.CASCADE, related_name="+", verbose_name=_("attempt")
    )
    step = models.PositiveIntegerField(_("step"))
    epoch = models.FloatField(_("epoch"), null=True)
    at = models.DateTimeField(_("at"))
    values = models.JSONField(_("values"), default=dict)

    class Meta:
        ordering = ("step",)
        constraints = (models.UniqueConstraint(fields=("job", "step"), name="one_point_of_a_step"),)
        verbose_name = _("metric")
        verbose_name_plural = _("metrics")

    def __str__(self) -> str:
        return f"{self.job} {self.step}"
