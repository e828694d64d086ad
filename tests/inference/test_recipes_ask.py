"""Recipes that ask a model in service here, over its real socket."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from common.errors import DomainError
from datasets import services as datasets
from datasets.models import DatasetVersion, RecipeRun
from inference.models import Deployment
from tests.inference.parts import make_deployment, simulated_engine

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = [{"text": f"Text {number} about doors."} for number in range(5)]
ANSWER = json.dumps([{"question": "What opens?", "answer": "A door."}])


@pytest.fixture
def deployment(people) -> Deployment:
    return make_deployment(people.team, people.developer)


@pytest.fixture
def version(people) -> DatasetVersion:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    dataset = datasets.dataset_create(
        project=people.team,
        created_by=people.owner,
        name="texts",
        upload=SimpleUploadedFile("rows.jsonl", lines.encode()),
    )
    version = dataset.versions.get()
    datasets.version_check(version.pk)
    version.refresh_from_db()
    return version


def recipe(people, deployment, name="ask"):
    steps = [{"kind": "generate", "parameters": {"model": f"deployment/{deployment.pk}"}}]
    return datasets.recipe_create(
        project=people.team, created_by=people.member, name=name, steps=steps
    )


def test_a_deployment_makes_rows_for_nothing(people, deployment, version) -> None:
    with simulated_engine(deployment) as engine:
        engine.words = [ANSWER[:20], ANSWER[20:]]
        asked = recipe(people, deployment)
        run = datasets.run_create(asked.pk, by=people.member, version_id=version.pk, name="made")
        Deployment.objects.update(last_used_at=None)
        datasets.run_execute(run.pk)
        run.refresh_from_db()
        assert (run.state, run.problem) == ("succeeded", "")
        assert len(engine.requests) == 5
        assert {request["model"] for request in engine.requests} == {deployment.name}
    made = DatasetVersion.objects.get(run=run)
    assert made.rows == 5
    assert (run.spent["answers"], run.spent["tokens_in"], run.cost) == (5, 25, None)
    deployment.refresh_from_db()
    assert deployment.last_used_at is not None  # it is not unloaded while it is asked


def test_who_may_not_chat_with_it_may_not_ask_it(people, deployment, version) -> None:
    names = dict(datasets.models_offered(people.member, people.team))
    assert names[f"deployment/{deployment.pk}"] == deployment.name
    assert not datasets.models_offered(people.stranger, people.team)
    assert datasets.model_names([f"deployment/{deployment.pk}"], people.viewer) == {}
    asked = recipe(people, deployment)
    run = datasets.run_create(asked.pk, by=people.member, version_id=version.pk, name="made")
    RecipeRun.objects.filter(pk=run.pk).update(created_by=people.stranger)
    datasets.run_execute(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert "not yours to ask" in run.problem


def test_a_stopped_deployment_ends_the_run_which_goes_on_later(people, deployment, version) -> None:
    with simulated_engine(deployment) as engine:
        engine.words = [ANSWER]
        asked = recipe(people, deployment)
        run = datasets.run_create(asked.pk, by=people.member, version_id=version.pk, name="made")
        Deployment.objects.filter(pk=deployment.pk).update(state="stopping")
        datasets.run_execute(run.pk)
        run.refresh_from_db()
        assert run.state == "failed"
        assert "Deploy it again" in run.problem
        assert not engine.requests
        Deployment.objects.filter(pk=deployment.pk).update(state="ready")
        datasets.run_resume(run.pk, by=people.member)
        datasets.run_execute(run.pk)
        run.refresh_from_db()
        assert (run.state, run.problem) == ("succeeded", "")
    with pytest.raises(DomainError):
        Deployment.objects.filter(pk=deployment.pk).update(state="stopped")
        datasets.run_create(asked.pk, by=people.member, version_id=version.pk, name="more")
