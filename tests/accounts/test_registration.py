"""Registration by invitation: service, page and API are one door."""

import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import services
from accounts.models import Event, Invitation, Membership, Project, Role, User
from common.errors import DomainError

GOOD = {"email": "ada@example.org", "password": "long-Enough-77"}
PASSWORD = "long-Enough-77"


def invite(**fields: object) -> str:
    return services.invitation_create(created_by=None, **fields)[1]


def form(code: str, name: str = "ada", email: str = "ada@example.org") -> dict[str, str]:
    return {
        "code": code,
        "username": name,
        "email": email,
        "password1": PASSWORD,
        "password2": PASSWORD,
    }


@pytest.mark.django_db
def test_registering_makes_a_personal_project_and_uses_the_invitation_up() -> None:
    code = invite()
    user = services.user_register(username="ada", code=f" {code.upper()} ", **GOOD)
    assert user.check_password(PASSWORD)
    assert user.personal_project.role_of(user) == Role.MANAGER
    assert Invitation.objects.get().uses == 1
    assert Event.objects.filter(subject_id=user.pk, verb="registered").count() == 1
    with pytest.raises(DomainError) as refused:
        services.user_register(username="bob", email="b@example.org", password=PASSWORD, code=code)
    assert (refused.value.field, refused.value.code) == ("code", "invitation_used_up")


@pytest.mark.django_db
def test_the_code_is_not_kept() -> None:
    code = invite()
    row = Invitation.objects.values().get()
    assert code not in str(row)
    assert code.startswith(row["prefix"])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expired"),
        ({"uses": 1}, "used as often"),
        ({"withdrawn_at": timezone.now()}, "withdrawn"),
        ({"code_hash": "0" * 64}, "not known"),
    ],
)
def test_the_page_says_why_a_code_does_not_open(client, change, word) -> None:
    code = invite()
    Invitation.objects.update(**change)
    answer = client.post(reverse("account_signup"), form(code))
    assert answer.status_code == 422
    assert word in answer.context["form"].errors["code"][0]
    assert "operator" in answer.context["form"].errors["code"][0]
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_page_registers_logs_in_and_takes_the_code_from_its_address(client) -> None:
    code = invite()
    page = client.get(reverse("account_signup"), {"code": code})
    assert code in page.content.decode()
    answer = client.post(reverse("account_signup"), form(code))
    assert answer.status_code == 302
    assert str(client.session["_auth_user_id"]) == str(User.objects.get().pk)
    assert Project.objects.get().personal_of.username == "ada"


@pytest.mark.django_db
def test_without_any_invitation_the_page_is_closed(client) -> None:
    answer = client.get(reverse("account_signup"))
    assert "form" not in (answer.context or {})
    assert client.post(reverse("account_signup"), form("any")).status_code == 403


@pytest.mark.django_db
def test_without_a_good_code_nobody_learns_who_is_registered(client) -> None:
    services.user_register(username="ada", code=invite(max_uses=2), **GOOD)
    answer = client.post(reverse("account_signup"), form("wrong"))
    assert set(answer.context["form"].errors) == {"code"}
    with pytest.raises(DomainError) as refused:
        services.user_register(username="ada", code="wrong", **GOOD)
    assert refused.value.field == "code"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"username": "ADA"}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "bob@example.org"}, "username"),
        ({"email": "Ada@Example.org"}, "email"),
        ({"email": "nonsense"}, "email"),
        ({"password": "123"}, "password"),
    ],
)
def test_a_refused_registration_names_the_field_and_leaves_the_code_unused(fields, blamed) -> None:
    code = invite(max_uses=2)
    services.user_register(username="ada", code=code, **GOOD)
    wanted = {"username": "bob", "email": "bob@example.org", "password": PASSWORD, **fields}
    answer = APIClient().post(reverse("api-register"), {**wanted, "code": code})
    assert answer.status_code in {400, 422}
    assert blamed in (answer.json().get("field"), *answer.json())
    assert Invitation.objects.get().uses == 1
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_the_api_registers_and_gives_a_working_key_once() -> None:
    answer = APIClient().post(
        reverse("api-register"), {"username": "ada", "code": invite(), **GOOD}
    )
    assert answer.status_code == 201
    body = answer.json()
    client = APIClient(headers={"authorization": f"Bearer {body['key']}"})
    assert client.get(reverse("api-me")).json()["username"] == "ada"
    listed = client.get(reverse("api-key-list")).json()["results"]
    assert [row["prefix"] for row in listed] == [body["key"][:15]]
    assert body["key"] not in str(listed)


@pytest.mark.django_db
def test_an_invitation_into_a_project_makes_a_member(people) -> None:
    code = invite(project=people.team, role=Role.VIEWER)
    user = services.user_register(username="ada", code=code, **GOOD)
    assert people.team.role_of(user) == Role.VIEWER
    assert user.last_project == people.team
    with pytest.raises(DomainError) as refused:
        invite(project=people.owner.personal_project)
    assert refused.value.field == "project"


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_only_as_many_get_in_as_the_invitation_allows() -> None:
    code = invite(max_uses=2)
    results: list[str] = []

    def register(number: int) -> None:
        try:
            services.user_register(
                username=f"user{number}",
                email=f"user{number}@example.org",
                password=PASSWORD,
                code=code,
            )
            results.append("in")
        except DomainError as refused:
            results.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=register, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["in", "in", *["invitation_used_up"] * 4]
    assert Invitation.objects.get().uses == User.objects.count() == 2


@pytest.mark.django_db
def test_operators_make_invitations_over_the_api_and_others_do_not(people) -> None:
    client = APIClient()
    client.force_authenticate(people.owner)
    assert client.post(reverse("api-invitation-list"), {}).status_code == 403
    client.force_authenticate(people.operator)
    made = client.post(reverse("api-invitation-list"), {"max_uses": 2, "note": "lab"}).json()
    assert made["url"].endswith(made["code"])
    assert services.user_register(username="ada", code=made["code"], **GOOD)
    listed = client.get(reverse("api-invitation-list")).json()["results"]
    assert (listed[0]["uses"], "code" in listed[0]) == (1, False)
    client.delete(reverse("api-invitation-detail", args=[made["id"]]))
    assert Invitation.objects.get().state == Invitation.State.WITHDRAWN
    wrong = client.post(reverse("api-invitation-list"), {"max_uses": 0})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "max_uses")


@pytest.mark.django_db
def test_the_command_prints_the_code_on_the_last_line(capsys, people) -> None:
    call_command("invitation_create", uses=3, days=2, note="lab", project="team")
    code = capsys.readouterr().out.strip().splitlines()[-1]
    services.user_register(username="ada", code=code, **GOOD)
    assert Membership.objects.filter(project=people.team, user__username="ada").exists()
    with pytest.raises(CommandError, match="0 projects"):
        call_command("invitation_create", project="nowhere")


@pytest.mark.django_db
def test_the_first_operator_is_made_by_command_and_only_once(capsys) -> None:
    wanted = {"username": "root", "email": "root@example.org", "password": PASSWORD}
    call_command("operator_create", **wanted)
    user = User.objects.get()
    assert user.is_staff and user.is_superuser and user.personal_project
    with pytest.raises(CommandError, match="exists already"):
        call_command("operator_create", **wanted)
    call_command("operator_create", **wanted, if_missing=True)
    assert "nothing was changed" in capsys.readouterr().out
    with pytest.raises(CommandError, match="password"):
        call_command("operator_create", username="other", email="o@example.org", password="123")
