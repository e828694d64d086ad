"""Log-in, its limits, and passwords."""

import re

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import services
from accounts.http import project_of
from accounts.models import Role, User

PASSWORD = "long-Enough-77"


@pytest.fixture
def ada(db) -> User:
    code = services.invitation_create(created_by=None)[1]
    return services.user_register(
        username="ada", email="ada@example.org", password=PASSWORD, code=code
    )


def log_in(client, password: str, login: str = "ada"):
    return client.post(reverse("account_login"), {"login": login, "password": password})


@pytest.mark.parametrize("login", ["ada", "ADA", "ada@example.org"])
def test_name_and_address_both_log_in(client, ada, login) -> None:
    assert log_in(client, PASSWORD, login).status_code == 302
    assert "_auth_user_id" in client.session


def test_the_sixth_wrong_try_is_refused_and_the_right_password_meanwhile_too(client, ada) -> None:
    for _try in range(5):
        answer = log_in(client, "wrong")
        assert answer.status_code == 422
        assert "not right" in str(answer.context["form"].errors)
    for password in ("wrong", PASSWORD):
        answer = log_in(client, password)
        assert (answer.status_code, answer["Retry-After"]) == (429, "300")
        assert "Too many wrong passwords" in answer.content.decode()
    api = APIClient().post(reverse("api-login"), {"username": "ada", "password": PASSWORD})
    assert api.status_code == 429
    assert "_auth_user_id" not in client.session


def test_wrong_passwords_over_the_api_count_with_those_of_the_page(client, ada) -> None:
    for _try in range(5):
        answer = APIClient().post(reverse("api-login"), {"username": "ada", "password": "wrong"})
        assert answer.status_code == 401
    assert log_in(client, PASSWORD).status_code == 429


def test_the_api_gives_a_key_with_name_scope_and_end(ada) -> None:
    answer = APIClient().post(
        reverse("api-login"),
        {
            "username": "ada@example.org",
            "password": PASSWORD,
            "name": "laptop",
            "scope": "read",
            "expires_in_days": 3,
        },
    )
    assert answer.status_code == 201
    key = answer.json()["api_key"]
    assert (key["name"], key["scope"]) == ("laptop", "read")
    assert key["expires_at"] > key["created_at"]


def test_who_was_switched_off_gets_in_nowhere(client, ada) -> None:
    User.objects.update(is_active=False)
    log_in(client, PASSWORD)
    assert "_auth_user_id" not in client.session
    answer = APIClient().post(reverse("api-login"), {"username": "ada", "password": PASSWORD})
    assert answer.status_code == 401


def test_the_admin_has_no_login_of_its_own(client, ada) -> None:
    answer = client.get("/admin/login/?next=/admin/")
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))
    client.force_login(ada)
    assert client.get("/admin/login/").status_code == 403
    assert client.post("/admin/login/", {"username": "ada", "password": "x"}).status_code == 403


def test_a_forgotten_password_is_reset_by_mail(client, ada) -> None:
    refused = client.post(reverse("account_reset_password"), {"email": "nonsense"})
    assert (refused.status_code, set(refused.context["form"].errors)) == (422, {"email"})
    client.post(reverse("account_reset_password"), {"email": "ada@example.org"})
    link = re.search(r"https?://[^/]+(/account/password/reset/key/\S+)", mail.outbox[0].body)
    page = client.get(link[1], follow=True).request["PATH_INFO"]
    refused = client.post(page, {"password1": "another-Good-88", "password2": "different-99"})
    assert (refused.status_code, set(refused.context["form"].errors)) == (422, {"password2"})
    new = {"password1": "another-Good-88", "password2": "another-Good-88"}
    client.post(page, new)
    assert User.objects.get().check_password("another-Good-88")
    again = client.post(page, new)
    assert again.status_code == 422
    assert "no longer good" in again.content.decode()


def test_the_reset_page_does_not_tell_which_addresses_exist(client, ada) -> None:
    known = client.post(reverse("account_reset_password"), {"email": "ada@example.org"})
    sent = len(mail.outbox)
    unknown = client.post(reverse("account_reset_password"), {"email": "eve@example.org"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert (sent, len(mail.outbox)) == (1, 1)


def test_the_password_is_changed_on_the_page_and_over_the_api(client, ada) -> None:
    client.force_login(ada)
    new = {"password1": "another-Good-88", "password2": "another-Good-88"}
    for fields, blamed in (
        ({"oldpassword": "wrong", **new}, "oldpassword"),
        ({"oldpassword": PASSWORD, "password1": "1", "password2": "1"}, "password1"),
        ({"oldpassword": PASSWORD}, "password1"),
    ):
        refused = client.post(reverse("account_change_password"), fields)
        assert refused.status_code == 422
        assert blamed in refused.context["form"].errors
    answer = client.post(reverse("account_change_password"), {"oldpassword": PASSWORD, **new})
    assert (answer.status_code, answer["Location"]) == (302, reverse("accounts:settings"))
    api = APIClient()
    api.force_authenticate(User.objects.get())
    wrong = api.post(
        reverse("api-me-password"), {"old_password": PASSWORD, "new_password": "third-Good-99"}
    )
    assert (wrong.status_code, wrong.json()["field"]) == (422, "old_password")
    weak = api.post(
        reverse("api-me-password"), {"old_password": "another-Good-88", "new_password": "1"}
    )
    assert (weak.status_code, weak.json()["field"]) == (422, "new_password")
    api.post(
        reverse("api-me-password"),
        {"old_password": "another-Good-88", "new_password": "third-Good-99"},
    )
    assert User.objects.get().check_password("third-Good-99")


def test_the_language_of_the_profile_follows_the_log_in(client, ada) -> None:
    services.user_profile_set(ada.pk, language="zh-hans")
    assert log_in(client, PASSWORD).cookies["django_language"].value == "zh-hans"


@pytest.mark.parametrize(
    ("preference", "asked_in", "wanted"),
    [("zh-hans", "en", "密码重置"), ("", "zh-hans", "密码重置"), ("en", "zh-hans", "assword")],
)
def test_mail_is_written_in_the_language_of_whoever_gets_it(
    client, ada, preference, asked_in, wanted
) -> None:
    services.user_profile_set(ada.pk, language=preference)
    client.post(
        reverse("account_reset_password"),
        {"email": ada.email},
        headers={"accept-language": asked_in},
    )
    assert wanted in mail.outbox[0].subject


def test_limits_cannot_be_dodged_by_claiming_other_addresses(client, ada) -> None:
    wrong = {"username": "nobody", "password": "wrong"}
    answers = [
        APIClient(headers={"x-forwarded-for": f"203.0.113.{number}"}).post(
            reverse("api-login"), {**wrong, "username": f"nobody{number}"}
        )
        for number in range(11)
    ]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


@pytest.mark.parametrize(
    "headers", [{"HX-Request": "true"}, {"X-Requested-With": "XMLHttpRequest"}]
)
def test_a_refusal_is_a_page_however_it_is_asked_for(client, ada, headers) -> None:
    answer = client.post(
        reverse("account_login"), {"login": "ada", "password": "wrong"}, headers=headers
    )
    assert answer.status_code == 422
    assert "text/html" in answer["Content-Type"]
    assert "not right" in answer.content.decode()


def test_an_empty_form_names_every_field(client, ada) -> None:
    answer = client.post(reverse("account_login"), {})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"login", "password"}


def test_too_many_changes_are_refused_on_a_page_of_ours(client, ada) -> None:
    client.force_login(ada)
    for _try in range(5):
        assert client.post(reverse("account_change_password"), {}).status_code == 422
    answer = client.post(reverse("account_change_password"), {})
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert "Wait a minute" in answer.content.decode()


def test_a_form_that_was_open_too_long_is_refused_on_a_page_of_ours(ada) -> None:
    answer = log_in(Client(enforce_csrf_checks=True), PASSWORD)
    assert answer.status_code == 403
    assert "the page was open for too long" in answer.content.decode()


def test_the_next_log_in_begins_where_one_worked_last(client, ada, people) -> None:
    services.member_add(people.team.pk, who="ada", role=Role.VIEWER, by=people.owner)
    log_in(client, PASSWORD)
    assert project_of(client.get("/").wsgi_request) == ada.personal_project
    client.post(reverse("accounts:project_switch"), {"project": people.team.pk})
    client.logout()
    log_in(client, PASSWORD)
    assert project_of(client.get("/").wsgi_request) == people.team
    services.member_remove(people.team.pk, ada.pk, by=people.owner)
    assert project_of(client.get("/").wsgi_request) == ada.personal_project
