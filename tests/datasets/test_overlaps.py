"""Rows that evaluation sets ask, too: which sets are compared, what is found, and who sees it."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services
from datasets.models import Dataset, DatasetVersion
from datasets.services import overlaps
from datasets.signals import evaluation_sets
from datasets.statistics.overlaps import Prompts
from tests.datasets.conftest import GOOD

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
    {"instruction": "To build it.", "output": ASKED},  # the answer is no question
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
    assert (found["exact"], found["near"], found["of"], found["looked"]) == (2, 2, 4, 4)
    assert found["rows"] == [
        {"row": 6, "other": 1, "exact": True},
        {"row": 7, "other": 1, "exact": False},
        {"row": 8, "other": 2, "exact": False},
        {"row": 11, "other": 3, "exact": True},
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
        assert set(overlaps.uncompared()) == {train.pk, test.pk}
        assert services.version_statistics(train.pk)
        train.refresh_from_db()
        assert train.overlaps[str(later.pk)]["exact"] == 7
        assert set(train.overlaps) == {str(later.pk), str(test.pk)}
        Dataset.objects.filter(pk=test.dataset_id).delete()
        assert overlaps.uncompared() == []
    finally:
        evaluation_sets.disconnect(tell)
    other = make(TEST, name="another").latest
    DatasetVersion.objects.filter(pk=other.pk).update(lineage={"part": "test"})
    assert services.version_statistics(train.pk)
    train.refresh_from_db()
    assert set(train.overlaps) == {str(other.pk)}


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
    assert "4 rows also in support-test v1" in client.get(rows).content.decode()
    api = APIClient()
    api.force_authenticate(people.viewer)
    answer = api.get(path).json()
    assert [(one["name"], one["state"], one["exact"]) for one in answer] == [
        ("support-test v1", "done", 2)
    ]
    Dataset.objects.filter(pk=train.dataset_id).update(is_public=True)
    client.force_login(people.stranger)
    for address in (url, rows):
        assert "support-test" not in client.get(address).content.decode()
    assert APIClient().get(path).json() == []


def test_big_sets_are_drawn_evenly(make, monkeypatch) -> None:
    monkeypatch.setattr("datasets.statistics.overlaps.SET_ROWS", 10)
    version = make(GOOD).latest
    prompts = Prompts(version.rows_path, services.statistics.mapping_of(version))
    assert (prompts.count, prompts.looked) == (30, 10)
    assert prompts.find(["question", "27"]) == (27, True)
    assert prompts.find(["question", "28"]) is None
