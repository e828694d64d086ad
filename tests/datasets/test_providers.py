"""Providers of models: who may, what is refused, and the key that nobody reads again."""

from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from rest_framework.test import APIClient

from common.errors import Conflict, DomainError
from common.sealing import unseal
from datasets import services
from datasets.models import Provider, Recipe
from datasets.services.providers import PURPOSE
from tests.datasets.model_server import KEY, simulated

pytestmark = pytest.mark.django_db
PUBLIC = "https://192.0.43.10/v1"  # an address of the public network; nothing is sent there


@pytest.fixture
def provider(people) -> Provider:
    return services.provider_create(
        project=people.team,
        created_by=people.member,
        name="far",
        base_url=PUBLIC,
        key=KEY,
        models=["big", "small"],
    )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"base_url": "http://127.0.0.1:8000/v1"}, "base_url"),
        ({"base_url": "http://10.1.2.3/v1"}, "base_url"),
        ({"base_url": "http://[::1]/v1"}, "base_url"),
        ({"base_url": "http://169.254.169.254/latest"}, "base_url"),
        ({"base_url": "http://localhost/v1"}, "base_url"),
        ({"base_url": "http://me:secret@192.0.43.10/v1"}, "base_url"),
        ({"base_url": "ftp://192.0.43.10/v1"}, "base_url"),
        ({"base_url": "https://192.0.43.10/v1?x=1"}, "base_url"),
        ({"models": []}, "models"),
        ({"models": ["x" * 200]}, "models"),
        ({"price_in": Decimal(-1)}, "price_in"),
        ({"price_out": Decimal("NaN")}, "price_out"),
        ({"currency": "yuan"}, "currency"),
        ({"parallel": 1000}, "parallel"),
        ({"key": "two words"}, "key"),
        ({"name": " "}, "name"),
    ],
)
def test_what_is_refused(people, given, field) -> None:
    usual = {"name": "far", "base_url": PUBLIC, "models": ["m"], "key": KEY}
    with pytest.raises(DomainError) as refused:
        services.provider_create(
            project=people.team, created_by=people.member, **{**usual, **given}
        )
    assert refused.value.field == field
    assert KEY not in refused.value.message
    assert not Provider.objects.exists()


def test_only_operators_open_private_networks(people) -> None:
    usual = {"project": people.team, "models": ["m"], "base_url": "http://127.0.0.1:9/v1"}
    with pytest.raises(DomainError) as refused:
        services.provider_create(
            created_by=people.member, name="near", allows_private=True, **usual
        )
    assert refused.value.code == "target_private"
    near = services.provider_create(
        created_by=people.operator, name="near", allows_private=True, **usual
    )
    changed = services.provider_update(near.pk, by=people.member, parallel=2)
    assert changed.allows_private
    with pytest.raises(DomainError):  # another server there is another question
        services.provider_update(near.pk, by=people.member, base_url="http://127.0.0.1:22/v1")


def test_another_address_needs_the_key_again(people, provider) -> None:
    with pytest.raises(DomainError) as refused:
        services.provider_update(provider.pk, by=people.owner, base_url="https://192.0.43.8/v1")
    assert refused.value.field == "key"
    kept = services.provider_update(provider.pk, by=people.owner, base_url=f"{PUBLIC}/chat")
    assert unseal(kept.key_sealed, purpose=PURPOSE) == KEY
    moved = services.provider_update(
        provider.pk, by=people.owner, base_url="https://192.0.43.8/v1", key="other"
    )
    assert unseal(moved.key_sealed, purpose=PURPOSE) == "other"
    assert not services.provider_update(provider.pk, by=people.owner, key="").has_key


def test_who_may(people, provider) -> None:
    given = {"name": "x", "base_url": PUBLIC, "models": ["m"]}
    for by in (people.viewer, people.developer, people.stranger):
        with pytest.raises((DomainError, PermissionDenied)):
            services.provider_create(project=people.team, created_by=by, **given)
        with pytest.raises(Provider.DoesNotExist):
            services.provider_update(provider.pk, by=by, name="y")
        with pytest.raises(Provider.DoesNotExist):
            services.provider_delete(provider.pk, by=by)
        with pytest.raises(Provider.DoesNotExist):
            services.provider_test(provider.pk, by=by)
    assert not Provider.objects.visible_to(people.stranger).exists()
    with pytest.raises(Conflict):
        services.provider_create(
            project=people.team, created_by=people.member, **{**given, "name": "far"}
        )
    steps = [{"kind": "judge", "parameters": {"model": f"provider/{provider.pk}/big"}}]
    own = people.stranger
    from accounts.models import Project

    mine = Project.objects.get(personal_of=own)
    with pytest.raises(DomainError) as refused:  # somebody else's provider costs somebody else
        services.recipe_create(project=mine, created_by=own, name="r", steps=steps)
    assert refused.value.data["parameter"] == "model"
    services.recipe_create(project=people.team, created_by=people.member, name="r", steps=steps)


def test_a_provider_in_use_stays(people, provider, make) -> None:
    steps = [{"kind": "judge", "parameters": {"model": f"provider/{provider.pk}/big"}}]
    recipe = services.recipe_create(
        project=people.team, created_by=people.member, name="r", steps=steps
    )
    run = services.run_create(recipe.pk, by=people.member, version_id=make().latest.pk)
    with pytest.raises(Conflict):
        services.provider_delete(provider.pk, by=people.owner)
    services.run_cancel(run.pk, by=people.member)
    services.provider_delete(provider.pk, by=people.owner)
    with pytest.raises(DomainError):
        services.run_create(recipe.pk, by=people.member, version_id=run.source_id, name="n")
    services.project_empty(people.team, until=float("inf"))


def test_the_pages(client, people, make) -> None:
    client.force_login(people.operator)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    listed = reverse("datasets:provider_list")
    assert "Enter your first provider" in client.get(listed).content.decode()
    create = reverse("datasets:provider_create")
    with simulated() as server:
        sent = {
            "name": "near",
            "base_url": server.url,
            "key": KEY,
            "models": "m\nother",
            "price_in": "2",
            "price_out": "8",
            "currency": "cny",
            "requests_per_minute": "6000",
            "parallel": "2",
            "timeout": "5",
        }
        refused = client.post(create, sent)
        assert refused.status_code == 422
        assert "private network" in refused.content.decode()
        assert KEY not in refused.content.decode()
        assert client.post(create, sent | {"allows_private": "on"}).status_code == 302
        made = Provider.objects.get()
        assert (made.models, made.currency) == (["m", "other"], "CNY")
        url = reverse("datasets:provider_update", args=[made.pk])
        page = client.get(url).content.decode()
        assert KEY not in page
        assert made.key_sealed not in page
        assert "One is kept" in page
        change = sent | {"allows_private": "on", "key": "", "parallel": "3"}
        assert client.post(url, change).status_code == 302
        made.refresh_from_db()
        assert (made.parallel, made.has_key) == (3, True)
        test = reverse("datasets:provider_test", args=[made.pk])
        server.answer = lambda _prompt: "OK"
        assert "m answered after" in client.post(test, follow=True).content.decode()
        server.status = 401
        assert "refuses the key" in client.post(test, follow=True).content.decode()
        server.status = 0
        edit = reverse("datasets:recipe_create")
        form = client.post(edit, {"name": "n", "act": "add:judge"}).content.decode()
        assert f"provider/{made.pk}/other" in form
        saved = {"name": "n", "act": "save", "kind": "judge", "step-1-least": "2"}
        saved |= {"step-1-temperature": "0", "step-1-max_tokens": "100", "step-1-language": "en"}
        assert client.post(edit, saved).status_code == 422
        saved["step-1-model"] = f"provider/{made.pk}/other"
        assert client.post(edit, saved).status_code == 302
        recipe = Recipe.objects.get()
        version = make().latest
        seen = reverse("datasets:recipe_detail", args=[recipe.pk])
        before = len(server.requests)
        page = client.get(seen, {"version": str(version.pk)}).content.decode()
        assert "near · other" in page
        assert "Ask the model about a few rows" in page
        assert len(server.requests) == before
        server.answer = lambda _prompt: '{"score": 5, "reason": "fine"}'
        ask = reverse("datasets:recipe_ask", args=[recipe.pk])
        page = client.post(ask, {"version": str(version.pk)}).content.decode()
        assert len(server.requests) == before + 3
        assert "score 5" in page
        assert "3 answers; 300 tokens in, 150 out" in page
    client.force_login(people.viewer)
    assert "near" in client.get(listed).content.decode()
    assert client.get(url).status_code == 404


def test_the_api(people) -> None:
    api = APIClient()
    api.force_authenticate(people.member)
    body = {"name": "far", "base_url": PUBLIC, "models": ["m"], "key": KEY}
    made = api.post("/api/v1/providers/", body | {"project": str(people.team.pk)}, format="json")
    assert made.status_code == 201
    assert made.json()["has_key"] is True
    path = f"/api/v1/providers/{made.json()['id']}/"
    changed = api.patch(path, {"price_in": "1.5"}, format="json")
    assert changed.json()["price_in"] == "1.5000"
    for answer in (made, changed, api.get(path), api.get("/api/v1/providers/")):
        assert KEY not in answer.content.decode()
        assert "sealed" not in answer.content.decode()
    moved = api.patch(path, {"base_url": "https://192.0.43.8/v1"}, format="json")
    assert moved.status_code == 422
    api.force_authenticate(people.stranger)
    assert api.get(path).status_code == 404
    api.force_authenticate(people.member)
    assert api.delete(path).status_code == 204


def test_the_admin_has_no_key(client, people, provider) -> None:
    client.force_login(people.operator)
    change = reverse("admin:datasets_provider_change", args=[provider.pk])
    page = client.get(change).content.decode()
    assert "sealed" not in page
    assert provider.key_sealed not in page
    fields = {"name": "renamed", "base_url": PUBLIC, "models": '["m"]', "price_in": "1"}
    fields |= {"price_out": "1", "currency": "USD", "requests_per_minute": "5"}
    fields |= {"parallel": "1", "timeout": "9"}
    assert client.post(change, fields).status_code == 302
    provider.refresh_from_db()
    assert (provider.name, provider.has_key) == ("renamed", True)
