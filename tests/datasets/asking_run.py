"""Runs of recipes that ask models of a simulated server."""

import json
from decimal import Decimal

import pytest

from datasets import services
from datasets.generation.asking import UNLIMITED
from datasets.models import DatasetVersion, Provider, RecipeRun
from tests.datasets.model_server import KEY


def texts(number: int) -> list[dict]:
    return [{"text": f"This is chunk {n}. It tells of many things."} for n in range(number)]


@pytest.fixture
def provider(people):
    """Makes a provider of the team for a server."""

    def build(server, **given) -> Provider:
        usual = {
            "models": ["m"],
            "price_in": Decimal(10),
            "price_out": Decimal(20),
            "requests_per_minute": 60_000,
            "parallel": 6,
            "timeout": 5,
            "allows_private": True,
        }
        return services.provider_create(
            project=people.team,
            created_by=people.operator,
            name="sim",
            base_url=server.url,
            key=KEY,
            **{**usual, **given},
        )

    return build


@pytest.fixture
def start(people):
    """Saves steps as a recipe and asks for a run on a version."""

    def go(provider, version, steps, limits=UNLIMITED, source="") -> RecipeRun:
        source = source or f"provider/{provider.pk}/m"
        for step in steps:
            if step["kind"] in {"generate", "rewrite", "judge"}:
                step["parameters"] = {"model": source, **step.get("parameters", {})}
        recipe = services.recipe_create(
            project=people.team, created_by=people.member, name="ask", steps=steps
        )
        return services.run_create(
            recipe.pk, by=people.member, version_id=version.pk, name="made", limits=limits
        )

    return go


def ended(run: RecipeRun) -> RecipeRun:
    services.run_execute(run.pk)
    run.refresh_from_db()
    return run


def rows_of(run: RecipeRun) -> list[dict]:
    made = DatasetVersion.objects.get(run=run)
    return [json.loads(line) for line in made.rows_path.read_text("utf-8").splitlines()]
