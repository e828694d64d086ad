"""What models there are and how good they are: models, immutable versions, evaluations."""

import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership, Project, ProjectOwned, ProjectOwnedQuerySet, Role, User
from registry import weights


class ModelQuerySet(models.QuerySet["Model"]):
    """Models of projects, and base models that belong to none and are everybody's once enabled."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Enabled base models and those of the user's projects; operators see all."""
        return self._with_role(user, Role.VIEWER, shared=True)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Models of projects where the user is a researcher; base models are the operators'."""
        return self._with_role(user, Role.RESEARCHER, shared=False)

    def _with_role(self, user: User | AnonymousUser, role: int, *, shared: bool) -> Self:
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_staff:
            return self.exclude(project_id__in=Project.objects.deleted().values("pk"))
        mine = models.Q(
            project_id__in=Membership.objects.filter(user=user, role__gte=role).values("project_id")
        )
        return (
            self.filter(mine | models.Q(project=None, is_enabled=True))
            if shared
            else self.filter(mine)
        )


class Model(models.Model):
    """A name for weights that grow by versions. Without a project: a base model for everybody."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        Project,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("project"),
    )
    name = models.CharField(_("name"), max_length=120)
    remark = models.TextField(_("remark"), blank=True, max_length=2000)
    is_enabled = models.BooleanField(
        _("enabled"),
        default=True,
        help_text=_("A base model that is not enabled cannot be chosen."),
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = ModelQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="one_model_of_a_name"),
            models.UniqueConstraint(
                fields=("name",), condition=models.Q(project=None), name="one_base_model_of_a_name"
            ),
        )
        verbose_name = _("model")
        verbose_name_plural = _("models")

    def __str__(self) -> str:
        return self.name


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    """Versions are as visible as their model."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Versions of visible models."""
        return self.filter(model__in=Model.objects.visible_to(user))

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Versions of models that the user may change."""
        return self.filter(model__in=Model.objects.editable_by(user))

    def usable_in(self, project: Project) -> Self:
        """What may be used there: enabled base models and the project's own."""
        return self.filter(
            models.Q(model__project=None, model__is_enabled=True) | models.Q(model__project=project)
        )

    def on_disk(self) -> Self:
        """Those whose weights lie on this installation's disk."""
        return self.exclude(path="")


class ModelVersion(models.Model):
    """Immutable weights with what is needed to use them rightly: base, template, origin."""

    class Kind(models.TextChoices):
        """What the files are."""

        BASE = "base", _("base model")
        ADAPTER = "adapter", _("adapter")
        FULL = "full", _("full weights")
        MERGED = "merged", _("merged")
        QUANTISED = "quantised", _("quantised")
        REWARD = "reward", _("reward model")

    class Source(models.TextChoices):
        """Where the weights come from."""

        DEMO = "demo", _("made here for the demo")
        HUB = "hub", _("a model hub")
        LOCAL = "local", _("a local directory")
        JOB = "job", _("a job")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(
        Model, on_delete=models.CASCADE, related_name="versions", verbose_name=_("model")
    )
    number = models.PositiveIntegerField(_("version"), default=1)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    source = models.CharField(_("source"), max_length=8, choices=Source.choices)
    base = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="derived",
        verbose_name=_("base"),
    )
    template = models.CharField(_("chat template"), max_length=60, blank=True)
    path = models.CharField(  # under TRAINER_HOME; empty: only on the hub
        _("path"), max_length=500, blank=True, editable=False
    )
    hf_id = models.CharField("Hugging Face", max_length=200, blank=True)
    ms_id = models.CharField("ModelScope", max_length=200, blank=True)
    parameters = models.PositiveBigIntegerField(_("parameters"), null=True, blank=True)
    bytes = models.PositiveBigIntegerField(
        _("size in bytes"), null=True, blank=True, editable=False
    )
    facts = models.JSONField(  # parity of an export, training results
        _("facts"), default=dict, blank=True, editable=False
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ("model__name", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("model", "number"), name="one_model_version_of_a_number"
            ),
        )
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")

    def __str__(self) -> str:
        return (
            self.model.name if self.kind == self.Kind.BASE else f"{self.model.name} v{self.number}"
        )

    @property
    def directory(self) -> Path | None:
        """Where the weights lie; None while they are only on a hub."""
        return Path(settings.TRAINER_HOME) / self.path if self.path else None

    @property
    def label(self) -> str:
        """How the version is called beside its model's name: `v3`."""
        return f"v{self.number}"

    @property
    def location(self) -> str:
        """What an engine loads: the path under TRAINER_HOME, else `hub:<id>`."""
        return self.path or f"hub:{self.hf_id or self.ms_id}"

    def chain(self) -> tuple[str, str | None]:
        """What an engine must load: the base's location, and the adapter's path or None.

        An adapter is loaded onto the nearest complete weights below it: one that was trained on
        from another adapter holds all that the other had learnt. Everything else stands alone.
        """
        if self.kind != self.Kind.ADAPTER:
            return self.location, None
        for base in self.lineage():
            if base.kind != self.Kind.ADAPTER:
                return base.location, self.path
        return self.location, None

    def lineage(self) -> list["ModelVersion"]:
        """The versions this one came from, the nearest first."""
        found: list[ModelVersion] = []
        seen = {self.pk}
        version = self.base
        while version is not None and version.pk not in seen:
            found.append(version)
            seen.add(version.pk)
            version = version.base
        return found

    def files(self) -> list[tuple[str, int]]:
        """Name and size of each file of the weights; empty when they are only on a hub."""
        directory = self.directory
        return weights.files_of(directory) if directory and directory.is_dir() else []


class EvaluationQuerySet(ProjectOwnedQuerySet["Evaluation"]):
    """Scores by project."""


class Evaluation(ProjectOwned):
    """Scores of one model version on one dataset version, with the stored predictions behind them.

    The data's identity is kept as plain facts: this app knows nothing of `datasets`.
    """

    version = models.ForeignKey(
        ModelVersion,
        on_delete=models.CASCADE,
        related_name="evaluations",
        verbose_name=_("version"),
    )
    baseline = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("baseline")
    )
    dataset_version_id = models.UUIDField(_("dataset version's id"), db_index=True)
    dataset_label = models.CharField(_("dataset's name"), max_length=120)
    settings = models.JSONField(_("settings"), default=dict)  # how the answers were generated
    predictions_path = models.CharField(  # under TRAINER_HOME, one JSON object a line
        _("path of the predictions"), max_length=500
    )
    rows = models.PositiveIntegerField(_("rows"), default=0)
    scores = models.JSONField(_("scores"), default=dict)  # metric -> value
    # 95 % intervals, the tokenizer behind BLEU, and the comparison with the baseline
    details = models.JSONField(_("details"), default=dict)

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("version", "predictions_path"), name="one_evaluation_of_predictions"
            ),
        )
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")

    def __str__(self) -> str:
        return f"{self.version} · {self.dataset_label}"

    @property
    def predictions(self) -> Path:
        """The file of answers, one JSON object a line."""
        return Path(settings.TRAINER_HOME) / self.predictions_path

    @property
    def row_scores(self) -> Path:
        """The file of scores per row, beside the answers."""
        return self.predictions.with_name(f"{self.predictions.stem}.{self.pk}.scores.jsonl")
