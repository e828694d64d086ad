"""Recipes and their runs: services, pages, API, and what a killed worker leaves."""

import json
import uuid

import pytest
from django.urls import reverse
from django.utils import translation
from rest_framework.test import APIClient

from common.errors import Conflict, DomainError
from common.phrases import load
from datasets import services
from datasets.models import Dataset, DatasetVersion, Recipe, RecipeRun
from datasets.reading.locks import locked
from datasets.receivers import tell_checks
from datasets.recipes.kinds import KINDS
from tests.datasets import children
from tests.datasets.conftest import GOOD

pytestmark = [pytest.mark.django_db, pytest.mark.once]
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


def _values(version: DatasetVersion) -> list[dict]:
    return [json.loads(line) for line in version.rows_path.read_text("utf-8").splitlines()]


def test_a_new_version_knows_where_it_comes_from(people, make, recipe, execute) -> None:
    dataset = make(ROWS)
    source = dataset.latest
    before = source.rows_path.read_bytes()
    run = execute(recipe(), source, seed=5)
    assert (run.state, run.problem) == ("succeeded", "")
    made = DatasetVersion.objects.get(run=run)
    assert (made.dataset, made.number, made.parent, made.state) == (dataset, 2, source, "ready")
    assert made.rows == 31
    assert _values(made)[-1]["output"] == "at [EMAIL_1] or [EMAIL_1]"
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
    sides = [{json.dumps(row) for row in _values(version)} for version in (train, test)]
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
    assert _values(made)[1] == {"instruction": "q 1", "input": "c", "output": "a 1", "system": ""}
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
    asked = [row["instruction"][:2] for row in _values(made)]
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


def test_versions_are_chosen_in_the_editor(client, people, make) -> None:
    own, other = make(GOOD).latest, make(GOOD, name="other").latest
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    url = reverse("datasets:recipe_create")
    page = client.post(url, {"name": "m", "act": "add:mix"}).content.decode()
    assert f'<option value="{other.pk}">other v1</option>' in page
    sent = {"name": "m", "kind": "mix", "step-1-weight": "1", "act": "save"}
    assert client.post(url, sent).status_code == 422
    sent |= {"step-1-versions": [str(other.pk), ""], "step-1-versions-weight": ["0.5", "1"]}
    assert client.post(url, sent).status_code == 302
    made = Recipe.objects.get()
    assert made.steps[0]["parameters"]["versions"] == [{"version": str(other.pk), "weight": 0.5}]
    change = client.get(reverse("datasets:recipe_update", args=[made.pk])).content.decode()
    assert f'<option value="{other.pk}" selected>other v1</option>' in change
    assert 'value="0.5"' in change
    seen = client.get(
        reverse("datasets:recipe_detail", args=[made.pk]), {"version": str(own.pk)}
    ).content.decode()
    assert "other v1 × 0.5" in seen


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
    assert _values(made)[0]["history"] == [["x", "y"]]
    broken = make([*GOOD, {"instruction": 5}, ["x"]], name="broken").latest
    again = DatasetVersion.objects.get(run=execute(recipe(name="other"), broken))
    assert (again.rows, again.dropped) == (broken.rows, broken.dropped) == (30, 2)


def test_a_part_without_rows_is_a_failure_that_says_so(make, recipe, execute) -> None:
    """Eleven rows of one customer and one of another make two groups, not three parts."""
    source = make([{**GOOD[0], "output": str(n), "customer": n // 11} for n in range(12)]).latest
    shares = {"validation_share": 0.2, "by": "column", "column": "customer"}
    run = execute(recipe([{"kind": "split", "parameters": shares}]), source, name="new")
    assert (run.state, run.outputs.count()) == ("failed", 0)
    assert "“Test”" in run.problem
    with translation.override("zh-hans"):
        assert "“测试”" in RecipeRun.objects.get(pk=run.pk).problem
    assert run.report[0]["parts"] == {"train": 11, "validation": 1}
    steps = [{"kind": "split", "parameters": {**shares, "test_share": 0, "validation_share": 0.5}}]
    run = execute(recipe(steps, name="two"), source, name="two")
    assert run.state == "succeeded"
    assert "has 1 rows where 6 were to be" in load(run.log[-1]["text"])


def test_nothing_left_is_a_failure_that_says_where(make, recipe, execute) -> None:
    dataset = make()
    steps = [{"kind": "mask"}, {"kind": "clean", "parameters": {"min_chars": 5000}}]
    run = execute(recipe(steps), dataset.latest)
    assert run.state == "failed"
    assert "step 2" in run.problem
    assert run.report[1]["dropped"] == {"too_short": 30}
    assert dataset.versions.count() == 1


def test_a_slow_pattern_is_a_failure(make, recipe, execute) -> None:
    dataset = make([{"instruction": "a" * 80 + "!", "output": "b"}])
    slow = recipe([{"kind": "clean", "parameters": {"pattern": r"(a|aa)+$"}}])
    run = execute(slow, dataset.latest)
    assert run.state == "failed"
    assert "row 1" in run.problem


def test_cancelled_before_and_while_it_runs(people, make, recipe, monkeypatch) -> None:
    dataset = make()
    run = services.run_create(recipe().pk, by=people.member, version_id=dataset.latest.pk)
    services.run_cancel(run.pk, by=people.member)
    services.run_execute(run.pk)
    with pytest.raises(Conflict):
        services.run_cancel(run.pk, by=people.member)
    other = services.run_create(
        Recipe.objects.get().pk, by=people.member, version_id=dataset.latest.pk
    )
    # Calls it off in the middle: the first look at the state comes after the first row.
    monkeypatch.setattr(services.running, "REPORTED", 0)
    real = services.running.mapping_of

    def called_off(version):
        services.run_cancel(other.pk, by=people.member)
        return real(version)

    monkeypatch.setattr(services.running, "mapping_of", called_off)
    services.run_execute(other.pk)
    assert {one.state for one in RecipeRun.objects.all()} == {"cancelled"}
    assert dataset.versions.count() == 1
    assert not other.directory.exists()


def test_a_run_that_makes_too_much_is_stopped(people, make, recipe, execute, monkeypatch) -> None:
    """A thousand million rows of sixty: it ends at the project's limit, not at the disk's."""
    monkeypatch.setattr(services.running, "REPORTED", 0.1)
    own, other = make(GOOD), make(GOOD, name="other")
    people.team.max_storage_bytes = 3_000_000
    people.team.save()
    given = {"versions": [str(other.latest.pk)], "rows": 10**9, "repeat": True}
    run = execute(recipe([{"kind": "mix", "parameters": given}]), own.latest)
    assert (run.state, own.versions.count()) == ("failed", 1)
    assert "of 2 MB" in run.problem
    assert not run.directory.exists()


def test_a_run_that_never_ends_is_given_up(people, make, recipe) -> None:
    run = services.run_create(recipe().pk, by=people.member, version_id=make().latest.pk)
    RecipeRun.objects.update(progress={"tries": 5}, state="running")
    services.run_execute(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert "5" in run.problem


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


KILLED = """
import sys
import django
django.setup()
from datasets import services
from datasets.models import RecipeRun
from datasets.recipes import rows
from tests.datasets.children import dies_after

dies_after(int(sys.argv[1]))
services.run_execute(RecipeRun.objects.get().pk)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("steps", [3, 9, 16, 23, 28])
def test_a_killed_worker_leaves_nothing_half_done(people, home, make, recipe, steps) -> None:
    """kill -9 at a step that touches files: the sweep goes on, and all is there once."""
    dataset = make(ROWS)
    parted = recipe([*STEPS, {"kind": "split"}])
    run = services.run_create(parted.pk, by=people.member, version_id=dataset.latest.pk)
    done = children.run(KILLED, str(steps), check=False)
    assert done.returncode == -9, done.stderr
    for _round in range(3):
        services.sweep()
        services.run_execute(run.pk)
        for version in DatasetVersion.objects.filter(state="checking"):
            services.version_check(version.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    versions = list(dataset.versions.all())
    assert sorted(version.lineage.get("part", "") for version in versions) == ["", "test", "train"]
    assert {version.state for version in versions} == {"ready"}
    folders = {path.name for path in versions[0].directory.parent.iterdir()}
    assert folders == {f"v{version.number}" for version in versions}
    assert not list((home / "data" / ".recipes").iterdir())


def test_the_sweep_leaves_a_living_run_alone(people, home, make, recipe) -> None:
    run = services.run_create(recipe().pk, by=people.member, version_id=make().latest.pk)
    services.run_cancel(run.pk, by=people.member)
    run.directory.mkdir(parents=True)
    with locked(run.directory):
        services.sweep()
        assert run.directory.exists()
        assert not services.run_execute(run.pk)
    services.sweep()
    assert not run.directory.exists()


# --- pages -------------------------------------------------------------------------------------


def test_the_editor_adds_moves_removes_and_saves(client, people) -> None:
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    url = reverse("datasets:recipe_create")
    assert "No steps yet" in client.get(url).content.decode()
    page = client.post(url, {"name": "n", "act": "add:clean"})
    assert page.status_code == 200
    sent = {"name": "n", "kind": ["clean", "mask"], "step-1-min_chars": "7"}
    sent |= {
        "step-1-pattern_drops": "matching",
        "step-1-space": "on",
        "step-2-kinds": ["email"],
        "step-2-scope": "row",
    }
    page = client.post(url, sent | {"act": "up:2"}).content.decode()
    assert page.index('value="mask"') < page.index('value="clean"')
    assert 'value="7"' in page
    page = client.post(url, sent | {"act": "remove:1"}).content.decode()
    assert 'name="kind" value="clean"' not in page
    wrong = client.post(url, sent | {"act": "save", "step-1-pattern": "(a"})
    assert wrong.status_code == 422
    assert "no regular expression" in wrong.content.decode()
    assert client.post(url, {"name": "n", "act": "save"}).status_code == 422
    assert client.post(url, sent | {"act": "save"}).status_code == 302
    saved = Recipe.objects.get()
    assert [step["kind"] for step in saved.steps] == ["clean", "mask"]
    assert saved.steps[0]["parameters"]["min_chars"] == 7
    assert saved.steps[0]["parameters"]["encoding"] is False
    change = reverse("datasets:recipe_update", args=[saved.pk])
    assert 'value="7"' in client.get(change).content.decode()
    assert client.post(change, sent | {"act": "save", "name": "m"}).status_code == 302
    saved.refresh_from_db()
    assert saved.name == "m"
    found = client.get(reverse("datasets:recipe_list"), {"q": "M"}, headers={"HX-Request": "true"})
    assert str(saved.pk) in found.content.decode()
    nothing = client.get(reverse("datasets:recipe_list"), {"q": "zzz"}).content.decode()
    assert "Nothing found" in nothing
    assert client.post(reverse("datasets:recipe_delete", args=[saved.pk])).status_code == 302
    assert not Recipe.objects.exists()


def test_the_editor_shows_the_columns_to_convert(client, people, make) -> None:
    version = make([{"frage": "q", "antwortet": "a"}] * 3).latest
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    url = reverse("datasets:recipe_create")
    page = client.post(url, {"act": "add:convert", "version": str(version.pk)}).content.decode()
    assert 'data-copy="{frage}"' in page
    sent = {"name": "c", "kind": "convert", "step-1-shape": "alpaca", "step-1-source": "columns"}
    wrong = client.post(url, {**sent, "step-1-prompt": "{frage", "act": "save"})
    assert wrong.status_code == 422
    assert "A brace stands alone" in wrong.content.decode()
    sent |= {"step-1-prompt": "{frage}", "step-1-response": "{antwortet}"}
    assert client.post(url, {**sent, "act": "save"}).status_code == 302
    made = Recipe.objects.get()
    seen = client.get(
        reverse("datasets:recipe_detail", args=[made.pk]), {"version": str(version.pk)}
    ).content.decode()
    assert "<ins>q</ins>" in seen
    assert "antwortet" in seen


def test_from_the_preview_to_the_lineage_on_pages(client, people, make, recipe, execute) -> None:
    dataset = make(ROWS)
    tidy = recipe()
    client.force_login(people.member)
    url = reverse("datasets:recipe_detail", args=[tidy.pk])
    page = client.get(url, {"version": str(dataset.latest.pk)}).content.decode()
    assert "<ins>[EMAIL_1]</ins>" in page
    assert "Dropped by step 2: said before" in page
    start = reverse("datasets:run_create", args=[tidy.pk])
    refused = client.post(start, {"version": str(dataset.latest.pk), "name": "a/b"})
    assert refused.status_code == 422
    assert client.post(start, {"version": str(uuid.uuid4())}).status_code == 404
    answer = client.post(start, {"version": str(dataset.latest.pk), "seed": "4"})
    run = RecipeRun.objects.get()
    assert answer["Location"] == reverse("datasets:run_detail", args=[run.pk])
    assert "Waits for a worker" in client.get(answer["Location"]).content.decode()
    services.run_execute(run.pk)
    page = client.get(answer["Location"]).content.decode()
    assert "data v2" in page
    assert "every 2s" not in page
    made = DatasetVersion.objects.get(run=run)
    use = reverse("datasets:version_use", args=[dataset.pk, made.pk])
    page = client.get(use).content.decode()
    assert reverse("datasets:run_detail", args=[run.pk]) in page
    assert "data v1" in page
    other = services.run_create(tidy.pk, by=people.member, version_id=made.pk)
    client.post(reverse("datasets:run_cancel", args=[other.pk]))
    other.refresh_from_db()
    assert other.state == "cancelled"


@pytest.mark.parametrize(("kind", "names"), [("augment", True), ("chunk", True), ("mask", False)])
def test_a_step_that_makes_rows_says_which_column_it_adds(client, people, kind, names) -> None:
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    page = client.post(reverse("datasets:recipe_create"), {"name": "n", "act": f"add:{kind}"})
    assert f'value="{kind}"' in page.content.decode()
    assert ("a column origin_id" in page.content.decode()) is names


def test_readers_of_public_data_do_not_learn_its_source(client, make, recipe, execute) -> None:
    source = make().latest
    execute(recipe(), source, name="open")
    public = Dataset.objects.get(name="open")
    Dataset.objects.filter(pk=public.pk).update(is_public=True)
    page = client.get(reverse("datasets:version_use", args=[public.pk, public.latest.pk]))
    assert page.status_code == 200
    assert "tidy" in page.content.decode()
    assert "data v1" not in page.content.decode()
    row = client.get(f"/api/v1/datasets/{public.pk}/versions/{public.latest.pk}/").json()
    assert row["lineage"]["recipe"] == "tidy"
    assert "source" not in row["lineage"]


# --- API ---------------------------------------------------------------------------------------


def test_the_api_does_all_of_it(people, make) -> None:
    dataset = make(ROWS)
    api = APIClient()
    api.force_authenticate(people.member)
    kinds = api.get("/api/v1/recipes/kinds/").json()
    assert [kind["name"] for kind in kinds] == list(KINDS)
    body = {"name": "tidy", "steps": STEPS, "project": str(people.team.pk)}
    made = api.post("/api/v1/recipes/", body, format="json")
    assert made.status_code == 201
    complete = {"mode": "exact", "threshold": 0.8, "against": []}
    assert made.json()["steps"][1]["parameters"] == complete
    assert api.post("/api/v1/recipes/", body, format="json").status_code == 409
    wrong = api.post(
        "/api/v1/recipes/", body | {"name": "x", "steps": [{"kind": "x"}]}, format="json"
    )
    assert (wrong.status_code, wrong.json()["step"]) == (422, 1)
    path = f"/api/v1/recipes/{made.json()['id']}/"
    for odd in ("a\0b", "\ud800"):
        steps = [{"kind": "mask", "parameters": {"rules": odd}}]
        sent = json.dumps({"steps": steps})
        assert "steps" in api.patch(path, sent, content_type="application/json").json()
    assert api.patch(path, {"remark": "r"}, format="json").json()["remark"] == "r"
    seen = api.get(f"{path}preview/", {"version": str(dataset.latest.pk)}).json()
    assert seen["rows"][30]["dropped_by"] == 2
    assert seen["rows"][31]["texts"][-1]["after"] == "at [EMAIL_1] or [EMAIL_1]"
    assert api.get(f"{path}preview/").status_code == 422
    started = api.post(f"{path}run/", {"version": str(dataset.latest.pk)}, format="json")
    assert started.status_code == 202
    run = f"/api/v1/recipe-runs/{started.json()['id']}/"
    services.run_execute(uuid.UUID(started.json()["id"]))
    ended = api.get(run).json()
    assert (ended["state"], len(ended["outputs"])) == ("succeeded", 1)
    assert api.post(f"{run}cancel/").status_code == 409
    found = api.get("/api/v1/recipe-runs/", {"state": "succeeded", "recipe": made.json()["id"]})
    assert found.json()["count"] == 1
    assert api.get("/api/v1/recipes/", {"search": "TID"}).json()["count"] == 1
    assert api.delete(path).status_code == 204
    assert api.get(run).json()["recipe_name"] == "tidy"


def test_the_admin(client, people) -> None:
    client.force_login(people.operator)
    add = reverse("admin:datasets_recipe_add")
    fields = {"project": str(people.team.pk), "name": "by admin", "remark": ""}
    client.post(add, fields | {"steps": '[{"kind": "nonsense"}]'})
    assert not Recipe.objects.exists()
    assert client.post(add, fields | {"steps": '[{"kind": "mask"}]'}).status_code == 302
    made = Recipe.objects.get()
    assert len(made.steps[0]["parameters"]["kinds"]) == 6
    change = reverse("admin:datasets_recipe_change", args=[made.pk])
    changed = {"name": "other", "remark": "", "steps": '[{"kind": "clean"}]'}
    assert client.post(change, changed).status_code == 302
    delete = reverse("admin:datasets_recipe_delete", args=[made.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 302
    assert not Recipe.objects.exists()


def test_a_blank_name_is_refused_like_other_names(people, recipe) -> None:
    api = APIClient()
    api.force_authenticate(people.member)
    kept = recipe()
    for name in ("", "  ", "a/b"):
        made = api.post("/api/v1/recipes/", {"name": name, "steps": []}, format="json")
        changed = api.patch(f"/api/v1/recipes/{kept.pk}/", {"name": name}, format="json")
        for answer in (made, changed):
            assert (answer.status_code, answer.json()["field"]) == (422, "name")
