"""Near duplicates of versions: sought among all rows after the other counts, in bounded memory."""

from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services
from datasets.models import DatasetVersion
from datasets.reading.locks import locked
from datasets.statistics import counting, duplicates
from datasets.statistics.facts import DUPLICATE, LOOKED, NEAR, RECORD
from tests.datasets import children
from tests.datasets.conftest import jsonl

pytestmark = pytest.mark.django_db
WORDS = [
    *("river", "stone", "lamp", "garden", "winter", "letter", "bridge", "copper", "window"),
    *("harvest", "candle", "mirror", "thunder", "saddle", "orchard", "needle", "feather"),
]


def text(number: int) -> str:
    """A text of thirty words that shares little with those of other numbers."""
    draw = np.random.default_rng(number)
    return " ".join(draw.choice(WORDS, 30))


def rows(count: int, *, copies: int) -> list[dict[str, str]]:
    """Rows unlike each other, and at the end copies of the first ones with one word more."""
    own = [{"instruction": text(n), "output": f"a {n}"} for n in range(count - copies)]
    return own + [{**own[n], "instruction": own[n]["instruction"] + " so"} for n in range(copies)]


def _near(version: DatasetVersion) -> list[int]:
    facts = np.fromfile(version.check_directory / "facts.bin", dtype=RECORD)
    return np.flatnonzero(facts["flags"] & NEAR).tolist()


def test_all_rows_of_a_big_version_are_compared(make, monkeypatch) -> None:
    """Both of a pair are hardly ever in a sample; all pairs are found all the same."""
    monkeypatch.setattr(counting, "SAMPLE_BYTES", 20_000)
    version = make(rows(1000, copies=40)).latest
    assert not services.version_duplicates(version.pk)  # rows are counted first
    assert services.version_statistics(version.pk)
    version.refresh_from_db()
    assert version.statistics["looked"] < 300 and "near" not in version.statistics
    before = np.fromfile(version.check_directory / "facts.bin", dtype=RECORD)
    folder = version.directory / ".near"
    folder.mkdir()
    with locked(folder):
        assert not services.version_duplicates(version.pk)
    assert services.version_duplicates(version.pk)
    version.refresh_from_db()
    assert version.statistics["near"] == {"rows": 40, "clusters": 40, "looked": 1000}
    assert _near(version) == list(range(960, 1000))
    after = np.fromfile(version.check_directory / "facts.bin", dtype=RECORD)
    after["flags"] &= ~np.uint8(NEAR)
    assert (before == after).all()
    assert not services.version_duplicates(version.pk)  # once is enough


def test_the_version_may_be_counted_anew_and_compared_meanwhile(make, monkeypatch) -> None:
    """Only what both write waits for each other, and the sweep leaves the count its files."""
    version = make(rows(50, copies=10)).latest
    services.version_statistics(version.pk)
    seek = duplicates.near_find

    def meanwhile(*told, **more):
        found = seek(*told, **more)
        DatasetVersion.objects.update(statistics_format=None, compared="")
        assert services.version_statistics(version.pk)
        services.sweep()
        return found

    monkeypatch.setattr("datasets.services.statistics.near_find", meanwhile)
    assert services.version_duplicates(version.pk)
    version.refresh_from_db()
    assert version.statistics["near"]["rows"] == len(_near(version)) == 10
    assert version.statistics_format == counting.FORMAT and version.compared
    assert version.near_progress == {}


def test_exact_duplicates_are_not_near_ones(make) -> None:
    row = {"instruction": text(1), "output": "a"}
    close = {**row, "instruction": text(1) + "!"}
    version = make([row, row, close, close, {"instruction": text(2), "output": "b"}]).latest
    assert services.version_statistics(version.pk)
    assert services.version_duplicates(version.pk)
    version.refresh_from_db()
    assert version.statistics["duplicates"] == 2
    assert version.statistics["near"] == {"rows": 1, "clusters": 1, "looked": 5}
    facts = np.fromfile(version.check_directory / "facts.bin", dtype=RECORD)
    assert [int(one) & ~LOOKED for one in facts["flags"]] == [0, DUPLICATE, NEAR, DUPLICATE, 0]


def test_of_more_rows_so_many_are_drawn(make, monkeypatch, client, people) -> None:
    monkeypatch.setattr(duplicates, "ROWS_MAX", 300)
    version = make(rows(1000, copies=500)).latest
    services.version_statistics(version.pk)
    services.version_duplicates(version.pk)
    version.refresh_from_db()
    near = version.statistics["near"]
    assert 200 < near["looked"] < 400
    assert 0 < near["rows"] < 250
    assert set(_near(version)) <= set(range(500, 1000))
    client.force_login(people.viewer)
    url = reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])
    assert f"among {near['looked']} of 1,000 rows" in client.get(url).content.decode()


def test_the_page_and_the_rows_tell_how_far_it_is(make, client, people, monkeypatch) -> None:
    version = make(rows(50, copies=10)).latest
    services.version_statistics(version.pk)
    url = reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])
    shown = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/statistics/"
    asked = {"HX-Request": "true", "HX-Target": "near-state"}
    api = APIClient()
    api.force_authenticate(people.viewer)
    client.force_login(people.viewer)
    waiting = "Near duplicates are being counted among all rows"
    assert waiting in client.get(url).content.decode()
    assert waiting in client.get(shown, {"flag": "near"}).content.decode()
    answer = client.get(url, headers=asked)
    assert "HX-Refresh" not in answer and waiting in answer.content.decode()
    assert api.get(path).json()["statistics"]["near"] is None
    monkeypatch.setattr("datasets.services.statistics.RESERVE", 2**60)
    assert not services.version_duplicates(version.pk)
    assert "when the disk has room" in client.get(url).content.decode()
    monkeypatch.undo()
    assert services.version_duplicates(version.pk)
    assert client.get(url, headers=asked)["HX-Refresh"] == "true"
    page = client.get(url).content.decode()
    assert waiting not in page and f"{shown}?flag=near" in page
    assert "Row 41" in client.get(shown, {"flag": "near"}).content.decode()
    assert api.get(path).json()["statistics"]["near"]["rows"] == 10


def test_a_count_that_never_ends_is_given_up(make, client, people) -> None:
    """The other counts stay."""
    version = make(rows(20, copies=2)).latest
    services.version_statistics(version.pk)
    DatasetVersion.objects.update(near_progress={"tries": 5})
    assert services.version_duplicates(version.pk)
    assert not services.version_duplicates(version.pk)
    version.refresh_from_db()
    assert version.statistics["rows"] == 20
    client.force_login(people.viewer)
    url = reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])
    assert "never ended" in client.get(url).content.decode()
    api = APIClient()
    api.force_authenticate(people.viewer)
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/statistics/"
    assert "never ended" in api.get(path).json()["statistics"]["near"]["error"]


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_point(make, home) -> None:
    """kill -9 before every step that touches files: the next one finishes it."""
    version = make(rows(50, copies=10)).latest
    services.version_statistics(version.pk)
    done = children.run(children.COUNT_DIES_EVERYWHERE, "version_duplicates")
    steps, status = map(int, done.stdout.split())
    assert status == 0, done.stderr
    assert steps > 8
    version.refresh_from_db()
    assert version.statistics["near"]["rows"] == len(_near(version)) == 10
    services.sweep()
    assert not (version.directory / ".near").exists()


MEASURED = """
import sys
from pathlib import Path
import django
django.setup()
from datasets.checking import rows_check
from datasets.ingest import contents_ingest, no_progress
from datasets.shapes.detect import guess
from datasets.statistics.counting import statistics_compute
from datasets.statistics.duplicates import near_find, near_mark
from tests.memory import peak_kilobytes
folder = Path(sys.argv[1])
found = contents_ingest(folder, folder / "original", "a.jsonl", line_limit=16 << 20)
for name in ("check", "facts", "new"):
    (folder / name).mkdir()
mapping, rows = guess(found.sample).mapping, folder / "rows.jsonl"
rows_check(rows, folder / "check", mapping)
statistics_compute(rows, folder / "check", folder / "facts", mapping, progress=no_progress)
near, marked = near_find(rows, folder / "new", mapping, progress=no_progress)
near_mark(folder / "facts", folder / "new", marked)
print(near["looked"], near["rows"], peak_kilobytes() // 1024)
"""


@pytest.mark.once
def test_memory_is_bounded(tmp_path: Path) -> None:
    """The signatures of these rows alone have 100 MB: they stay on the disk."""
    count = 200_000
    with (tmp_path / "original").open("wb") as file:
        for number in range(count // 2):
            row = {"instruction": f"{number * 7919:x} {number}", "output": "a"}
            file.write(jsonl([row, {**row, "instruction": row["instruction"].upper()}]))
    looked, near, megabytes = map(int, children.run(MEASURED, str(tmp_path)).stdout.split())
    assert looked == count
    assert near > count / 3
    assert megabytes < 190
