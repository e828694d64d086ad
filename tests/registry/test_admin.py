"""The operators' view, which works through the services."""

import pytest
from django.urls import reverse

from registry.models import Evaluation, Model, ModelVersion
from tests.registry.parts import base_model, publish


@pytest.fixture
def admin(client, people):
    client.force_login(people.operator)
    return client


def test_every_list_and_row_opens(admin, evaluated):
    for name, row in (
        ("model", evaluated.version.model),
        ("modelversion", evaluated.version),
        ("evaluation", evaluated.tuned),
    ):
        assert (
            admin.get(reverse(f"admin:registry_{name}_changelist"), {"q": "help"}).status_code
            == 200
        )
        assert admin.get(reverse(f"admin:registry_{name}_change", args=[row.pk])).status_code == 200


def test_base_models_are_added_changed_and_enabled(admin, engine):
    url = reverse("admin:registry_model_add")
    fields = {"name": "Mine", "remark": "", "hf_id": "lab/mine", "ms_id": "", "template": "chatml"}
    assert "no hub id" in admin.post(url, fields | {"hf_id": "/etc/x"}).content.decode()
    assert admin.post(url, fields).status_code == 302
    model = Model.objects.get(name="Mine")
    assert model.versions.get().hf_id == "lab/mine"
    url = reverse("admin:registry_model_change", args=[model.pk])
    assert admin.post(url, fields | {"name": "Ours", "template": "qwen3"}).status_code == 302
    model.refresh_from_db()
    assert (model.name, model.is_enabled) == ("Ours", False)
    assert model.versions.get().template == "qwen3"
    admin.post(
        reverse("admin:registry_model_changelist"),
        {"action": "enable", "_selected_action": [str(model.pk)]},
    )
    model.refresh_from_db()
    assert model.is_enabled


def test_names_are_checked(admin, people):
    version = publish(people)
    publish(people, name="taken", path="output/two")
    url = reverse("admin:registry_model_change", args=[version.model_id])
    answer = admin.post(url, {"name": "taken", "remark": "", "is_enabled": "on"})
    assert answer.status_code == 200
    assert "taken" in answer.content.decode()
    assert admin.post(url, {"name": "free", "remark": "", "is_enabled": "on"}).status_code == 302


def test_versions_are_not_typed_and_deleted_through_the_service(admin, people):
    version = publish(people)
    assert admin.get(reverse("admin:registry_modelversion_add")).status_code == 403
    admin.post(reverse("admin:registry_modelversion_delete", args=[version.pk]), {"post": "yes"})
    assert not ModelVersion.objects.filter(pk=version.pk).exists()
    assert not Model.objects.filter(pk=version.model_id).exists()


def test_what_is_in_use_stays(admin, people):
    base = base_model()
    publish(people, base=base)
    admin.post(reverse("admin:registry_model_delete", args=[base.model_id]), {"post": "yes"})
    assert ModelVersion.objects.filter(pk=base.pk).exists()


def test_evaluations_are_scored_again(admin, evaluated):
    Evaluation.objects.filter(pk=evaluated.tuned.pk).update(scores={})
    admin.post(
        reverse("admin:registry_evaluation_changelist"),
        {"action": "rescore", "_selected_action": [str(evaluated.tuned.pk)]},
    )
    evaluated.tuned.refresh_from_db()
    assert evaluated.tuned.scores["exact_match"] == 75


def test_people_who_are_no_operators_do_not_get_in(client, people):
    client.force_login(people.owner)
    assert client.get(reverse("admin:registry_model_changelist")).status_code == 302
