"""Runs of recipes: asked for, called off, and the one door through which their state changes."""

import secrets
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q
from django_q.tasks import async_task

from accounts.models import Project, Role, User
from accounts.services import event_record, role_require
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.generation.asking import UNLIMITED, Limits
from datasets.generation.endings import MOSTLY_UNUSABLE
from datasets.models import Dataset, DatasetVersion, Recipe, RecipeRun
from datasets.recipes.kinds import shares_of
from datasets.services.asking import currency_of, doors_of
from datasets.services.files import data_root
from datasets.services.inputs import inputs_of
from datasets.services.recipes import recipe_versions
from datasets.services.room import refuse_size
from datasets.services.uploads import name_checked, refuse_taken
from datasets.services.work import work_move

SEED_MAX = 2**31 - 1


def recipes_root() -> Path:
    """Where runs work; each has a folder of its own there while it lasts."""
    root = data_root() / ".recipes"
    root.mkdir(parents=True, exist_ok=True)
    return root


@transaction.atomic
def run_create(
    recipe_id: uuid.UUID,
    *,
    by: User,
    version_id: uuid.UUID,
    name: str = "",
    seed: int | None = None,
    limits: Limits = UNLIMITED,
) -> RecipeRun:
    """Has the recipe run on a version in the background.

    With `name` its rows become a new dataset of the recipe's project (one for each part, such as
    `name train` and `name test`, when it splits), without one new versions of the version's
    dataset. Without a `seed` one is drawn. `limits` end a run that asks models.

    Conflict when the version is not ready, DomainError and QuotaExceeded when there is no place for
    what is made.
    """
    recipe = Recipe.objects.editable_by(by).select_related("project").get(pk=recipe_id)
    version = (
        DatasetVersion.objects.visible_to(by).select_related("dataset__project").get(pk=version_id)
    )
    if not recipe_versions(recipe.steps, by).filter(pk=version.pk).exists():
        raise Conflict(
            _("%(version)s is %(state)s. Recipes run on versions that are ready.")
            % {
                "version": str(version),
                "state": DatasetVersion.State(version.state).label,
            },
            field="version",
        )
    project = _place_checked(recipe, version, name, by=by)
    inputs = inputs_of(recipe.steps, by)
    refuse_size(sum(one.rows_path.stat().st_size for one in (version, *inputs.values())), project)
    doors = doors_of(recipe.steps, by)
    limits_check(limits)
    run = RecipeRun.objects.create(
        project=project,
        created_by=by,
        recipe=recipe,
        recipe_name=recipe.name,
        steps=recipe.steps,
        seed=secrets.randbelow(SEED_MAX) if seed is None else seed,
        source=version,
        source_name=str(version),
        dataset=None if name.strip() else version.dataset,
        name=name.strip(),
        asks_models=bool(doors),
        currency=currency_of(doors),
        max_cost=limits.cost,
        max_tokens=limits.tokens,
    )
    run.inputs.set(inputs.values())
    event_record(run, project=project, actor=by, verb="submitted")
    async_task("datasets.tasks.recipe_run", str(run.pk), cluster="web")
    return run


def _place_checked(recipe: Recipe, version: DatasetVersion, name: str, *, by: User) -> Project:
    """The project that gets what the run makes; a refusal when it cannot be put there."""
    if not name.strip():
        if not Dataset.objects.editable_by(by).filter(pk=version.dataset_id).exists():
            raise DomainError(
                _("You cannot add versions to “%(name)s”. Name a new dataset for the rows.")
                % {"name": version.dataset.name},
                field="name",
                code="name",
            )
        return version.dataset.project
    role_require(by, recipe.project, Role.RESEARCHER)
    for wanted in dataset_names(name.strip(), recipe.steps):
        refuse_taken(recipe.project, name_checked(wanted))
    return recipe.project


def dataset_names(name: str, steps: list[dict[str, Any]]) -> list[str]:
    """What the new datasets of a run are called."""
    return [f"{name} {part}" for part in shares_of(steps)] or [name]


@transaction.atomic
def run_cancel(run_id: uuid.UUID, *, by: User) -> RecipeRun:
    """Ends a run; nothing it made is kept. Conflict when it has ended."""
    run = RecipeRun.objects.editable_by(by).select_for_update(of=("self",)).get(pk=run_id)
    return work_move(run, RecipeRun.State.CANCELLED, by=by)


@transaction.atomic
def run_resume(run_id: uuid.UUID, *, by: User, limits: Limits = UNLIMITED) -> RecipeRun:
    """Has a failed run go on with what models answered before it failed; nothing is asked twice.
    One that stopped because most answers were of no use takes them from now on.

    Conflict when it has not failed, or asked nothing, or its answers are gone.
    """
    run = (
        RecipeRun.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("project", "source__dataset")
        .get(pk=run_id)
    )
    if not run.can_resume:
        raise Conflict(
            _("Only a failed run whose answers are still kept can go on. Run the recipe again.")
        )
    limits_check(limits)
    currency = currency_of(doors_of(run.steps, by))
    work_move(
        run,
        RecipeRun.State.WAITING,
        by=by,
        created_by=by,
        currency=currency,
        max_cost=limits.cost,
        max_tokens=limits.tokens,
        problem="",
        problem_code="",
        takes_unusable=run.takes_unusable or run.problem_code == MOSTLY_UNUSABLE,
        report=[],
        ended_at=None,
    )
    async_task("datasets.tasks.recipe_run", str(run.pk), cluster="web")
    return run


def limits_check(limits: Limits) -> None:
    """DomainError for limits that leave nothing to spend."""
    for field, value in (("max_cost", limits.cost), ("max_tokens", limits.tokens)):
        if value is not None and value <= 0:
            raise DomainError(_("A limit must be more than 0."), field=field)


def runs_refuse(
    versions: Sequence[DatasetVersion], dataset: Dataset | None = None, *, by: User | None = None
) -> None:
    """Conflict while a recipe runs on one of the versions, or into the dataset.

    It names the recipe when `by` sees the run.
    """
    involved = Q(source__in=versions) | Q(inputs__in=versions)
    if dataset is not None:
        involved |= Q(dataset=dataset)
    run = RecipeRun.objects.active().filter(involved).first()
    if run is None:
        return
    seen = by is None or RecipeRun.objects.visible_to(by).filter(pk=run.pk).exists()
    named = _("The recipe “%(run)s” still runs. Cancel it, or wait for it.") % {"run": str(run)}
    raise Conflict(
        named if seen else _("A recipe of another project still reads the data. Wait for it."),
        code="in_use",
    )
