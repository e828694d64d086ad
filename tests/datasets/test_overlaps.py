"""Rows that evaluation sets ask, too: which sets are compared, what is found, and who sees it."""

from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services
from datasets.ingest import no_progress
from datasets.models import Dataset, DatasetVersion
from datasets.previews import mapping_of
from datasets.services import overlaps
from datasets.signals import evaluation_sets
from datasets.statistics.overlaps import Sets, overlaps_count
from tests.datasets import children
from tests.datasets.conftest import GOOD, jsonl

pytestmark = pytest.mark.django_db
ASKED = "What did the committee decide about the new library in the old town last Monday evening?"
ZH = "请根据上面的材料，写一篇关于家乡春天的作文，不少于八百字，语言要生动。"
TEST = [
    {"instruction": ASKED, "output": "To build it."},
    {"instruction": ZH, "output": "春天来了。"},
    {"instruction": "Short one", "output": "a"},
    {
        "instruction": "How many people live in the three biggest towns of the island?",
        "output": "9",
    },
]
TRAIN = [
    *GOOD[:5],
    {"instruction": f"  {ASKED.upper()}!", "output": "something else"},  # 6: exact
    {"instruction": ASKED.replace("Monday", "Tuesday"), "output": "b"},  # 7: near
    {"instruction": ZH.replace("八百", "六百"), "output": "c"},  # 8: near
    {"instruction": "Short two", "output": "d"},
    {"instruction": "What did the committee decide about the bridge?", "output": "To wait."},
    {"instruction": "short", "input": "ONE", "output": "e"},  # 11: exact
    {"instruction": "Ask me something.", "output": ASKED},  # 12: whoever says it
]


@pytest.fixture
def sets(make) -> tuple[DatasetVersion, DatasetVersion]:
    """A version to train on and a test part, both counted."""
    train, test = make(TRAIN, name="train").latest, make(TEST, name="support-test").latest
    DatasetVersion.objects.filter(pk=test.pk).update(lineage={"part": "test"})
    for version in (test, train):
        assert services.version_statistics(version.pk)
        version.refresh_from_db()
    return train, test


def test_what_is_found(sets) -> None:
    train, test = sets
    found = train.overlaps[str(test.pk)]
    assert (found["exact"], found["near"], found["of"], found["looked"]) == (3, 2, 4, 4)
    assert found["rows"] == [
        {"row": 6, "other": 1, "exact": True},
        {"row": 7, "other": 1, "exact": False},
        {"row": 8, "other": 2, "exact": False},
        {"row": 11, "other": 3, "exact": True},
        {"row": 12, "other": 1, "exact": True},
    ]
    assert test.overlaps == {}  # nothing is compared with itself


def test_new_sets_are_compared_and_old_ones_forgotten(sets, make) -> None:
    """Sets come and go; the sweep asks for what is missing, and nothing twice."""
    train, test = sets
    assert not services.version_statistics(train.pk)
    later = make(TRAIN[:7], name="later").latest
    assert services.version_statistics(later.pk)

    def tell(sender: object, **_more: object) -> list[tuple[object, object]]:
        return [(train.dataset.project_id, later.pk)]

    evaluation_sets.connect(tell)
    try:
        assert set(overlaps.uncompared()) == {train.pk, test.pk, later.pk}
        assert services.version_statistics(train.pk)
        train.refresh_from_db()
        assert train.overlaps[str(later.pk)]["exact"] == 8  # one of them in an answer
        assert set(train.overlaps) == {str(later.pk), str(test.pk)}
        Dataset.objects.filter(pk=test.dataset_id).delete()
        for version in (train, later):
            assert services.version_statistics(version.pk)
        train.refresh_from_db()
        assert set(train.overlaps) == {str(later.pk)}
        assert overlaps.uncompared() == []
    finally:
        evaluation_sets.disconnect(tell)
    other = make(TEST, name="another").latest
    DatasetVersion.objects.filter(pk=other.pk).update(lineage={"part": "test"})
    assert services.version_statistics(train.pk)
    train.refresh_from_db()
    assert set(train.overlaps) == {str(other.pk)}


@pytest.mark.parametrize("part", ["validation", "test", "train", ""])
def test_parts_stay_what_they_are_when_a_recipe_tidies_them(make, people, part) -> None:
    """Only what models are measured by is an evaluation set, tidied or not."""
    source = make(TEST).latest
    DatasetVersion.objects.filter(pk=source.pk).update(lineage={"part": part})
    recipe = services.recipe_create(
        project=people.team, created_by=people.member, name="tidy", steps=[{"kind": "clean"}]
    )
    run = services.run_create(recipe.pk, by=people.member, version_id=source.pk)
    assert services.run_execute(run.pk)
    made = run.outputs.get()
    assert made.lineage["part"] == part
    found = overlaps.sets_by_project()[people.team.pk]
    assert set(found) == ({source.pk, made.pk} if part in {"validation", "test"} else set())


def test_a_comparison_that_never_ends_is_given_up(sets, make) -> None:
    train, _test = sets
    other = make(TEST, name="another").latest
    DatasetVersion.objects.filter(pk=other.pk).update(lineage={"part": "test"})
    DatasetVersion.objects.filter(pk=train.pk).update(progress={"tries": 5})
    assert services.version_statistics(train.pk)
    train.refresh_from_db()
    assert "error" in train.overlaps[str(other.pk)]
    assert "error" not in train.statistics
    assert not services.version_statistics(train.pk)


def test_who_sees_it(sets, client, people) -> None:
    """Rows are linked for readers of the set; others do not learn that it exists."""
    train, _test = sets
    url = reverse("datasets:version_statistics", args=[train.dataset_id, train.pk])
    rows = reverse("datasets:version_rows", args=[train.dataset_id, train.pk])
    path = f"/api/v1/datasets/{train.dataset_id}/versions/{train.pk}/overlaps/"
    client.force_login(people.viewer)
    page = client.get(url).content.decode()
    assert "support-test v1" in page and f"{rows}?row=8" in page
    assert "5 rows also in support-test v1" in client.get(rows).content.decode()
    api = APIClient()
    api.force_authenticate(people.viewer)
    answer = api.get(path).json()
    assert [(one["name"], one["state"], one["exact"]) for one in answer] == [
        ("support-test v1", "done", 3)
    ]
    Dataset.objects.filter(pk=train.dataset_id).update(is_public=True)
    client.force_login(people.stranger)
    for address in (url, rows):
        assert "support-test" not in client.get(address).content.decode()
    assert APIClient().get(path).json() == []


def _found(version: DatasetVersion, test: DatasetVersion) -> dict[str, Any]:
    """What the version shares with a set, looked for without the database."""
    sets = Sets()
    sets.add(test.rows_path, mapping_of(test))
    overlaps_count(version.rows_path, mapping_of(version), sets, progress=no_progress)
    return asdict(sets.found[0])


def test_whole_rows_are_looked_at(make) -> None:
    """Questions stand anywhere: deep in a text, in a later turn, in an answer, across turns."""
    test = make(TEST, name="test").latest
    filler = "The harbour was quiet and the boats lay still. " * 400
    texts = make(
        [{"text": filler}, {"text": filler + ASKED + filler}, {"text": filler + ZH[:12]},
         {"text": filler + ZH.replace("家乡", "故乡") + filler}, {"text": "She said: short one"}],
        name="texts",
    ).latest  # fmt: skip
    found = _found(texts, test)
    assert [(one["row"], one["other"], one["exact"]) for one in found["rows"]] == [
        (2, 1, True),
        (4, 2, False),
    ]
    said = [("user", "Hello there"), ("assistant", "Good day"), ("user", ASKED), ("assistant", "b")]
    halves = [("user", ASKED[:40]), ("assistant", "Go on, please"), ("user", ASKED[40:])]
    told = [("user", "Tell me a question"), ("assistant", f"Here is one: {ASKED}")]
    small = [("user", "Hi"), ("assistant", "Yes?"), ("user", "Short one!"), ("assistant", "a")]
    talks = [said, [*halves, ("assistant", "b")], told, small]
    rows = [
        {"messages": [{"role": role, "content": text} for role, text in talk]} for talk in talks
    ]
    found = _found(make(rows, name="talks").latest, test)
    assert [(one["row"], one["other"], one["exact"]) for one in found["rows"]] == [
        (1, 1, True),
        (2, 1, True),
        (3, 1, True),
        (4, 3, True),
    ]


def test_questions_of_one_form_are_told_apart(make) -> None:
    """What all questions have in common finds none of them."""
    form = "Answer the following question about geography with a single word: what is the capital"
    places = [f"{form} of {name}land?" for name in map("".join, product("abcdefgh", repeat=4))]
    test = make([{"instruction": one, "output": "x"} for one in places], name="test").latest
    assert test.rows == 4096
    asked = [places[7], places[4000] + " Please.", f"{form} of Wonderful Otherplace on the sea?"]
    found = _found(
        make([{"instruction": one, "output": "x"} for one in asked], name="train").latest, test
    )
    exact = [one for one in found["rows"] if one["exact"]]
    assert [(one["row"], one["other"]) for one in exact] == [(1, 8), (2, 4001)]


def test_every_set_is_compared(make, monkeypatch) -> None:
    """However many there are, in as few readings of the rows as their letters allow."""
    monkeypatch.setattr("datasets.statistics.overlaps.LETTERS", 200)
    train = make(TRAIN, name="train").latest
    for number in range(25):
        test = make(TEST[number % 2 : number % 2 + 1], name=f"test {number}").latest
        DatasetVersion.objects.filter(pk=test.pk).update(lineage={"part": "test"})
    readings = []
    count = overlaps.overlaps_count

    def counted(*what: Any, **more: Any) -> None:
        readings.append(len(what[2].found))
        count(*what, **more)

    monkeypatch.setattr(overlaps, "overlaps_count", counted)
    assert services.version_statistics(train.pk)
    train.refresh_from_db()
    assert len(train.overlaps) == sum(readings) == 25
    assert 25 > len(readings) > 1
    assert all(one["exact"] or one["near"] for one in train.overlaps.values())
    assert sum(one["exact"] for one in train.overlaps.values()) == 13 * 2


def test_a_long_row_and_a_long_question(make, monkeypatch) -> None:
    """Letters are taken piece by piece; a place across two pieces is found, too."""
    monkeypatch.setattr("datasets.statistics.questions.PIECE", 50)
    monkeypatch.setattr("datasets.statistics.overlaps.TOGETHER", 500)
    test = make([{"text": " ".join(f"word{n * 7919}" for n in range(300))}, *[]], name="t").latest
    rows = [{"text": "zebra " * n + " ".join(f"word{k * 7919}" for k in range(300))}
            for n in range(0, 40, 3)]  # fmt: skip
    found = _found(make([*rows, {"text": "zebra " * 900}], name="train").latest, test)
    assert (found["exact"], found["near"]) == (len(rows), 0)
    half = make([{"text": rows[0]["text"][:1000]}] * 2, name="half").latest
    assert _found(half, test)["rows"] == []


def test_big_sets_are_drawn_evenly(make, monkeypatch) -> None:
    monkeypatch.setattr("datasets.statistics.overlaps.SET_ROWS", 10)
    version = make(GOOD).latest
    found = _found(version, version)
    assert found["of"] == 30
    assert 5 < found["looked"] < 15
    assert found["exact"] == found["looked"]
    assert [one["row"] for one in found["rows"]] == [one["other"] for one in found["rows"]]


MEASURED = """
import sys
from pathlib import Path
import django
django.setup()
from datasets.ingest import contents_ingest, no_progress
from datasets.shapes.detect import guess
from datasets.statistics.overlaps import Sets, overlaps_count
from tests.memory import peak_kilobytes
folders = [Path(one) for one in sys.argv[1:]]
found = [
    contents_ingest(folder, folder / "original", "a.jsonl", line_limit=16 << 20)
    for folder in folders
]
mapping = guess(found[0].sample).mapping
sets = Sets()
sets.add(folders[0] / "rows.jsonl", mapping)
overlaps_count(folders[1] / "rows.jsonl", mapping, sets, progress=no_progress)
print(sets.found[0].looked, sets.found[0].exact, peak_kilobytes() // 1024)
"""


@pytest.mark.once
def test_memory_is_bounded(tmp_path: Path) -> None:
    """A set of 20,000 questions, and a row of twelve megabytes with one of them at its end."""
    questions = [
        {"text": " ".join(f"{n * k:x}" for k in range(31, 51))} for n in range(10**5, 12 * 10**4)
    ]
    long = {"text": "word " * 2_400_000 + questions[77]["text"]}
    for name, rows in (("set", questions), ("data", [long, *questions[:100]])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "original").write_bytes(jsonl(rows))
    done = children.run(MEASURED, str(tmp_path / "set"), str(tmp_path / "data"))
    looked, exact, megabytes = map(int, done.stdout.split())
    assert (looked, exact) == (20_000, 101)
    assert megabytes < 450
