"""Imports on pages and over the API, and with their project."""

import pytest
from django.urls import reverse

from datasets import services
from datasets.models import Import
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.fetching import TOKEN, fetch, hasty, shared
from tests.datasets.hubs import hub

__all__ = ["fetch", "hasty", "hub", "shared"]
pytestmark = pytest.mark.django_db


def test_the_pages(client, people, hub, shared) -> None:
    hub.files = {"en/train.jsonl": jsonl(GOOD), "zh/train.jsonl": jsonl(GOOD)}
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    for kind in ("huggingface", "modelscope", "s3", "directory"):
        assert client.get(reverse("datasets:import_create"), {"kind": kind}).status_code == 200
    assert client.get(reverse("datasets:import_create"), {"kind": "ftp"}).status_code == 404
    browsed = client.get(
        reverse("datasets:import_create"), {"kind": "directory", "path": "team"}
    ).content.decode()
    assert "a.jsonl" in browsed
    assert "out.jsonl" not in browsed
    assert ".hidden" not in browsed
    answer = client.post(
        reverse("datasets:import_create"), {"kind": "huggingface", "repository": "lab/rows"}
    )
    found = Import.objects.get()
    page = reverse("datasets:import_detail", args=[found.pk])
    assert answer["Location"] == page
    services.import_execute(found.pk)
    assert 'value="zh / train"' in client.get(page).content.decode()
    client.post(reverse("datasets:import_choose", args=[found.pk]), {"choices": ["zh / train"]})
    services.import_execute(found.pk)
    assert "rows v1" in client.get(page).content.decode()
    assert "lab/rows" in client.get(reverse("datasets:import_list")).content.decode()
    client.force_login(people.stranger)
    assert client.get(page).status_code == 404
    cancel = reverse("datasets:import_cancel", args=[found.pk])
    assert client.post(cancel).status_code == 404


def test_trying_again_keeps_what_was_typed(client, people, hub, fetch) -> None:
    hub.token = TOKEN
    found = fetch(name="mine", files=["a.*"])
    client.force_login(people.member)
    again = client.get(
        reverse("datasets:import_create"), {"kind": "huggingface", "again": str(found.pk)}
    ).content.decode()
    assert 'value="lab/rows"' in again
    assert 'value="a.*"' in again


def test_the_api(client, people, hub) -> None:
    hub.files = {"train.jsonl": jsonl(GOOD), "test.jsonl": jsonl(GOOD)}
    client.force_login(people.member)

    def post(name, data, *args):
        return client.post(reverse(name, args=args), data, content_type="application/json")

    made = post(
        "api-import-list",
        {
            "kind": "huggingface",
            "repository": "lab/rows",
            "token": TOKEN,
            "project": str(people.team.pk),
        },
    )
    assert made.status_code == 202
    found = made.json()
    assert TOKEN not in made.content.decode()
    assert "secret" not in found
    services.import_execute(found["id"])
    seen = client.get(reverse("api-import-detail", args=[found["id"]])).json()
    assert (seen["state"], [one["name"] for one in seen["offers"]]) == (
        "choosing",
        ["test", "train"],
    )
    chosen = post("api-import-choose", {"choices": ["train"]}, found["id"])
    assert chosen.json()["state"] == "waiting"
    cancelled = post("api-import-cancel", {}, found["id"])
    assert cancelled.json()["state"] == "cancelled"
    assert post("api-import-cancel", {}, found["id"]).status_code == 409
    wrong = post("api-import-list", {"kind": "s3", "path": "x", "project": str(people.team.pk)})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "path")


def test_imports_go_with_their_project(hub, fetch, people) -> None:
    fetch(execute=False)
    services.project_empty(people.team, until=float("inf"))
    assert not Import.objects.exists()
