"""Operators change people and projects through the same services as everybody."""

import re

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts import services
from accounts.models import ApiKey, Event, Invitation, Membership, Project, Role, User


@pytest.fixture
def operator(people) -> Client:
    client = Client()
    client.force_login(people.operator)
    return client


def said(answer) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def members(project: Project, *roles: tuple[User, int], initial: int) -> dict[str, object]:
    """The inline's fields; the first `initial` rows are there already."""
    form = {"memberships-TOTAL_FORMS": len(roles), "memberships-INITIAL_FORMS": initial}
    for number, (user, role) in enumerate(roles):
        row = Membership.objects.filter(project=project, user=user).first()
        form |= {
            f"memberships-{number}-id": row.pk if row else "",
            f"memberships-{number}-project": project.pk,
            f"memberships-{number}-user": user.pk,
            f"memberships-{number}-role": role,
        }
    return form


def test_an_invitation_is_made_and_its_code_shown_once(operator) -> None:
    answer = operator.post(
        reverse("admin:accounts_invitation_add"),
        {"note": "lab", "max_uses": 2, "expires_in_days": 7, "project": "", "role": 30},
    )
    code = re.search(r"[a-z0-9]{20}", said(answer))[0]
    services.user_register(
        username="ada", email="a@example.org", password="long-Enough-77", code=code
    )
    row = Invitation.objects.get()
    assert (row.note, row.uses, row.created_by.username) == ("lab", 1, "operator")
    refused = operator.post(
        reverse("admin:accounts_invitation_add"),
        {"note": "", "max_uses": 0, "expires_in_days": 7, "project": "", "role": 30},
    )
    assert "between 1 and" in said(refused) or "form" in (refused.context or {})
    assert Invitation.objects.count() == 1
    withdraw = {"action": "withdraw", "_selected_action": str(row.pk)}
    operator.post(reverse("admin:accounts_invitation_changelist"), withdraw)
    assert Invitation.objects.get().state == Invitation.State.WITHDRAWN
    assert Event.objects.filter(subject_id=row.pk, verb="withdrawn").exists()


def test_a_key_is_revoked_and_never_shown(operator, people) -> None:
    key, secret = services.api_key_create(people.owner, name="script")
    page = operator.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert key.token_key in page
    assert secret not in page
    assert key.digest not in page
    operator.post(reverse("admin:accounts_apikey_delete", args=[key.pk]), {"post": "yes"})
    assert not ApiKey.objects.exists()
    assert Event.objects.filter(subject_id=key.pk, verb="revoked").exists()


def test_limits_of_people_change_through_the_service(operator, people) -> None:
    address = reverse("admin:accounts_user_change", args=[people.owner.pk])
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    fields = {
        "email": "new@example.org",
        "first_name": "Owner",
        "language": "",
        "is_active": "on",
        "max_deployments": 4,
        **inline,
    }
    answer = operator.post(address, fields)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    people.owner.refresh_from_db()
    assert (people.owner.max_deployments, people.owner.email) == (4, "new@example.org")
    assert Event.objects.filter(subject_id=people.owner.pk, verb="limits_changed").exists()
    own = reverse("admin:accounts_user_change", args=[people.operator.pk])
    refused = operator.post(own, {**fields, "email": "operator@example.org"})
    assert "last operator" in said(refused)
    assert User.objects.get(pk=people.operator.pk).is_staff


def test_projects_and_their_people_change_through_the_services(operator, people) -> None:
    address = reverse("admin:accounts_project_change", args=[people.team.pk])
    fields = {"name": "Lab", "max_active_jobs": 3, "max_storage_bytes": 2**30}
    rows = [
        (people.owner, Role.MANAGER),
        (people.member, Role.VIEWER),
        (people.developer, Role.DEVELOPER),
        (people.viewer, Role.VIEWER),
        (people.stranger, Role.DEVELOPER),
    ]
    answer = operator.post(address, {**fields, **members(people.team, *rows, initial=4)})
    assert answer.status_code == 302
    people.team.refresh_from_db()
    assert (people.team.name, people.team.max_active_jobs) == ("Lab", 3)
    assert people.team.role_of(people.member) == Role.VIEWER
    assert people.team.role_of(people.stranger) == Role.DEVELOPER
    gone = members(people.team, *rows, initial=5) | {"memberships-0-DELETE": "on"}
    refused = operator.post(address, {**fields, **gone})
    assert "last manager" in said(refused)
    assert people.team.role_of(people.owner) == Role.MANAGER


def test_a_new_project_has_its_maker_as_manager(operator, people) -> None:
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    fields = {"name": "Lab", "max_active_jobs": 3, "max_storage_bytes": 2**30}
    answer = operator.post(reverse("admin:accounts_project_add"), {**fields, **inline})
    assert answer.status_code == 302
    made = Project.objects.get(name="Lab")
    assert (made.max_active_jobs, made.role_of(people.operator)) == (3, Role.MANAGER)
