"""Rows filtered and sorted by columns: on the page, over the API, and what that takes."""

import html
import os
import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import previews, services
from datasets.models import DatasetVersion
from datasets.reading.locks import locked
from datasets.services import indexes as making
from datasets.statistics.choosing import Choice, Known
from datasets.statistics.indexes import Index
from tests.datasets import children
from tests.datasets.conftest import upload
from tests.datasets.test_columns import numbers

ROWS = [
    {"instruction": f"q{n}", "output": "a", "source": ["web", "书", ""][n % 3], "score": n % 7}
    for n in range(60)
]


@pytest.fixture
def version(db, make) -> DatasetVersion:
    """A version whose rows are not counted."""
    return make(ROWS).latest


@pytest.fixture
def pages(version, client, people):
    """The page and the API of its rows, by the same fields."""
    client.force_login(people.viewer)
    api = APIClient()
    api.force_authenticate(people.viewer)
    url = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/"
    return lambda fields: (client.get(url, fields), api.get(path, {**fields, "page_size": 10}))


def test_the_page_and_the_api_agree(pages) -> None:
    fields = {"column": ["source", "score"], "op": ["is", "least"], "value": ["书", "4"]}
    page, answer = pages({**fields, "order": "down:score", "from": 3})
    kept = sorted((n for n in range(60) if n % 3 == 1 and n % 7 >= 4), key=lambda n: -(n % 7))
    told = answer.json()
    assert [row["number"] for row in told["results"]] == [n + 1 for n in kept[2:]]
    assert [row.number for row in page.context["rows"].rows] == [n + 1 for n in kept[2:]]
    assert (told["state"], told["matching"], told["count"]) == ("done", len(kept), 60)
    text = page.content.decode()
    assert text.count('aria-label="Remove the condition: ') == 2
    assert '<option value="down:score" selected>score, descending</option>' in text
    page, answer = pages({**fields, "search": "q5", "q": "q5"})
    assert [row["number"] for row in answer.json()["results"]] == [56]
    assert [row.number for row in page.context["rows"].rows] == [56]
    page, answer = pages({"column": "source", "op": "is", "value": "none"})
    assert answer.json()["results"] == []
    assert "Clear the filters" in page.content.decode()


def test_refusals_are_told(pages) -> None:
    page, answer = pages({"column": "zzz", "op": "is", "value": "1"})
    assert (page.status_code, answer.status_code) == (422, 422)
    assert "no column “zzz”" in page.content.decode()
    assert answer.json()["code"] == "unknown_column"
    page, answer = pages({"column": "score", "op": "is", "value": ""})
    assert (page.status_code, answer.status_code) == (200, 422)  # a form that is being filled in
    assert '<option value="score" selected>score</option>' in page.content.decode()


def test_a_big_version_waits_for_a_process(version, pages, monkeypatch, people) -> None:
    """The page says how far it is; a process makes it; readers without account begin none."""
    monkeypatch.setattr(making, "SMALL", 0)
    nudges: list[tuple[Any, ...]] = []
    monkeypatch.setattr(making, "async_task", lambda *told, **_more: nudges.append(told))
    fields = {"order": "up:score"}
    page, answer = pages(fields)
    assert answer.json()["state"] == "waiting" and not answer.json()["results"]
    assert "Going through the column “score”" in page.content.decode()
    assert "every 2s" in page.content.decode()
    wanted = ["score", ""]
    assert nudges == [("datasets.tasks.rows_index", str(version.pk), wanted, str(people.viewer.pk))]
    choice = Choice(order="up", by="score")
    nobody = services.indexes_ready(version, choice, by=AnonymousUser())
    assert nobody.state == "failed" and "Log in" in nobody.problem
    assert services.index_make(version.pk, Index("score"))
    assert not services.index_make(version.pk, Index("score"))
    assert services.indexes_ready(version, choice, by=AnonymousUser()).state == "done"
    _page, answer = pages(fields)
    assert [row["number"] for row in answer.json()["results"]] == [
        1,
        8,
        15,
        22,
        29,
        36,
        43,
        50,
        57,
        2,
    ]
    assert not services.index_make(version.pk, Index("no such column"))


def test_an_index_that_never_ends_is_given_up(version, monkeypatch, people) -> None:
    monkeypatch.setattr(making, "SMALL", 0)
    monkeypatch.setattr(making, "async_task", lambda *_told, **_more: None)
    choice = Choice(order="up", by="score")

    def dies(*_args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Index, "write", dies)
    for _try in range(making.TRIES):
        assert services.indexes_ready(version, choice, by=people.viewer).state == "waiting"
        with pytest.raises(MemoryError):
            services.index_make(version.pk, Index("score"))
    failed = services.indexes_ready(version, choice, by=people.viewer)
    assert failed.state == "failed" and "“score”" in failed.problem
    note = making._note(version.indexes_directory, Index("score"))
    os.utime(note, (0, 0))
    assert services.indexes_ready(version, choice, by=people.viewer).state == "waiting"
    assert making._Told.of(note)[0].tries == 0


def test_what_nobody_uses_is_forgotten(version, make, monkeypatch, people) -> None:
    monkeypatch.setattr(making, "KEPT_AT_MOST", 2)
    root = version.indexes_directory
    columns = ["source", "score", "output"]
    for column in columns:
        choice = Choice(order="up", by=column)
        assert services.indexes_ready(version, choice, by=people.viewer).state == "done"
    assert len(making._made(root)) == 3  # all of them may be in use
    for place, column in enumerate(columns):
        os.utime(root / Index(column).name, (place, time.time() - 9999 + place))
    choice = Choice(order="up", by="instruction")
    assert services.indexes_ready(version, choice, by=people.viewer).state == "done"
    kept = {Index("output").name, Index("instruction").name}
    assert {path.name for path in making._made(root)} == kept
    os.utime(root / Index("output").name, (0, 0))
    half = making._note(root, Index("score")).with_suffix(".draft-1")  # a process was killed
    half.touch()
    (root.parent / "no version").mkdir()
    services.sweep()
    assert [path.name for path in making._made(root)] == [Index("instruction").name]
    assert not half.exists() and not (root.parent / "no version").exists()
    version.dataset.versions.all().delete()
    with locked(root):
        services.sweep()
        assert root.exists()
    services.sweep()
    assert not root.exists()


def test_a_search_goes_on_by_itself(make, client, people, monkeypatch) -> None:
    """Each request looks for so long only; together they find every row once. Stop stops."""
    monkeypatch.setattr(previews, "SEARCH_SECONDS", 0)
    rows = [{"instruction": "q" * 4000, "output": "a"} for _ in range(900)]
    hits = [3, 5, 700, 899]
    for number in hits:
        rows[number]["output"] = "the needle"
    version = make(rows).latest
    if version.state == "checking":
        services.version_check(version.pk)
    client.force_login(people.viewer)
    url = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    answer = client.get(url, {"q": "needle", "column": "", "op": "is", "value": ""})
    found = [row.number - 1 for row in answer.context["rows"].rows]
    assert found == hits[:2]
    steps = 0
    while on := re.search(r'class="goes-on" hx-get="([^"]+)"', answer.content.decode()):
        answer = client.get(html.unescape(on[1]), headers={"HX-Request": "true"})
        assert 'id="rows-foot"' in answer.content.decode()
        assert 'id="rows"' not in answer.content.decode()
        assert "from=" not in html.unescape(on[1])
        found += [row.number - 1 for row in answer.context["rows"].rows]
        steps += 1
    assert found == hits and steps > 1
    assert "Nothing found" not in answer.content.decode()
    answer = client.get(url, {"q": "needle"})
    stop = re.search(r'type="button" hx-get="([^"]+)"', answer.content.decode())
    stopped = client.get(html.unescape(stop[1]), headers={"HX-Request": "true"})
    assert "goes-on" not in stopped.content.decode()
    assert "Look further" in stopped.content.decode()
    answer = client.get(url, {"q": "no such words"})
    assert "Nothing found" not in answer.content.decode()  # it has not looked at all rows yet
    last = client.get(url, {"q": "no such words", "from": "899"})
    assert "Nothing found" in last.content.decode()
    room = client.get(url, {"q": "needle", "on": "1", "room": "1"}, headers={"HX-Request": "true"})
    assert [row.number for row in room.context["rows"].rows] == [4]
    assert "goes-on" not in room.content.decode()


MADE = """
import json, os, sys
import django
django.setup()
from django.core.management import call_command
from datasets import services
from tests.memory import peak_kilobytes
os.environ[services.INDEX_ASKED] = json.dumps(["instruction", ""])
call_command("rows_index", sys.argv[1])
print(peak_kilobytes() // 1024)
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_of_its_own_makes_it_in_bounded_memory(people, home) -> None:
    """40 MB of rows take far less memory than they are."""
    rows = [{"instruction": f"{n % 977} " * 5000, "output": "a"} for n in range(2000)]
    dataset = services.dataset_create(
        project=people.team, created_by=people.owner, name="data", upload=upload(rows)
    )
    version = dataset.latest
    if version.state == "checking":
        assert services.version_check(version.pk)
        version.refresh_from_db()
    megabytes = int(children.run(MADE, str(version.pk)).stdout)
    known = Known(2000, 0, version.check_directory, version.indexes_directory)
    words = sorted(range(2000), key=lambda number: f"{number % 977} 9")
    assert numbers(known, Choice(order="up", by="instruction")) == words
    assert megabytes < 200
