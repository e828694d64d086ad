"""Rows that look like messages are recognised, proposed to be grouped, and grouped in a run."""

import csv
import io

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services
from datasets.models import DatasetVersion, Recipe
from datasets.recipes import kinds
from datasets.shapes.talks import talks_guess
from tests.datasets.conftest import values

pytestmark = pytest.mark.django_db
SAID = [
    ("customer", "It is broken."),
    ("agent", "Which one?"),
    ("customer", "The lamp."),
    ("agent", "Call 13812345678."),
]
LOG = [
    {"session_id": f"s{talk}", "time": f"2024-05-01 10:{at:02}:0{talk}", "role": who, "text": said}
    for at, (who, said) in enumerate(SAID)
    for talk in range(6)
]


def test_columns_and_sides_of_messages() -> None:
    found = talks_guess(LOG)
    assert found == {
        "conversation": "session_id",
        "role": "role",
        "content": "text",
        "order": "time",
        "roles": "customer = user\nagent = assistant",
        "others": "drop",
    }
    kinds.steps_checked([{"kind": "group", "parameters": found}])


def test_whoever_speaks_in_most_conversations_is_the_assistant() -> None:
    rows = [
        {"会话ID": talk, "发送人": who, "内容": "x", "序号": 1}
        for talk in range(4)
        for who in (f"买方 {talk}", "小店", "客户")
    ]
    found = talks_guess([row for row in rows if row["发送人"] != "客户"])
    assert found is not None
    assert (found["conversation"], found["order"]) == ("会话ID", "序号")
    assert (found["roles"], found["others"]) == ("小店 = assistant", "user")
    known = talks_guess(rows)
    assert known is not None
    assert known["roles"].split("\n") == ["小店 = assistant", "客户 = user"]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["x"],
        [{"instruction": "a", "output": "b"}] * 3,
        [{"session": n, "role": "user", "text": "x"} for n in range(5)],  # one message each
        [{"session": 1, "role": "user", "text": "x"}] * 5,  # one speaker
        [{"session": 1, "role": n, "text": "x"} for n in ("user", "bot", "x" * 99)],
        [{"session": 1, "role": n, "text": {"a": 1}} for n in ("user", "bot")],
        [{"session": [1], "role": n, "text": "a"} for n in ("user", "bot")],
        [{"role": n, "text": "a"} for n in ("user", "bot")],
    ],
)
def test_other_rows_are_no_messages(rows) -> None:
    assert talks_guess(rows) is None


@pytest.fixture
def api(people) -> APIClient:
    """A member's client of the API."""
    client = APIClient()
    client.force_authenticate(people.member)
    return client


@pytest.fixture
def log(make) -> DatasetVersion:
    """A table of messages, as it was uploaded."""
    table = io.StringIO()
    writer = csv.DictWriter(table, list(LOG[0]))
    writer.writeheader()
    writer.writerows(LOG)
    data = table.getvalue().encode()
    return make(data, filename="log.csv").latest


def test_the_check_waits_with_messages_and_says_so(client, people, log) -> None:
    assert (log.state, log.report["messages"]["conversation"]) == ("mapping", "session_id")
    client.force_login(people.member)
    page = client.get(reverse("datasets:version_rows", args=[log.dataset_id, log.pk]))
    address = f"{reverse('datasets:recipe_create')}?version={log.pk}&amp;step=group"
    assert address in page.content.decode()
    client.force_login(people.stranger)
    page = client.get(reverse("datasets:version_rows", args=[log.dataset_id, log.pk]))
    assert page.status_code == 404


def test_whoever_names_the_columns_is_believed(make, people) -> None:
    version = make(LOG, wish=services.Wish("text", {"prompt": "text"})).latest
    assert version.state == "ready"
    assert "messages" not in version.report


def test_the_editor_proposes_the_step_and_shows_what_it_does(client, people, log) -> None:
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    url = reverse("datasets:recipe_create")
    page = client.get(url, {"version": str(log.pk), "step": "group"}).content.decode()
    for proposed in ('value="session_id"', "agent = assistant", '<option value="time">'):
        assert proposed in page
    empty = client.get(url, {"step": "group"}).content.decode()
    assert 'name="step-1-conversation"' in empty
    later = {"act": "columns", "kind": "group", "version": str(log.pk)}
    assert 'value="session_id"' in client.post(url, later).content.decode()
    kept = client.post(url, {**later, "step-1-content": "mine"}).content.decode()
    assert "agent = assistant" not in kept
    sent = {"name": "talks", "kind": "group", "version": str(log.pk), "act": "save"}
    sent |= {f"step-1-{name}": value for name, value in log.report["messages"].items()}
    wrong = client.post(url, sent | {"step-1-shape": "openai", "step-1-roles": "agent: us"})
    assert wrong.status_code == 422
    assert "“agent: us” cannot be read" in wrong.content.decode()
    saved = client.post(url, sent | {"step-1-shape": "openai"})
    shown = client.get(saved.url).content.decode()
    assert "oined with other messages by step 1" in shown
    assert "messages in conversations" in shown


def test_a_run_over_the_api(people, log, api, django_capture_on_commit_callbacks) -> None:
    """Of messages one version of conversations that can be trained on, with one phone number."""
    kinds_listed = {one["name"]: one for one in api.get("/api/v1/recipes/kinds/").json()}
    types = {one["name"]: one["type"] for one in kinds_listed["group"]["parameters"]}
    assert (types["conversation"], types["roles"]) == ("column", "speakers")
    steps = [
        {"kind": "group", "parameters": log.report["messages"]},
        {"kind": "mask", "parameters": {"scope": "dataset"}},
    ]
    body = {"project": str(people.team.pk), "name": "talks", "steps": steps}
    made = api.post("/api/v1/recipes/", body, format="json")
    assert made.status_code == 201, made.json()
    here = f"/api/v1/recipes/{made.json()['id']}/"
    seen = api.get(f"{here}preview/?version={log.pk}").json()
    assert [row["reason"] for row in seen["rows"]].count("joined") == 18
    body["steps"][0]["parameters"]["roles"] = "agent"
    refused = api.post("/api/v1/recipes/", {**body, "name": "other"}, format="json")
    assert refused.status_code == 422
    with django_capture_on_commit_callbacks(execute=True):
        run = api.post(f"{here}run/", {"version": str(log.pk)}, format="json").json()
        services.run_execute(run["id"])
    version = DatasetVersion.objects.get(run=run["id"])
    assert (version.state, version.shape, version.rows) == ("ready", "sharegpt", 6)
    assert {row["conversations"][-1]["value"] for row in values(version)} == {"Call [PHONE_1]."}
    assert [row["session_id"] for row in values(version)] == [f"s{talk}" for talk in range(6)]
    report = version.lineage["report"]
    assert report[0]["found"] == {"messages": 24}
    assert Recipe.objects.count() == 1
