"""API keys: made once, stored hashed, with a scope and an end."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import services
from accounts.authentication import user_for_key
from accounts.models import ApiKey, User
from common.errors import DomainError, QuotaExceeded


def bearer(key: str) -> APIClient:
    return APIClient(headers={"authorization": f"Bearer {key}"})


def make(user: User, **fields: object) -> tuple[ApiKey, str]:
    return services.api_key_create(user, **{"name": "script", **fields})


def test_a_key_signs_in_and_is_stored_as_a_hash(people) -> None:
    key, secret = make(people.owner)
    assert secret.startswith("lct_")
    assert secret not in str(ApiKey.objects.values().get())
    assert bearer(secret).get(reverse("api-me")).json()["username"] == "owner"
    assert user_for_key(secret) == (people.owner, key)


def test_a_key_costs_one_query_and_a_second_once_a_minute(
    people, django_assert_num_queries
) -> None:
    key, secret = make(people.owner)
    with django_assert_num_queries(2):
        user_for_key(secret)
    with django_assert_num_queries(1):
        user_for_key(secret)
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
    with django_assert_num_queries(2):
        user_for_key(secret)
    key.refresh_from_db()
    assert timezone.now() - key.last_used_at < timedelta(seconds=61)


@pytest.mark.parametrize("secret", ["lct_wrong", "", "lct_\udcff", "x" * 10_000])
def test_what_is_no_key_opens_nothing(people, secret) -> None:
    make(people.owner)
    assert user_for_key(secret) is None


def test_expired_revoked_and_inactive_are_401_with_a_reason(people) -> None:
    key, secret = make(people.owner, expires_in_days=1)
    ApiKey.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    answer = bearer(secret).get(reverse("api-me"))
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]
    assert ApiKey.objects.get().is_expired  # kept, so that its owner sees why a script fails
    ApiKey.objects.update(expiry=None)
    User.objects.filter(pk=people.owner.pk).update(is_active=False)
    assert bearer(secret).get(reverse("api-me")).status_code == 401
    User.objects.filter(pk=people.owner.pk).update(is_active=True)
    services.api_key_revoke(key.pk, by=people.owner)
    assert bearer(secret).get(reverse("api-me")).status_code == 401


def test_a_chat_key_is_refused_on_the_api(people) -> None:
    _key, secret = make(people.owner, scope="chat")
    answer = bearer(secret).get(reverse("api-me"))
    assert answer.status_code == 403
    assert "/v1/" in answer.json()["detail"]


def test_a_reading_key_reads_and_changes_nothing(people) -> None:
    _key, secret = make(people.owner, scope="read")
    assert bearer(secret).get(reverse("api-project-list")).status_code == 200
    answer = bearer(secret).post(reverse("api-project-list"), {"name": "new"})
    assert answer.status_code == 403
    assert "only read" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"name": " "}, "name"),
        ({"scope": "everything"}, "scope"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 99999}, "expires_in_days"),
    ],
)
def test_a_refused_key_names_the_field(people, fields, blamed) -> None:
    with pytest.raises(DomainError) as refused:
        make(people.owner, **fields)
    assert refused.value.field == blamed


def test_there_is_a_most_of_keys(people, monkeypatch) -> None:
    monkeypatch.setattr("accounts.services.keys.MAX_KEYS", 1)
    make(people.owner)
    with pytest.raises(QuotaExceeded):
        make(people.owner)


def test_keys_are_made_listed_and_revoked_over_the_api(people) -> None:
    client = APIClient()
    client.force_authenticate(people.owner)
    made = client.post(
        reverse("api-key-list"), {"name": "ci", "scope": "chat", "expires_in_days": 7}
    )
    assert made.status_code == 201
    row = made.json()
    assert row["key"].startswith(row["prefix"])
    assert "key" not in client.get(reverse("api-key-detail", args=[row["id"]])).json()
    stranger = APIClient()
    stranger.force_authenticate(people.stranger)
    address = reverse("api-key-detail", args=[row["id"]])
    assert stranger.delete(address).status_code == 404
    assert client.delete(address).status_code == 204
    assert user_for_key(row["key"]) is None


def test_the_page_shows_a_key_once_with_examples_for_this_host(client, people) -> None:
    client.force_login(people.owner)
    address = reverse("accounts:api_key_list")
    assert client.get(address).status_code == 200
    made = client.post(address, {"name": "ci", "scope": "all", "expires_in_days": "90"})
    text = made.content.decode()
    secret = made.context["secret"]
    assert secret in text
    assert f'base_url="{made.context["base_url"]}"' in text.replace("&quot;", '"')
    assert made["Cache-Control"] == "no-store"
    assert secret not in client.get(address).content.decode()
    refused = client.post(address, {"name": "", "scope": "all", "expires_in_days": "90"})
    assert refused.status_code == 422
    key = ApiKey.objects.get()
    client.post(reverse("accounts:api_key_revoke", args=[key.pk]))
    assert not ApiKey.objects.exists()


def test_the_api_answers_in_the_owners_language_unless_asked_for_another(people) -> None:
    services.user_profile_set(people.owner.pk, language="zh-hans")
    api = bearer(make(people.owner)[1])

    def refusal(language: str = "") -> str:
        headers = {"accept-language": language} if language else {}
        answer = api.post(reverse("api-key-list"), {"name": "x", "scope": "odd"}, headers=headers)
        return str(answer.json())

    assert "选项" in refusal()
    assert "选项" in refusal("fr")
    assert "选项" not in refusal("en")
