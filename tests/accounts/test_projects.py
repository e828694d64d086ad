"""Projects, their people and limits."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import services
from accounts.http import project_of
from accounts.models import Event, Invitation, Membership, Project, Role, User
from accounts.signals import project_usage
from common.errors import Conflict, DomainError


def api(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def names(rows) -> set[str]:
    return set(rows.values_list("name", flat=True))


def test_who_sees_and_who_manages_a_project(people) -> None:
    everybody = names(Project.objects.all())
    expected = {
        "owner": ({"team", "owner"}, {"team", "owner"}),
        "member": ({"team", "member"}, {"member"}),
        "developer": ({"team", "developer"}, {"developer"}),
        "viewer": ({"team", "viewer"}, {"viewer"}),
        "stranger": ({"stranger"}, {"stranger"}),
        "operator": (everybody, everybody),
    }
    for who, (seen, managed) in expected.items():
        user = getattr(people, who)
        assert names(Project.objects.visible_to(user)) == seen
        assert names(Project.objects.editable_by(user)) == managed


def test_who_is_switched_off_sees_nothing(people) -> None:
    people.owner.is_active = False
    assert not Project.objects.visible_to(people.owner).exists()
    assert not Event.objects.visible_to(people.owner).exists()


def test_events_are_seen_by_the_project_and_invitations_by_operators(people) -> None:
    services.event_record(people.team, project=people.team, actor=None, verb="tried")
    services.invitation_create(created_by=people.operator)
    seen = Event.objects.filter(verb="tried")
    for who in ("owner", "member", "developer", "viewer", "operator"):
        assert seen.visible_to(getattr(people, who)).count() == 1
    assert not seen.visible_to(people.stranger).exists()
    assert not Invitation.objects.visible_to(people.owner).exists()
    assert Invitation.objects.editable_by(people.operator).count() == 1


def test_people_are_added_by_name_or_address(people) -> None:
    services.member_add(people.team.pk, who="STRANGER", role=Role.VIEWER, by=people.owner)
    assert people.team.role_of(people.stranger) == Role.VIEWER
    with pytest.raises(Conflict):
        services.member_add(
            people.team.pk, who="stranger@example.org", role=Role.VIEWER, by=people.owner
        )
    with pytest.raises(DomainError) as refused:
        services.member_add(people.team.pk, who="nobody", role=Role.VIEWER, by=people.owner)
    assert refused.value.field == "user"


def test_only_managers_change_people(people) -> None:
    with pytest.raises(Project.DoesNotExist):
        services.member_set(people.team.pk, people.stranger.pk, role=Role.MANAGER, by=people.member)


def test_the_last_manager_stays(people) -> None:
    for act in (
        lambda: services.member_set(
            people.team.pk, people.owner.pk, role=Role.VIEWER, by=people.owner
        ),
        lambda: services.member_remove(people.team.pk, people.owner.pk, by=people.operator),
        lambda: services.project_leave(people.team.pk, by=people.owner),
    ):
        with pytest.raises(Conflict, match="last manager"):
            act()
    services.member_set(people.team.pk, people.member.pk, role=Role.MANAGER, by=people.owner)
    services.project_leave(people.team.pk, by=people.owner)
    assert people.team.role_of(people.owner) == 0


def test_a_personal_project_stays_with_one_person(people) -> None:
    personal = people.owner.personal_project
    for act in (
        lambda: services.member_add(personal.pk, who="stranger", role=Role.VIEWER, by=people.owner),
        lambda: services.project_leave(personal.pk, by=people.owner),
    ):
        with pytest.raises(DomainError, match="personal"):
            act()


def test_limits_are_for_operators(people) -> None:
    with pytest.raises(DomainError, match="operators"):
        services.project_limits_set(people.team.pk, by=people.owner, max_active_jobs=99)
    services.project_limits_set(people.team.pk, by=people.operator, max_active_jobs=99)
    people.team.refresh_from_db()
    assert people.team.max_active_jobs == 99
    assert Event.objects.of(people.team).get(verb="limits_changed").data == {
        "max_active_jobs": [20, 99]
    }


def test_usage_is_the_sum_of_what_the_apps_above_count(people) -> None:
    def jobs(sender: object, project: Project, **kwargs: object) -> dict[str, int]:
        return {"active_jobs": 2, "storage_bytes": 5}

    def data(sender: object, project: Project, **kwargs: object) -> dict[str, int]:
        return {"storage_bytes": 7}

    before = services.project_usage_of(people.team)
    project_usage.connect(jobs)
    project_usage.connect(data)
    try:
        used = services.project_usage_of(people.team)
    finally:
        project_usage.disconnect(jobs)
        project_usage.disconnect(data)
    assert used["active_jobs"] - before.get("active_jobs", 0) == 2
    assert used["storage_bytes"] - before.get("storage_bytes", 0) == 12


def test_the_last_operator_stays(people) -> None:
    with pytest.raises(DomainError, match="last operator"):
        services.user_limits_set(people.operator.pk, by=people.operator, is_active=False)
    services.user_limits_set(people.owner.pk, by=people.operator, is_operator=True)
    services.user_limits_set(people.operator.pk, by=people.owner, is_operator=False)
    people.operator.refresh_from_db()
    assert not people.operator.is_superuser


def test_the_api_covers_projects_and_people(people) -> None:
    owner, viewer = api(people.owner), api(people.viewer)
    made = owner.post(reverse("api-project-list"), {"name": "  New   team "}).json()
    assert (made["name"], made["role"], made["is_personal"]) == ("New team", "manager", False)
    address = reverse("api-project-detail", args=[made["id"]])
    members = reverse("api-project-members", args=[made["id"]])
    assert viewer.get(address).status_code == 404
    added = owner.post(members, {"user": "viewer", "role": "viewer"})
    assert (added.status_code, added.json()["role"]) == (201, "viewer")
    assert viewer.get(address).json()["role"] == "viewer"
    assert viewer.patch(address, {"name": "Mine"}).status_code == 404
    assert viewer.post(members, {"user": "stranger", "role": "viewer"}).status_code == 404
    assert len(viewer.get(members).json()) == 2
    member = reverse("api-project-member", args=[made["id"], people.viewer.pk])
    assert owner.put(member, {"role": "developer"}).json()["role"] == "developer"
    assert owner.put(member, {"role": "king"}).status_code == 400
    assert owner.patch(address, {"name": "Newer"}).json()["name"] == "Newer"
    assert owner.patch(address, {"max_active_jobs": 99}).status_code == 422
    assert api(people.operator).patch(address, {"max_active_jobs": 99}).status_code == 200
    leave = reverse("api-project-leave", args=[made["id"]])
    assert viewer.post(leave).status_code == 204
    assert viewer.get(address).status_code == 404
    last = owner.post(leave)
    assert (last.status_code, last.json()["code"]) == (409, "last_manager")
    assert owner.delete(member).status_code == 404


def test_the_api_works_in_the_named_project_and_pages_in_the_chosen_one(client, people, rf) -> None:
    client.force_login(people.viewer)
    address = reverse("accounts:project_switch")
    back = reverse("accounts:project_list")
    went = client.post(address, {"project": people.team.pk, "next": back})
    assert (went["Location"], client.session["project"]) == (back, str(people.team.pk))
    own, other = people.viewer.personal_project, people.stranger.personal_project
    out = client.post(address, {"project": own.pk, "next": "https://elsewhere.example"})
    assert out["Location"] == reverse("home")
    for wrong in (other.pk, "nonsense", ""):
        assert client.post(address, {"project": wrong}).status_code == 404

    def ask(**headers: str) -> Project:
        request = rf.get("/", headers=headers)
        request.user, request.session = people.viewer, {}
        return project_of(request)

    assert ask() == own
    assert ask(**{"X-Project": str(people.team.pk)}) == people.team
    for wrong in (str(other.pk), "nonsense"):
        with pytest.raises(DomainError) as refused:
            ask(**{"X-Project": wrong})
        assert refused.value.field == "project"


def test_the_pages_of_projects(client, people) -> None:
    client.force_login(people.owner)
    assert "team" in client.get(reverse("accounts:project_list")).content.decode()
    page = reverse("accounts:project_detail", args=[people.team.pk])
    assert "viewer" in client.get(page).content.decode()
    current = client.get(reverse("accounts:project_current"))
    assert current["Location"].endswith(f"{people.owner.personal_project.pk}/")
    refused = client.post(
        reverse("accounts:member_add", args=[people.team.pk]), {"user": "nobody", "role": 10}
    )
    assert refused.status_code == 422
    assert "Nobody is registered" in refused.content.decode()
    client.post(
        reverse("accounts:member_add", args=[people.team.pk]), {"user": "stranger", "role": 10}
    )
    role = reverse("accounts:member_set", args=[people.team.pk, people.stranger.pk])
    client.post(role, {"role": 20})
    assert people.team.role_of(people.stranger) == Role.DEVELOPER
    client.post(reverse("accounts:member_remove", args=[people.team.pk, people.stranger.pk]))
    assert people.team.role_of(people.stranger) == 0
    client.post(reverse("accounts:project_rename", args=[people.team.pk]), {"name": "Lab"})
    assert Project.objects.get(pk=people.team.pk).name == "Lab"
    left = client.post(reverse("accounts:project_leave", args=[people.team.pk]))
    assert "last manager" in str([str(message) for message in get_messages(left.wsgi_request)])
    limits = reverse("accounts:project_limits_set", args=[people.team.pk])
    assert client.post(limits, {"max_active_jobs": 1, "max_storage_gib": 1}).status_code == 404
    client.force_login(people.operator)
    client.post(limits, {"max_active_jobs": 1, "max_storage_gib": 1})
    assert Project.objects.get(pk=people.team.pk).max_storage_bytes == 2**30


def test_a_new_project_becomes_the_current_one(client, people) -> None:
    client.force_login(people.stranger)
    assert client.get(reverse("accounts:project_create")).status_code == 200
    assert client.post(reverse("accounts:project_create"), {"name": ""}).status_code == 422
    client.post(reverse("accounts:project_create"), {"name": "Lab"})
    made = Project.objects.get(name="Lab")
    assert client.session["project"] == str(made.pk)
    assert Membership.objects.get(project=made).role == Role.MANAGER


def test_the_profile_page(client, people) -> None:
    client.force_login(people.owner)
    address = reverse("accounts:settings")
    assert client.get(address).status_code == 200
    saved = client.post(address, {"first_name": "Ada", "language": "zh-hans"})
    assert saved.cookies["django_language"].value == "zh-hans"
    people.owner.refresh_from_db()
    assert (people.owner.first_name, people.owner.language) == ("Ada", "zh-hans")
    refused = client.post(address, {"first_name": "Ada", "language": "xx"})
    assert refused.status_code == 422
    assert "language" in refused.context["form"].errors


def test_operators_page_through_all_projects_with_their_own_first(client, people) -> None:
    Project.objects.bulk_create(Project(name=f"project {number:02}") for number in range(40))
    client.force_login(people.operator)
    first = client.get(reverse("accounts:project_list"))
    assert first.context["projects"][0]["project"] == people.operator.personal_project
    assert len(first.context["projects"]) == 30
    second = client.get(reverse("accounts:project_list"), {"page": 2})
    assert len(second.context["projects"]) == Project.objects.count() - 30


def test_the_list_is_searched_by_name(client, people):
    client.force_login(people.owner)
    services.project_create(name="Garden", created_by=people.owner)
    page = client.get(reverse("accounts:project_list"), {"q": "gard"})
    assert [row["project"].name for row in page.context["projects"]] == ["Garden"]
    page = client.get(reverse("accounts:project_list"), {"q": "nowhere"})
    assert "Nothing found" in page.content.decode()
