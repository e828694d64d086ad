"""Recipes that make versions from others, and their runs."""

from pathlib import Path
from typing import Self

from django.conf import settings
from django.db import models
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


class RecipeRun(ProjectOwned):
    """One use of a recipe on one version. It keeps the steps as they were."""

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    recipe = models.ForeignKey(Recipe, on_delete=models.SET_NULL, null=True, related_name="runs")
    recipe_name = models.CharField(_("recipe"), max_length=80)
    steps = models.JSONField(_("steps"))
    seed = models.PositiveIntegerField(_("seed"))
    source = models.ForeignKey(
        DatasetVersion, on_delete=models.SET_NULL, null=True, related_name="runs_on"
    )
    source_name = models.CharField(_("from"), max_length=120)
    # Further versions that its steps read, to mix with or to compare with.
    inputs = models.ManyToManyField(DatasetVersion, related_name="+", blank=True)
    # Into new versions of this dataset; without one, into new datasets called `name`.
    dataset = models.ForeignKey(Dataset, on_delete=models.SET_NULL, null=True, related_name="+")
    name = models.CharField(_("new dataset"), max_length=80, blank=True)
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.WAITING
    )
    progress = models.JSONField(default=dict, blank=True)  # rows read, percent, tries
    report = models.JSONField(default=list, blank=True)  # what each step did
    problem = PhraseField(_("problem"), blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    MOVES = {
        State.WAITING: (State.RUNNING, State.FAILED, State.CANCELLED),
        State.RUNNING: (State.SUCCEEDED, State.FAILED, State.CANCELLED),
        State.SUCCEEDED: (),
        State.FAILED: (),
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
        """Where it works; gone when it has ended."""
        return Path(settings.TRAINER_HOME) / "data" / ".recipes" / str(self.pk)
