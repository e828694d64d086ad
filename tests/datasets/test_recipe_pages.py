"""Recipes and their runs on pages, over the API and in the administration."""

import json
import re
import uuid

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services
from datasets.models import Dataset, DatasetVersion, Recipe, RecipeRun
from datasets.recipes.kinds import KINDS
from tests.datasets.conftest import GOOD
from tests.datasets.recipes_run import ROWS, STEPS, execute, recipe

__all__ = ["execute", "recipe"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


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


def test_a_step_with_a_field_called_number_is_numbered_like_others(client, people, recipe) -> None:
    client.force_login(people.member)
    steps = [{"kind": "clean"}, {"kind": "sample", "parameters": {"by": "number", "number": 50}}]
    url = reverse("datasets:recipe_update", args=[recipe(steps).pk])
    page = client.get(url).content.decode()
    assert "2. Sample</h2>" in page
    assert "autofocus" not in page
    assert page.count('name="step-2-number"') == 1
    assert 'value="remove:2"' in page


@pytest.mark.parametrize(
    ("act", "label"),
    [("add:sample", "step-4"), ("remove:3", "step-2"), ("up:3", "step-2"), ("columns", "")],
)
def test_the_reader_goes_on_at_the_step_that_was_moved(client, people, act, label) -> None:
    client.force_login(people.member)
    sent = {"name": "n", "kind": ["deduplicate", "split", "mask"], "act": act}
    page = client.post(reverse("datasets:recipe_create"), sent).content.decode()
    at = re.findall(r'aria-labelledby="([^"]+)" tabindex="-1" autofocus', page)
    assert at == ([label] if label else [])


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
    assert f'<td class="num">{made.rows}</td>' in page
    assert "Look at the rows" in page
    assert f"?before={dataset.latest.parent_id}&amp;after={made.pk}" in page
    DatasetVersion.objects.update(state="checking")
    page = client.get(answer["Location"]).content.decode()
    assert "every 2s" in page
    assert '<td class="num">–</td>' in page
    assert "Look at the rows" not in page
    DatasetVersion.objects.update(state="ready")
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
