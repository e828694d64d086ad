"""Pages of models, the catalogue and evaluations, as different people see them."""

import asyncio
import io
import json
import zipfile

import pytest
from django.urls import reverse

from registry import services
from registry.models import Evaluation, Model, ModelVersion
from tests.registry.parts import base_model, publish, weights


@pytest.fixture
def at(client, people):
    """Logs somebody in and chooses the team."""

    def log_in(name):
        client.force_login(getattr(people, name))
        session = client.session
        session["project"] = str(people.team.pk)
        session.save()
        return client

    return log_in


def body(response):
    """A streamed answer as bytes."""

    async def whole():
        return b"".join([part async for part in response.streaming_content])

    return asyncio.run(whole())


def test_lists_show_own_and_base_models(at, people):
    publish(people, name="helper")
    base_model("fundament")
    base_model("hidden-one", enabled=False, path="models/hidden")
    page = at("viewer").get(reverse("registry:model_list")).content.decode()
    assert "helper" in page
    assert "fundament" not in page
    page = at("viewer").get(reverse("registry:model_list") + "?tab=base").content.decode()
    assert "fundament" in page
    assert "hidden-one" not in page


def test_lists_are_searched_and_filtered(at, people):
    publish(people, name="alpha")
    publish(people, name="beta", path="output/two", kind="merged")
    url = reverse("registry:model_list")
    page = at("viewer").get(url, {"q": "ALPH"}).content.decode()
    assert "alpha" in page
    assert "beta" not in page
    page = at("viewer").get(url, {"kind": "merged", "sort": "-size"}).content.decode()
    assert "beta" in page
    assert "alpha" not in page
    assert "No model fits" in at("viewer").get(url, {"q": "zzz"}).content.decode()
    part = at("viewer").get(url, {"q": "alpha"}, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "alpha" in part


def test_empty_lists_say_what_to_do(at):
    assert "No models yet" in at("member").get(reverse("registry:model_list")).content.decode()
    page = at("member").get(reverse("registry:model_list") + "?tab=base").content.decode()
    assert "No base model is enabled yet" in page
    page = at("member").get(reverse("registry:evaluation_list")).content.decode()
    assert "Nothing was evaluated yet" in page
    page = at("operator").get(reverse("registry:catalogue")).content.decode()
    assert "catalogue is empty" in page


def test_a_model_shows_how_it_stands(at, evaluated):
    url = reverse("registry:model_detail", args=[evaluated.version.model_id])
    page = at("viewer").get(url).content.decode()
    assert "Is it better?" in page
    assert "helpdesk v1" in page
    assert "better than base" in page
    assert "delete-model" not in page
    assert "delete-model" in at("member").get(url).content.decode()


def test_a_version_shows_files_origin_and_parity(at, people, evaluated):
    parity = {"equal": 3, "prompts": 4, "max_logit_difference": 0.001, "answers": []}
    merged = publish(
        people, path="output/m", kind="merged", base=evaluated.version, facts={"parity": parity}
    )
    page = at("viewer").get(reverse("registry:version_detail", args=[merged.pk])).content.decode()
    assert "3 of 4 checks" in page
    assert "model.safetensors" in page
    url = reverse("registry:version_detail", args=[evaluated.version.pk])
    page = at("viewer").get(url).content.decode()
    assert str(evaluated.tuned.pk) in page
    assert "helper v2" in page


@pytest.mark.parametrize(
    ("who", "status"), [("owner", 200), ("member", 200), ("developer", 404), ("viewer", 404)]
)
def test_who_may_edit(at, people, who, status):
    version = publish(people)
    url = reverse("registry:model_edit", args=[version.model_id])
    assert at(who).get(url).status_code == status


def test_editing_and_its_refusal(at, people):
    version = publish(people)
    publish(people, name="taken", path="output/two")
    url = reverse("registry:model_edit", args=[version.model_id])
    answer = at("member").post(url, {"name": "taken", "remark": ""})
    assert answer.status_code == 422
    assert "already a model" in answer.content.decode()
    assert at("member").post(url, {"name": "", "remark": ""}).status_code == 422
    answer = at("member").post(url, {"name": "new", "remark": "a"})
    assert answer.status_code == 302
    assert Model.objects.filter(name="new").exists()


def test_strangers_find_nothing(at, people, evaluated, client):
    client.force_login(people.stranger)
    version, evaluation = evaluated.version, evaluated.tuned
    for name, pk in (
        ("model_detail", version.model_id),
        ("version_detail", version.pk),
        ("version_download", version.pk),
        ("evaluation_detail", evaluation.pk),
        ("evaluation_download", evaluation.pk),
        ("model_edit", version.model_id),
        ("catalogue", None),
        ("model_import", None),
        ("base_model_add", None),
    ):
        url = reverse(f"registry:{name}", args=[pk] if pk else [])
        assert client.get(url).status_code == 404, name
    for name, pk in (
        ("model_delete", version.model_id),
        ("version_delete", version.pk),
        ("evaluation_delete", evaluation.pk),
        ("evaluation_rescore", evaluation.pk),
        ("base_model_switch", evaluated.base_version.model_id),
    ):
        url = reverse(f"registry:{name}", args=[pk])
        assert client.post(url).status_code == 404, name
        assert client.get(url).status_code in {404, 405}, name
    assert "helper" not in client.get(reverse("registry:evaluation_list")).content.decode()
    # The enabled base model is everybody's; what others measured of it is not.
    url = reverse("registry:version_detail", args=[evaluated.base_version.pk])
    page = client.get(url)
    assert page.status_code == 200
    assert str(evaluated.base.pk) not in page.content.decode()


def test_viewers_change_nothing(at, people, evaluated):
    for name, pk in (
        ("model_delete", evaluated.version.model_id),
        ("version_delete", evaluated.version.pk),
        ("evaluation_delete", evaluated.tuned.pk),
        ("evaluation_rescore", evaluated.tuned.pk),
    ):
        assert at("viewer").post(reverse(f"registry:{name}", args=[pk])).status_code == 404
    assert ModelVersion.objects.count() == 2
    assert Evaluation.objects.count() == 2


def test_deleting_over_pages(at, people, evaluated):
    url = reverse("registry:version_delete", args=[evaluated.version.pk])
    publish(people, name="child", path="output/child", base=evaluated.version)
    answer = at("member").post(url, follow=True)
    assert "child" in answer.content.decode()
    assert ModelVersion.objects.filter(pk=evaluated.version.pk).exists()
    child = ModelVersion.objects.get(model__name="child")
    at("member").post(reverse("registry:model_delete", args=[child.model_id]))
    answer = at("member").post(url, follow=True)
    assert not ModelVersion.objects.filter(pk=evaluated.version.pk).exists()
    assert "is deleted" in answer.content.decode()


def test_a_version_is_downloaded_as_one_archive(at, people):
    version = publish(people)
    answer = at("viewer").get(reverse("registry:version_download", args=[version.pk]))
    whole = body(answer)
    assert len(whole) == int(answer["Content-Length"])
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert "helper-v1/model.safetensors" in archive.namelist()


def test_a_hub_model_has_no_archive(at, db):
    version = base_model(path="", hf_id="lab/tiny")
    answer = at("viewer").get(reverse("registry:version_download", args=[version.pk]), follow=True)
    assert "only on its hub" in answer.content.decode()


def test_an_evaluation_shows_scores_and_rows(at, evaluated):
    url = reverse("registry:evaluation_detail", args=[evaluated.tuned.pk])
    page = at("viewer").get(url).content.decode()
    assert "open at eight" in page
    assert "something else" in page
    assert "better" in page
    part = at("viewer").get(
        url, {"sort": "rougeL", "differing": "on"}, headers={"HX-Request": "true"}
    )
    text = part.content.decode()
    assert "<html" not in text
    assert "ask the front desk" in text
    assert "press the button" not in text
    assert "No answer fits" in at("viewer").get(url, {"q": "zzz"}).content.decode()
    evaluated.tuned.predictions.unlink()
    assert "answers are gone" in at("viewer").get(url).content.decode()


def test_evaluations_are_filtered(at, evaluated):
    url = reverse("registry:evaluation_list")
    page = at("viewer").get(url, {"model": evaluated.version.model_id}).content.decode()
    assert str(evaluated.tuned.pk) in page
    assert str(evaluated.base.pk) not in page
    assert "No evaluation fits" in at("viewer").get(url, {"q": "zzz"}).content.decode()


def test_evaluations_side_by_side(at, evaluated):
    url = reverse("registry:evaluation_compare")
    ids = [evaluated.base.pk, evaluated.tuned.pk]
    page = at("viewer").get(url, {"id": ids}).content.decode()
    assert "ROUGE-L" in page
    page = at("viewer").get(url, {"id": ["nonsense", ids[0]]}).content.decode()
    assert "at least two" in page
    assert at("viewer").get(url).status_code == 200


def test_answers_are_downloaded(at, evaluated):
    url = reverse("registry:evaluation_download", args=[evaluated.tuned.pk])
    lines = body(at("viewer").get(url)).decode().splitlines()
    assert json.loads(lines[0])["reference"] == "open at eight"
    table = body(at("viewer").get(url, {"as": "csv"})).decode("utf-8-sig").splitlines()
    assert table[0].startswith("index,prompt,reference,prediction,baseline_prediction,loss")
    assert len(table) == 5


def test_scoring_again_over_the_page(at, evaluated):
    url = reverse("registry:evaluation_rescore", args=[evaluated.tuned.pk])
    answer = at("member").post(url, follow=True)
    assert "computed anew" in answer.content.decode()


def test_operators_enable_base_models(at, people, engine):
    services.catalogue_import()
    client = at("operator")
    page = client.get(reverse("registry:catalogue"), {"q": "lab/tiny"}).content.decode()
    assert "Tiny-1B" in page
    assert "Odd" not in page
    model = Model.objects.get(name="Tiny-1B")
    url = reverse("registry:base_model_switch", args=[model.pk])
    part = client.post(url, {"enable": "1"}, headers={"HX-Request": "true"}).content.decode()
    assert "Disable" in part
    assert "<html" not in part
    model.refresh_from_db()
    assert model.is_enabled
    assert client.post(url, {"enable": "0"}).status_code == 302
    page = client.get(reverse("registry:catalogue"), {"state": "enabled"}).content.decode()
    assert "No base model fits" in page


def test_operators_edit_and_add_base_models(at, engine):
    client = at("operator")
    fields = {"name": "Mine", "hf_id": "/etc/passwd", "ms_id": "", "template": "", "remark": ""}
    answer = client.post(reverse("registry:base_model_add"), fields)
    assert answer.status_code == 422
    assert "no hub id" in answer.content.decode()
    answer = client.post(reverse("registry:base_model_add"), fields | {"hf_id": "lab/mine"})
    assert answer.status_code == 302
    model = Model.objects.get(name="Mine")
    url = reverse("registry:base_model_edit", args=[model.pk])
    assert client.get(url).status_code == 200
    answer = client.post(url, fields | {"hf_id": "lab/mine", "template": "qwen3"})
    assert answer.status_code == 302
    assert model.versions.get().template == "qwen3"
    model.refresh_from_db()
    assert not model.is_enabled  # the box was not ticked


def test_operators_import_folders(at, engine, home):
    client, url = at("operator"), reverse("registry:model_import")
    assert "No folder to import" in client.get(url).content.decode()
    weights(home / "models" / "import" / "tiny")
    bad = weights(home / "models" / "import" / "bad")
    (bad / "model.py").write_text("")
    page = client.get(url).content.decode()
    assert "is code" in page
    assert client.post(url, {"folder": "bad", "name": "x"}).status_code == 422
    assert client.post(url, {"folder": "../../etc", "name": "x"}).status_code == 422
    assert client.post(url, {"folder": "tiny", "name": "Tiny"}).status_code == 302
    assert Model.objects.filter(name="Tiny", project=None).exists()
