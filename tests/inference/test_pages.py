"""Pages and the REST API of deployments: what each person sees and may do."""

import json

import pytest
from django.urls import reverse

from inference.models import Deployment
from tests.inference.parts import make_deployment, make_version, workload_of

pytestmark = pytest.mark.django_db
FRAGMENT = {"hx-request": "true"}


def enter(client, user, project) -> None:
    """Signs in and works in the project."""
    client.force_login(user)
    session = client.session
    session["project"] = str(project.pk)
    session.save()


@pytest.fixture
def deployment(people) -> Deployment:
    return make_deployment(people.team, people.developer)


def page(client, name: str, *args, **kwargs) -> str:
    answer = client.get(reverse(f"inference:{name}", args=args), **kwargs)
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_empty_list_says_what_to_do_first(people, client) -> None:
    enter(client, people.developer, people.team)
    assert "No model in service yet" in page(client, "deployment_list")
    assert reverse("inference:deployment_create") in page(client, "deployment_list")
    enter(client, people.viewer, people.team)
    assert reverse("inference:deployment_create") not in page(client, "deployment_list")


def test_the_list_shows_state_countdown_and_buttons(people, client, deployment) -> None:
    make_deployment(
        people.team, people.owner, state="failed", name="old-v1", version=deployment.version
    )
    enter(client, people.developer, people.team)
    text = page(client, "deployment_list")
    assert f'data-until="{deployment.unloads_at.isoformat()}"' in text
    assert "Stop" in text
    assert "Deploy again" in text
    assert f'data-live="{deployment.pk},' in page(client, "deployment_list", headers=FRAGMENT)
    enter(client, people.viewer, people.team)
    text = page(client, "deployment_list")
    assert "helpdesk-v3" in text
    assert reverse("inference:deployment_stop", args=[deployment.pk]) not in text


@pytest.mark.parametrize("state", Deployment.State.values)
def test_the_page_of_a_deployment_in_every_state(people, client, deployment, state) -> None:
    reason = "no file named config.json"
    Deployment.objects.update(state=state, reason=reason if state == "failed" else "")
    enter(client, people.developer, people.team)
    text = page(client, "deployment_detail", deployment.pk)
    assert "http://testserver/v1" in text
    assert "OpenAI(" in text
    workload = workload_of(deployment)
    assert str(workload.socket_path) not in text
    assert ("Deploy again" in text) == (state in Deployment.FINAL)
    assert (reason in text) == (state == "failed")
    assert client.get(
        reverse("inference:deployment_detail", args=[deployment.pk]) + "?part=events",
        headers=FRAGMENT,
    ).content.startswith(b'<div id="events"')
    assert "<html" not in page(client, "deployment_detail", deployment.pk, headers=FRAGMENT)


def test_deploying_on_the_page(people, client) -> None:
    version = make_version(people.team)
    judge = make_version(people.team, name="judge", kind="reward")
    enter(client, people.developer, people.team)
    url = reverse("inference:deployment_create")
    text = client.get(f"{url}?version={version.pk}").content.decode()
    assert f'value="{version.pk}" selected' in text
    assert str(judge.pk) not in text
    assert client.post(url, {"version": str(version.pk), "idle_minutes": "0"}).status_code == 422
    made = client.post(url, {"version": str(version.pk), "idle_minutes": "10"})
    deployment = Deployment.objects.get()
    assert made.url == reverse("inference:deployment_detail", args=[deployment.pk])
    assert deployment.idle_seconds == 600
    refused = client.post(url, {"version": str(version.pk), "idle_minutes": "10"})
    assert refused.status_code == 422
    assert "Stop one of them first" in refused.content.decode().replace("\n", " ")
    client.post(reverse("inference:deployment_stop", args=[deployment.pk]), {"back": "list"})
    deployment.refresh_from_db()
    assert deployment.state == Deployment.State.STOPPING


def test_without_a_model_the_form_says_so(people, client) -> None:
    enter(client, people.developer, people.team)
    assert "No model can be deployed yet" in page(client, "deployment_create")


def test_the_log_is_downloaded_by_members(people, client, deployment) -> None:
    enter(client, people.viewer, people.team)
    url = reverse("inference:deployment_log", args=[deployment.pk])
    assert client.get(url).status_code == 404
    workload_of(deployment).log_path.write_text("loading …\n", encoding="utf-8")
    assert b"".join(client.get(url).streaming_content).decode() == "loading …\n"
    client.force_login(people.stranger)
    assert client.get(url).status_code == 404


def test_buttons_return_to_the_conversation(people, client, deployment) -> None:
    Deployment.objects.update(state="stopped")
    enter(client, people.developer, people.team)
    talk = client.post(
        reverse("inference:conversation_create"), {"deployment": str(deployment.pk)}
    ).url
    back = {"back": f"chat:{talk.rstrip('/').rsplit('/', 1)[-1]}"}
    answer = client.post(reverse("inference:deployment_restart", args=[deployment.pk]), back)
    assert answer.url == talk
    bad = client.post(
        reverse("inference:deployment_stop", args=[deployment.pk]), {"back": "chat://evil"}
    )
    assert bad.status_code == 404


def call(client, method: str, path: str, body=None):
    data = json.dumps(body) if body is not None else None
    answer = getattr(client, method)(f"/api/v1/deployments/{path}", data, "application/json")
    return answer.status_code, answer.json() if answer.content else None


def test_the_api_does_what_the_pages_do(people, client) -> None:
    version = make_version(people.team)
    client.force_login(people.developer)
    body = {"version": str(version.pk), "project": str(people.team.pk), "idle_seconds": 60}
    status, made = call(client, "post", "", body)
    assert (status, made["state"], made["name"]) == (201, "waiting", "helpdesk-v3")
    assert made["version_name"] == "helpdesk v3"
    status, refused = call(client, "post", "", body)
    assert (status, refused["code"], refused["limit"]) == (422, "quota_exceeded", 1)
    own = f"{made['id']}/"
    workload = workload_of(Deployment.objects.get())
    workload.log_path.write_text("0123456789")
    got = client.get(f"/api/v1/deployments/{own}log/?offset=4&limit=3").json()
    assert got == {"offset": 4, "next": 7, "text": "456"}
    assert client.get(f"/api/v1/deployments/{own}log/?limit=2").json()["text"] == "89"
    assert client.get(f"/api/v1/deployments/{own}log/?offset=x").status_code == 400
    assert call(client, "post", f"{own}stop/")[1]["state"] == "stopping"
    assert call(client, "post", f"{own}restart/")[0] == 409
    assert call(client, "delete", own)[0] == 409
    Deployment.objects.update(state="stopped")
    assert call(client, "post", f"{own}restart/")[1]["state"] == "waiting"
    Deployment.objects.update(state="stopped")
    assert call(client, "delete", own)[0] == 204


def test_the_api_hides_what_is_not_ones_own(people, client, deployment) -> None:
    own = f"{deployment.pk}/"
    client.force_login(people.viewer)
    assert client.get(f"/api/v1/deployments/{own}").status_code == 200
    assert call(client, "post", f"{own}stop/")[0] == 404
    body = {"version": str(deployment.version_id), "project": str(people.team.pk)}
    assert call(client, "post", "", body)[0] == 400
    client.force_login(people.stranger)
    assert client.get("/api/v1/deployments/").json()["results"] == []
    assert client.get(f"/api/v1/deployments/{own}").status_code == 404
    assert call(client, "post", f"{own}restart/")[0] == 404


def test_the_admin_changes_through_the_services(people, client, deployment) -> None:
    client.force_login(people.operator)
    for model in ("deployment", "replica", "conversation", "message"):
        assert client.get(f"/admin/inference/{model}/").status_code == 200
    client.post(
        "/admin/inference/deployment/",
        {"action": "stop", "_selected_action": [str(deployment.pk)]},
    )
    deployment.refresh_from_db()
    assert deployment.state == Deployment.State.STOPPING
