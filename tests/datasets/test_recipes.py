"""What runs of recipes make, and of what."""

import json
import uuid

import pytest
from django.urls import reverse

from common.errors import Conflict, DomainError
from datasets import services
from datasets.models import Dataset, DatasetVersion, Recipe, RecipeRun
from datasets.receivers import tell_checks
from tests.datasets.conftest import GOOD
from tests.datasets.recipes_run import ROWS, execute, recipe, values_of

__all__ = ["execute", "recipe"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


def test_a_new_version_knows_where_it_comes_from(people, make, recipe, execute) -> None:
    dataset = make(ROWS)
    source = dataset.latest
    before = source.rows_path.read_bytes()
    run = execute(recipe(), source, seed=5)
    assert (run.state, run.problem) == ("succeeded", "")
    made = DatasetVersion.objects.get(run=run)
    assert (made.dataset, made.number, made.parent, made.state) == (dataset, 2, source, "ready")
    assert made.rows == 31
    assert values_of(made)[-1]["output"] == "at [EMAIL_1] or [EMAIL_1]"
    assert made.original.read_bytes() == made.rows_path.read_bytes()
    lineage = made.lineage
    assert (lineage["recipe"], lineage["seed"], lineage["source"]) == ("tidy", 5, "data v1")
    assert lineage["report"][1]["dropped"] == {"duplicate": 1}
    assert lineage["report"][2]["found"] == {"email": 2}
    assert source.rows_path.read_bytes() == before
    assert not run.directory.exists()
    assert services.run_execute(run.pk)  # again: nothing happens
    assert dataset.versions.count() == 2
    services.sweep()
    assert made.train_path.exists()
    assert {path.name for path in made.directory.iterdir()} == {
        ".lock", "original", "rows.jsonl", "rows.idx", made.check_name,
    }  # fmt: skip


def test_a_split_makes_two_datasets_that_share_no_row(make, recipe, execute) -> None:
    source = make(GOOD * 3).latest
    run = execute(
        recipe([{"kind": "split", "parameters": {"test_share": 0.3}}]), source, name="new"
    )
    train, test = (Dataset.objects.get(name=f"new {part}").latest for part in ("train", "test"))
    assert (train.lineage["part"], test.lineage["part"]) == ("train", "test")
    assert (train.rows, test.rows) == (63, 27)
    sides = [{json.dumps(row) for row in values_of(version)} for version in (train, test)]
    assert not sides[0] & sides[1]
    assert {run.outputs.count(), train.parent_id == source.pk} == {2, True}


def test_columns_that_nobody_has_named_are_converted(people, make, recipe, execute) -> None:
    """A file that no shape fits becomes alpaca; other steps wait for its columns to be named."""
    rows = [{"frage": f"q {n}", "dazu": "c", "erwiderung": f"a {n}"} for n in range(5)]
    source = make(rows).latest
    assert source.state == "mapping"
    given = {"prompt": "{frage}", "query": "{dazu}", "response": "{erwiderung}"}
    run = execute(recipe([{"kind": "convert", "parameters": given}]), source)
    made = DatasetVersion.objects.get(run=run)
    assert (made.state, made.shape, made.rows) == ("ready", "alpaca", 5)
    assert made.columns["prompt"] == "instruction"
    assert sorted(made.file_columns) == ["input", "instruction", "output", "system"]
    assert values_of(made)[1] == {"instruction": "q 1", "input": "c", "output": "a 1", "system": ""}
    with pytest.raises(Conflict):
        services.run_create(recipe(name="other").pk, by=people.member, version_id=source.pk)


def test_three_parts_and_a_conversion_into_messages(make, recipe, execute) -> None:
    source = make(GOOD).latest
    steps = [
        {"kind": "convert", "parameters": {"shape": "openai", "source": "turns"}},
        {"kind": "split", "parameters": {"validation_share": 0.2, "by": "question"}},
    ]
    execute(recipe(steps), source, name="new")
    parts = {
        part: Dataset.objects.get(name=f"new {part}").latest
        for part in ("train", "validation", "test")
    }
    assert {part: version.rows for part, version in parts.items()} == {
        "train": 21, "validation": 6, "test": 3,
    }  # fmt: skip
    assert {(one.shape, one.state) for one in parts.values()} == {("openai", "ready")}
    assert parts["validation"].lineage["part"] == "validation"


def _mixing(*versions: DatasetVersion) -> list[dict]:
    named = [{"version": str(version.pk), "weight": 1} for version in versions]
    against = {"mode": "exact", "against": named[-1:]}
    return [
        {"kind": "deduplicate", "parameters": against},
        {"kind": "mix", "parameters": {"versions": named[:1]}},
    ]


def test_a_mix_names_all_that_it_was_made_of(people, make, recipe, execute) -> None:
    """Two datasets by weight, without what stands in a third."""
    own = make(GOOD).latest
    other = make([{"instruction": f"o {n}", "output": "x"} for n in range(50)], name="other").latest
    third = make(GOOD[:10], name="third").latest
    run = execute(recipe(_mixing(other, third)), own, name="mixed", seed=3)
    made = DatasetVersion.objects.get(run=run)
    asked = [row["instruction"][:2] for row in values_of(made)]
    assert (made.state, asked.count("qu"), asked.count("o ")) == ("ready", 20, 20)
    assert (made.parent, set(run.inputs.all())) == (own, {other, third})
    assert {one["name"] for one in made.lineage["inputs"]} == {"other v1", "third v1"}
    assert run.report[0]["dropped"] == {"elsewhere": 10}
    assert len(run.report[0]["examples"]) == 10
    assert made.lineage["report"][0]["examples"] == []


def test_further_versions_must_be_seen_and_stay(client, people, make, recipe, execute) -> None:
    own = make(GOOD).latest
    other = make(GOOD, name="other").latest
    hidden = make(
        GOOD, name="hidden", project=people.stranger.personal_project, created_by=people.stranger
    ).latest
    for version_id in (hidden.pk, uuid.uuid4()):
        with pytest.raises(DomainError) as refused:
            recipe([{"kind": "mix", "parameters": {"versions": [str(version_id)]}}])
        assert (refused.value.data["step"], refused.value.data["parameter"]) == (1, "versions")
    mixed = recipe([{"kind": "mix", "parameters": {"versions": [str(other.pk)]}}])
    run = services.run_create(mixed.pk, by=people.member, version_id=own.pk)
    with pytest.raises(Conflict):
        services.dataset_delete(other.dataset_id, by=people.owner)
    services.run_cancel(run.pk, by=people.member)
    # Somebody who may run the recipe, and may not see what it mixes in.
    Dataset.objects.filter(pk=other.dataset_id).update(project=people.stranger.personal_project)
    with pytest.raises(DomainError):
        services.run_create(mixed.pk, by=people.member, version_id=own.pk)
    client.force_login(people.member)
    page = client.get(
        reverse("datasets:recipe_detail", args=[mixed.pk]), {"version": str(own.pk)}
    ).content.decode()
    assert "a version that you do not see" in page
    assert "not yours to see" in page
    assert "other v1" not in page


def test_the_same_seed_makes_the_same_rows(make, recipe, execute) -> None:
    source = make().latest
    drawn = recipe([{"kind": "sample", "parameters": {"by": "number", "number": 7}}])
    made = [DatasetVersion.objects.get(run=execute(drawn, source, seed=seed)) for seed in (3, 3, 4)]
    assert made[0].sha256 == made[1].sha256 != made[2].sha256
    assert made[0].rows == 7


def test_csv_and_rows_that_cannot_be_read(make, recipe, execute) -> None:
    """Cells become what they hold; rows that the engine would drop go on as they are."""
    data = b'prompt,response,history\nq a@b.org,a,"[[""x"",""y""]]"\nq2,b,\n'
    columns = {"prompt": "prompt", "response": "response", "history": "history"}
    wish = services.Wish("alpaca", columns)
    source = make(data, filename="a.csv", wish=wish).latest
    made = DatasetVersion.objects.get(run=execute(recipe([{"kind": "mask"}]), source))
    assert (made.state, made.rows, made.shape) == ("ready", 2, "alpaca")
    assert values_of(made)[0]["history"] == [["x", "y"]]
    broken = make([*GOOD, {"instruction": 5}, ["x"]], name="broken").latest
    again = DatasetVersion.objects.get(run=execute(recipe(name="other"), broken))
    assert (again.rows, again.dropped) == (broken.rows, broken.dropped) == (30, 2)


def test_what_is_refused(people, make, recipe) -> None:
    dataset = make()
    tidy = recipe()
    for by in (people.viewer, people.stranger):
        with pytest.raises(Recipe.DoesNotExist):
            services.run_create(tidy.pk, by=by, version_id=dataset.latest.pk)
    with pytest.raises(Conflict):
        services.run_create(tidy.pk, by=people.member, version_id=dataset.latest.pk, name="data")
    Dataset.objects.update(is_public=True)
    with pytest.raises(DomainError) as refused:  # public data is changed by operators only
        services.run_create(tidy.pk, by=people.member, version_id=dataset.latest.pk)
    assert refused.value.field == "name"
    DatasetVersion.objects.update(state="mapping")
    with pytest.raises(Conflict):
        services.run_create(tidy.pk, by=people.member, version_id=dataset.latest.pk, name="x")
    with pytest.raises(Conflict):
        recipe()


def test_data_in_use_stays(people, make, recipe) -> None:
    """While a run waits, its source cannot be deleted, nor the project; afterwards both can."""
    dataset = make()
    run = services.run_create(recipe().pk, by=people.member, version_id=dataset.latest.pk)
    with pytest.raises(Conflict):
        services.dataset_delete(dataset.pk, by=people.owner)
    assert any("tidy" in line for line in tell_checks(None, project=people.team))
    services.run_cancel(run.pk, by=people.owner)
    services.dataset_delete(dataset.pk, by=people.owner)
    run.refresh_from_db()
    assert (run.source, run.source_name) == (None, "data v1")
    services.project_empty(people.team, until=float("inf"))
    assert not RecipeRun.objects.exists()
    assert not Recipe.objects.exists()
