"""Recipes that make versions from others, and their runs."""

from decimal import Decimal
from pathlib import Path
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet
from common.phrases import PhraseField
from datasets.models.versions import Dataset, DatasetVersion


class RecipeQuerySet(ProjectOwnedQuerySet["Recipe"]):
    """Recipes: members of the project see them, researchers change them."""

    def with_words(self, words: str) -> Self:
        """Recipes with the words in name or remark."""
        return self.filter(models.Q(name__icontains=words) | models.Q(remark__icontains=words))


class Recipe(ProjectOwned):
    """Named steps that make new versions from others; `recipes.kinds` says what steps may be."""

    name = models.CharField(_("name"), max_length=80)
    remark = models.TextField(_("remark"), blank=True, max_length=2000)
    steps = models.JSONField(_("steps"))  # [{"kind": …, "parameters": {…}}, …], always complete
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = RecipeQuerySet.as_manager()

    class Meta:
        ordering = ("-updated_at",)
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="one_recipe_of_a_name"),
        )
        verbose_name = _("recipe")
        verbose_name_plural = _("recipes")

    def __str__(self) -> str:
        return self.name


class RecipeRunQuerySet(ProjectOwnedQuerySet["RecipeRun"]):
    """Runs: of the project that gets what they make."""

    def active(self) -> Self:
        """Those that wait or run."""
        return self.filter(state__in=(RecipeRun.State.WAITING, RecipeRun.State.RUNNING))

    def waiting(self, *, asks_models: bool) -> Self:
        """Those that wait, of the kind that asks models or of the other: each has its own queue."""
        return self.filter(state=RecipeRun.State.WAITING, asks_models=asks_models)


class RecipeRun(ProjectOwned):
    """One use of a recipe on one version. It keeps the steps as they were."""

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    recipe = models.ForeignKey(
        Recipe, on_delete=models.SET_NULL, null=True, related_name="runs", verbose_name=_("recipe")
    )
    recipe_name = models.CharField(_("recipe"), max_length=80)
    steps = models.JSONField(_("steps"))
    seed = models.PositiveIntegerField(_("seed"))
    source = models.ForeignKey(
        DatasetVersion,
        on_delete=models.SET_NULL,
        null=True,
        related_name="runs_on",
        verbose_name=_("source"),
    )
    source_name = models.CharField(_("from"), max_length=120)
    # Further versions that its steps read, to mix with or to compare with.
    inputs = models.ManyToManyField(
        DatasetVersion, related_name="+", blank=True, verbose_name=_("inputs")
    )
    # Into new versions of this dataset; without one, into new datasets called `name`.
    dataset = models.ForeignKey(
        Dataset, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("dataset")
    )
    name = models.CharField(_("new dataset"), max_length=80, blank=True)
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.WAITING
    )
    progress = models.JSONField(  # rows read, percent, tries
        _("progress"), default=dict, blank=True
    )
    report = models.JSONField(_("report"), default=list, blank=True)  # what each step did
    problem = PhraseField(_("problem"), blank=True)
    problem_code = models.CharField(
        _("kind of problem"), max_length=40, db_default="", default="", editable=False
    )
    started_at = models.DateTimeField(_("started"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    # Of runs whose steps ask models: what they may spend, and what they spent (`Spent.stored`).
    asks_models = models.BooleanField(_("asks models"), default=False, editable=False)
    max_cost = models.DecimalField(_("spending limit"), max_digits=12, decimal_places=2, null=True)
    max_tokens = models.PositiveBigIntegerField(_("limit of tokens"), null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    spent = models.JSONField(_("spent"), default=dict, blank=True)
    # Somebody had it go on though most answers were of no use.
    takes_unusable = models.BooleanField(
        _("takes unusable rows"), default=False, db_default=False, editable=False
    )
    log = models.JSONField(  # the latest lines, see `services.runlog`
        _("run log"), default=list, blank=True
    )

    MOVES = {
        State.WAITING: (State.RUNNING, State.FAILED, State.CANCELLED),
        State.RUNNING: (State.SUCCEEDED, State.FAILED, State.CANCELLED),
        State.SUCCEEDED: (),
        State.FAILED: (State.WAITING,),
        State.CANCELLED: (),
    }

    objects = RecipeRunQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("recipe run")
        verbose_name_plural = _("recipe runs")

    def __str__(self) -> str:
        return f"{self.recipe_name}: {self.source_name}"

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in {self.State.WAITING, self.State.RUNNING}

    @property
    def directory(self) -> Path:
        """Where it works; gone when it has ended, but for what was paid for in a failed one."""
        return Path(settings.TRAINER_HOME) / "data" / ".recipes" / str(self.pk)

    @property
    def journal(self) -> Path:
        """What models answered."""
        return self.directory / "answers.sqlite"

    @property
    def place(self) -> int:
        """Where it stands in its queue, from 1."""
        waiting = RecipeRun.objects.waiting(asks_models=self.asks_models)
        return waiting.filter(created_at__lt=self.created_at).count() + 1

    @property
    def can_resume(self) -> bool:
        """Whether it failed and its answers are still there to go on with."""
        return self.state == self.State.FAILED and self.asks_models and self.journal.exists()

    @property
    def cost(self) -> Decimal | None:
        """What its answers cost; None where none was asked for, or they are free."""
        return Decimal(self.spent.get("cost", 0)) or None

    @property
    def seconds(self) -> float | None:
        """How long it has worked; None before it began."""
        if self.started_at is None:
            return None
        return ((self.ended_at or timezone.now()) - self.started_at).total_seconds()
