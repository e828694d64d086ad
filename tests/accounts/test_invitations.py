"""The operators' page of invitations."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import services
from accounts.models import Invitation, Role

LIST = "accounts:invitation_list"
NEW = {"note": "interns", "max_uses": 2, "expires_in_days": 14, "project": "", "role": 30}
State = Invitation.State


@pytest.fixture
def operator(people) -> Client:
    client = Client()
    client.force_login(people.operator)
    return client


@pytest.fixture
def one_of_each(people) -> dict[str, Invitation]:
    """An invitation in each state, with the state as its note."""
    made = {
        state: services.invitation_create(created_by=people.operator, note=f"for {state}")[0]
        for state in State.values
    }
    past = timezone.now() - timedelta(days=1)
    Invitation.objects.filter(note="for expired").update(expires_at=past)
    Invitation.objects.filter(note="for used_up").update(uses=1, expires_at=past)
    Invitation.objects.filter(note="for withdrawn").update(withdrawn_at=past, uses=1)
    return made


def notes(answer) -> set[str]:
    return {row["invitation"].note for row in answer.context["rows"]}


def test_the_page_makes_an_invitation_and_shows_code_and_link_once(operator, people) -> None:
    answer = operator.post(reverse(LIST), {**NEW, "project": people.team.pk, "role": 10})
    page, link = answer.content.decode(), answer.context["link"]
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    code = link.rpartition("code=")[2]
    assert f">{link}<" in page
    assert f">{code}<" in page
    assert code not in operator.get(reverse(LIST)).content.decode()
    visitor = Client()
    form = {"username": "ada", "email": "ada@example.org"}
    form |= {"code": code, "password1": "long-Enough-77", "password2": "long-Enough-77"}
    assert visitor.post(link.partition("?")[0], form).status_code == 302
    made = Invitation.objects.get()
    assert (made.note, made.uses, made.max_uses, made.state) == ("interns", 1, 2, "open")
    assert people.team.memberships.get(user__username="ada").role == Role.VIEWER


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_uses", 0), ("max_uses", "x"), ("expires_in_days", 5), ("role", 99), ("project", "x")],
)
def test_a_refusal_names_the_field(operator, field, value) -> None:
    refused = operator.post(reverse(LIST), {**NEW, field: value})
    assert refused.status_code == 422
    assert set(refused.context["form"].errors) == {field}
    assert not Invitation.objects.exists()


def test_a_personal_project_is_not_offered(operator, people) -> None:
    refused = operator.post(reverse(LIST), {**NEW, "project": people.owner.personal_project.pk})
    assert set(refused.context["form"].errors) == {"project"}


def test_each_state_is_found(operator, one_of_each) -> None:
    for state, invitation in one_of_each.items():
        invitation.refresh_from_db()
        assert invitation.state == state
        assert notes(operator.get(reverse(LIST), {"state": state})) == {f"for {state}"}
    assert len(notes(operator.get(reverse(LIST)))) == 4
    assert len(notes(operator.get(reverse(LIST), {"state": "nonsense"}))) == 4


def test_the_search_knows_note_beginning_project_maker_and_code(operator, people) -> None:
    services.invitation_create(created_by=None, note="others")
    wanted, code = services.invitation_create(
        created_by=people.operator, note="summer interns", project=people.team
    )
    for words in ("INTERN", wanted.prefix, "tea", "operat", code, f" {code.upper()} "):
        assert notes(operator.get(reverse(LIST), {"q": words})) == {"summer interns"}, words
    nothing = operator.get(reverse(LIST), {"q": "winter"})
    assert notes(nothing) == set()
    assert "No invitation fits" in nothing.content.decode()


def test_typing_renews_the_rows_alone(operator, one_of_each) -> None:
    part = operator.get(reverse(LIST), {"q": "open"}, headers={"HX-Request": "true"})
    assert part.content.decode().strip().startswith('<div id="invitations"')


def test_an_empty_list_says_what_an_invitation_is(operator) -> None:
    assert "Nobody was invited yet" in operator.get(reverse(LIST)).content.decode()


def test_the_list_has_pages(operator) -> None:
    for number in range(31):
        services.invitation_create(created_by=None, note=str(number))
    assert len(notes(operator.get(reverse(LIST)))) == 30
    assert notes(operator.get(reverse(LIST), {"page": 2})) == {"0"}


def test_withdrawing_closes_it_for_good_and_keeps_it_in_the_list(operator, people) -> None:
    invitation, code = services.invitation_create(created_by=people.operator, max_uses=5)
    address = reverse("accounts:invitation_withdraw", args=[invitation.pk])
    assert operator.post(address).status_code == 302
    assert operator.post(address).status_code == 302
    invitation.refresh_from_db()
    assert invitation.state == State.WITHDRAWN
    refused = Client().post(reverse("account_signup"), {"code": code})
    assert "withdrawn" in refused.context["form"].errors["code"][0]


def test_the_api_tells_and_filters_by_state(people, one_of_each) -> None:
    client = APIClient()
    client.force_authenticate(people.operator)
    address = reverse("api-invitation-list")
    found = client.get(address, {"state": "used_up"}).json()["results"]
    assert [(row["note"], row["state"]) for row in found] == [("for used_up", "used_up")]
    found = client.get(address, {"search": "for exp"}).json()["results"]
    assert [row["state"] for row in found] == ["expired"]
    assert client.get(address, {"state": "nonsense"}).status_code == 400


def test_only_operators_find_the_page_and_the_way_to_it(operator, people) -> None:
    address = reverse(LIST)
    assert address in operator.get(reverse("accounts:settings")).content.decode()
    member = Client()
    member.force_login(people.owner)
    assert address not in member.get(reverse("accounts:settings")).content.decode()
