"""Recipes of a team, and their runs."""

import json

import pytest

from datasets import services
from datasets.models import DatasetVersion, Recipe, RecipeRun
from tests.datasets.conftest import GOOD

ROWS = [
    *GOOD,
    GOOD[0],
    {"instruction": "mail me", "input": "", "output": "at a@b.org or a@b.org"},
]
STEPS = [
    {"kind": "clean"},
    {"kind": "deduplicate", "parameters": {"mode": "exact"}},
    {"kind": "mask"},
]


@pytest.fixture
def recipe(people):
    """Makes a recipe of the team."""

    def build(steps=STEPS, name="tidy") -> Recipe:
        return services.recipe_create(
            project=people.team, created_by=people.member, name=name, steps=steps
        )

    return build


@pytest.fixture
def execute(people, django_capture_on_commit_callbacks):
    """Runs a recipe on a version to its end."""

    def go(recipe: Recipe, version: DatasetVersion, **fields) -> RecipeRun:
        with django_capture_on_commit_callbacks(execute=True):
            run = services.run_create(recipe.pk, by=people.member, version_id=version.pk, **fields)
            assert services.run_execute(run.pk)
        run.refresh_from_db()
        return run

    return go


def values_of(version: DatasetVersion) -> list[dict]:
    return [json.loads(line) for line in version.rows_path.read_text("utf-8").splitlines()]
