"""The REST endpoints: shapes, filters, refusals and who may what."""

import uuid

import pytest
from rest_framework.test import APIClient

from registry import services
from registry.models import Evaluation, Model, ModelVersion
from tests.registry.parts import base_model, publish, weights


@pytest.fixture
def api(people):
    """A client of somebody's."""

    def of(name):
        client = APIClient()
        client.force_authenticate(getattr(people, name))
        return client

    return of


def names(answer):
    return {row["name"] for row in answer.json()["results"]}


def test_versions_are_listed_and_filtered(api, people, evaluated):
    publish(people, name="merged", path="output/m", kind="merged", base=evaluated.version)
    base_model("off", enabled=False, path="models/off")
    url = "/api/v1/model-versions/"
    assert names(api("viewer").get(url)) == {"base", "helper v1", "merged v1"}
    assert names(api("viewer").get(url, {"kind": "base", "source": "local"})) == {"base"}
    assert names(api("viewer").get(url, {"base": evaluated.version.pk})) == {"merged v1"}
    assert names(api("viewer").get(url, {"search": "help"})) == {"helper v1"}
    assert names(api("operator").get(url, {"usable_in": people.team.pk})) == {
        "base",
        "helper v1",
        "merged v1",
    }
    assert api("viewer").get(url, {"kind": "nonsense"}).status_code == 400
    assert names(api("stranger").get(url)) == {"base"}
    assert APIClient().get(url).status_code == 401


def test_a_version_tells_what_it_is(api, evaluated):
    row = api("viewer").get(f"/api/v1/model-versions/{evaluated.version.pk}/").json()
    assert row["model"]["name"] == "helper"
    assert row["base"]["name"] == "base"
    assert row["parameters"] == 10
    assert row["evaluations"][0]["scores"]["exact_match"] == 75
    files = api("viewer").get(f"/api/v1/model-versions/{evaluated.version.pk}/files/").json()
    assert "model.safetensors" in {one["name"] for one in files}
    answer = api("viewer").get(f"/api/v1/model-versions/{evaluated.version.pk}/download/")
    assert answer["Content-Type"] == "application/zip"
    base = f"/api/v1/model-versions/{evaluated.base_version.pk}/"
    assert api("stranger").get(base).json()["evaluations"] == []


def test_models_are_changed_by_researchers(api, people):
    version = publish(people)
    publish(people, name="taken", path="output/two")
    url = f"/api/v1/models/{version.model_id}/"
    assert api("viewer").get(url).json()["versions"][0]["name"] == "helper v1"
    assert api("viewer").patch(url, {"name": "x"}).status_code == 404
    assert api("stranger").get(url).status_code == 404
    answer = api("member").patch(url, {"name": "taken"})
    assert answer.status_code == 422
    assert answer.json()["field"] == "name"
    assert answer.json()["code"] == "name_taken"
    assert api("member").patch(url, {"remark": "why"}).json()["remark"] == "why"
    assert api("member").put(url, {"name": "x"}).status_code == 405
    assert api("member").delete(url).status_code == 204
    assert not Model.objects.filter(pk=version.model_id).exists()


def test_a_used_version_is_not_deleted(api, people):
    version = publish(people)
    publish(people, name="child", path="output/child", base=version)
    answer = api("member").delete(f"/api/v1/model-versions/{version.pk}/")
    assert answer.status_code == 409
    assert "child" in answer.json()["detail"]
    assert answer.json()["users"]
    assert api("viewer").delete(f"/api/v1/model-versions/{version.pk}/").status_code == 404
    assert ModelVersion.objects.count() == 2


def test_base_models_are_the_operators(api, people, engine):
    services.catalogue_import()
    url = "/api/v1/base-models/"
    assert api("member").get(url).json()["count"] == 0
    found = api("operator").get(url, {"search": "tiny-1b", "is_enabled": "false"}).json()
    assert found["count"] == 2
    one = f"{url}{found['results'][0]['id']}/"
    assert api("member").patch(one, {"is_enabled": True}).status_code == 403
    assert api("member").post(url, {"name": "x", "hf_id": "a/b"}).status_code == 403
    answer = api("operator").patch(one, {"is_enabled": True, "template": "qwen3"})
    assert answer.json()["version"]["template"] == "qwen3"
    assert api("member").get(url).json()["count"] == 1
    assert api("operator").patch(one, {"template": "unheard-of"}).json()["field"] == "template"
    answer = api("operator").post(url, {"name": "Mine", "hf_id": "lab/mine"})
    assert answer.status_code == 201
    assert api("operator").post(url, {"name": "P", "hf_id": "/etc/x"}).status_code == 422
    assert api("member").get(f"{url}templates/").json() == ["chatml", "default", "qwen3"]
    assert api("member").delete(f"{url}{answer.json()['id']}/").status_code == 403
    assert api("operator").delete(f"{url}{answer.json()['id']}/").status_code == 204


def test_folders_are_imported_by_operators(api, engine, home):
    weights(home / "models" / "import" / "tiny")
    url = "/api/v1/base-models/"
    assert api("member").get(f"{url}import-folders/").status_code == 403
    assert api("operator").get(f"{url}import-folders/").json()[0]["name"] == "tiny"
    body = {"folder": "../import/tiny", "name": "Tiny"}
    assert api("operator").post(f"{url}import/", body).json()["field"] == "folder"
    assert api("member").post(f"{url}import/", body | {"folder": "tiny"}).status_code == 403
    answer = api("operator").post(f"{url}import/", body | {"folder": "tiny"})
    assert answer.status_code == 201
    assert answer.json()["parameters"] == 10


def test_evaluations_with_their_rows(api, evaluated):
    url = "/api/v1/evaluations/"
    found = api("viewer").get(url, {"model": evaluated.version.model_id}).json()
    assert found["count"] == 1
    row = found["results"][0]
    assert row["baseline"]["scores"]["exact_match"] == 25
    assert row["details"]["tokenize"] == "13a"
    assert api("stranger").get(url).json()["count"] == 0
    one = f"{url}{evaluated.tuned.pk}/"
    rows = api("viewer").get(f"{one}rows/", {"sort": "rougeL", "page_size": 1}).json()
    assert rows["count"] == 4
    assert rows["results"][0]["index"] == 3
    assert rows["results"][0]["baseline_prediction"] == "something else"
    assert api("viewer").get(f"{one}rows/", {"differing": "true"}).json()["count"] == 2
    assert api("viewer").get(f"{one}download/").status_code == 200
    assert api("viewer").get(f"{one}download/", {"as": "csv"}).status_code == 200
    assert api("viewer").post(f"{one}rescore/").status_code == 404
    assert api("member").post(f"{one}rescore/").json()["scores"]["exact_match"] == 75
    assert api("stranger").get(f"{one}rows/").status_code == 404
    assert api("viewer").delete(one).status_code == 404
    assert api("member").delete(one).status_code == 204
    assert not Evaluation.objects.filter(pk=evaluated.tuned.pk).exists()
    assert api("member").get(f"{url}{uuid.uuid4()}/").status_code == 404
