"""Recipes: named steps, and a look at what they would do."""

import time
import uuid
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts.models import Project, Role, User
from accounts.services import event_record, role_require
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.generation.asking import Asking
from datasets.generation.journal import Journal, Spent
from datasets.models import DatasetVersion, DatasetVersionQuerySet, Recipe
from datasets.previews import mapping_of
from datasets.reading.indexed import IndexedReader
from datasets.recipes.kinds import asking_from, reads_any, steps_checked
from datasets.recipes.pipeline import Preview, preview
from datasets.services.asking import currency_of, doors_of, models_check
from datasets.services.checks import tokenizer_by_default
from datasets.services.inputs import Seer, inputs_of, inputs_read
from datasets.services.uploads import name_checked

PREVIEWED = 50  # rows; fewer where they are long
ASKED = 3  # rows that models are asked about in a preview, of each step
ASKING_SECONDS = 60


@transaction.atomic
def recipe_create(
    *, project: Project, created_by: User, name: str, steps: Any, remark: str = ""
) -> Recipe:
    """A recipe. DomainError names the step and the parameter that cannot be so."""
    role_require(created_by, project, Role.RESEARCHER)
    name = name_checked(name)
    _refuse_taken(project, name)
    recipe = Recipe.objects.create(
        project=project,
        created_by=created_by,
        name=name,
        remark=remark.strip()[:2000],
        steps=_steps_checked(steps, created_by),
    )
    event_record(recipe, project=project, actor=created_by, verb="created")
    return recipe


@transaction.atomic
def recipe_update(
    recipe_id: uuid.UUID,
    *,
    by: User,
    name: str | None = None,
    steps: Any = None,
    remark: str | None = None,
) -> Recipe:
    """Changes what is given. Runs, also those that still wait, keep the steps as they were."""
    recipe = (
        Recipe.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("project")
        .get(pk=recipe_id)
    )
    if name is not None and name.strip() != recipe.name:
        recipe.name = name_checked(name)
        _refuse_taken(recipe.project, recipe.name)
    if steps is not None:
        recipe.steps = _steps_checked(steps, by)
    if remark is not None:
        recipe.remark = remark.strip()[:2000]
    recipe.save()
    event_record(recipe, project=recipe.project, actor=by, verb="changed")
    return recipe


@transaction.atomic
def recipe_delete(recipe_id: uuid.UUID, *, by: User) -> None:
    """Deletes a recipe. Its runs go on, and versions know what made them."""
    recipe = (
        Recipe.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("project")
        .get(pk=recipe_id)
    )
    event_record(recipe, project=recipe.project, actor=by, verb="deleted", old=recipe.name[:24])
    recipe.delete()


def recipe_versions(steps: list[dict[str, Any]], by: Seer) -> DatasetVersionQuerySet:
    """Versions that somebody may run these steps on: ready ones, and where the steps begin with
    a conversion of columns also those whose columns nobody has named.
    """
    states = [DatasetVersion.State.READY]
    if reads_any(steps):
        states.append(DatasetVersion.State.MAPPING)
    return DatasetVersion.objects.visible_to(by).filter(state__in=states)


def recipe_preview(
    steps: list[dict[str, Any]], version: DatasetVersion, *, by: Seer, seed: int
) -> Preview:
    """What checked steps do with the first rows of a version, and of the further ones that they
    name. Models are not asked: steps that do so, and those after them, are left out. DomainError
    as in a run.
    """
    steps = steps[: asking_from(steps)]
    return _preview(steps, version, PREVIEWED, by=by, seed=seed)


def recipe_ask(
    steps: list[dict[str, Any]], version: DatasetVersion, *, by: User, seed: int
) -> tuple[Preview, Spent]:
    """The same with the models asked about a few rows, for money, and what that cost.

    DomainError also when it takes longer than `ASKING_SECONDS`.
    """
    until = time.monotonic() + ASKING_SECONDS

    def look() -> None:
        if time.monotonic() > until:
            raise DomainError(
                _("The models did not answer within %(seconds)s seconds. Run the recipe instead.")
                % {"seconds": ASKING_SECONDS},
                code="too_slow",
            )

    doors = doors_of(steps, by)
    currency_of(doors)
    journal = Journal(Path(":memory:"))
    with Asking(doors, journal, salt=uuid.uuid4().hex, look=look, sample=ASKED) as asking:
        found = _preview(steps, version, ASKED, by=by, seed=seed, asking=asking)
        return found, asking.spent


def _preview(
    steps: list[dict[str, Any]],
    version: DatasetVersion,
    rows: int,
    *,
    by: Seer,
    seed: int,
    asking: Asking | None = None,
) -> Preview:
    inputs = inputs_read(inputs_of(steps, by), rows=rows)
    lines = IndexedReader(version.rows_path).page(0, rows)
    values = [line.value for line in lines if line.data is not None]
    return preview(
        values,
        steps,
        mapping=mapping_of(version),
        seed=seed,
        inputs=inputs,
        tokenizer=tokenizer_by_default(),
        asking=asking,
    )


def _steps_checked(steps: Any, by: User) -> list[dict[str, Any]]:
    found = steps_checked(steps)
    inputs_of(found, by)
    models_check(found, by)
    return found


def _refuse_taken(project: Project, name: str) -> None:
    if Recipe.objects.filter(project=project, name=name).exists():
        raise Conflict(
            _("%(project)s already has a recipe “%(name)s”. Choose another name.")
            % {"project": project.name, "name": name},
            field="name",
            code="name_taken",
        )
