"""What rows are like: numbers, where they come from a sample, and what a killed count leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services, tasks
from datasets.models import Dataset, DatasetVersion
from datasets.reading.locks import locked
from datasets.statistics import counting
from datasets.statistics.facts import (
    DROPPED,
    DUPLICATE,
    ESTIMATED,
    LOOKED,
    PERSONAL,
    RECORD,
    WARNED,
)
from datasets.statistics.languages import LANGUAGES
from datasets.views.statistics import histogram
from tests.datasets import children
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.test_tokens import tokenizer_dir

__all__ = ["tokenizer_dir"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]
LONG = "The committee met on Monday to discuss the plans for the new library in the old town."
ROWS = [
    {"instruction": LONG, "output": "They agreed to build it.", "source": "web"},
    {"instruction": LONG, "output": "They agreed to build it.", "source": "web"},
    {"instruction": LONG, "input": "", "output": "They agreed to build it!", "source": "book"},
    {"instruction": "我上周买的耳机没有声音了，还能退吗？", "output": "可以退。", "source": "web"},
    {"instruction": "Write to a@b.org", "input": "or 13800138000.", "output": "", "source": "book"},
    {"instruction": "no answer at all", "source": ""},
    {"instruction": 5, "output": "a number", "source": None},
    {"instruction": "春天来了，花儿开了，鸟儿唱歌。", "output": "Spring has come, flowers bloom."},
]  # fmt: skip


def _counted(version: DatasetVersion) -> dict:
    assert services.version_statistics(version.pk)
    version.refresh_from_db()
    return version.statistics


def _facts(version: DatasetVersion) -> np.ndarray:
    return np.fromfile(version.check_directory / "facts.bin", dtype=RECORD)


def test_numbers(make) -> None:
    """Each number is that of the rows, counted by hand."""
    version = make(ROWS).latest
    found = _counted(version)
    assert (found["rows"], found["usable"], version.rows) == (8, 6, 6)
    assert (found["duplicates"], found["looked"]) == (1, 8)
    assert (found["languages"]["zh"], found["languages"]["mixed"]) == (1, 1)
    assert sum(found["languages"].values()) == 8 and found["languages"]["en"] >= 3
    assert found["personal"] == {"rows": 1, "kinds": {"email": 1, "phone": 1}}
    assert found["turns"] == [[1, 1], [2, 5]]
    gaps = {one["name"]: (one["missing"], one["empty"]) for one in found["columns"]}
    assert gaps == {"instruction": (0, 0), "output": (1, 1), "source": (2, 1), "input": (6, 1)}
    balance = {one["name"]: dict(one["values"]) for one in found["balance"]}
    assert balance == {"source": {"web": 3, "book": 2}}
    lengths = found["lengths"]
    assert (lengths["unit"], lengths["count"], lengths["max"]) == ("characters", 6, len(LONG) + 24)
    assert found["shortest"][0] == {"row": 4, "length": 22, "estimated": False}
    assert {one["row"] for one in found["longest"][:3]} == {1, 2, 3}
    facts = _facts(version)
    assert list(facts["turns"]) == [2, 2, 2, 2, 1, 1, 1, 2]
    assert [LANGUAGES[code] for code in facts["language"]][3:8:4] == ["zh", "mixed"]
    flags = [int(one) & ~LOOKED for one in facts["flags"]]
    assert flags == [0, DUPLICATE, 0, 0, WARNED | PERSONAL, DROPPED, DROPPED, 0]
    order = np.fromfile(version.check_directory / "order.bin", dtype="<u4")
    assert (sorted(order), set(order[-2:])) == (list(range(8)), {5, 6})
    assert not services.version_statistics(version.pk)  # once is enough


def test_tokens_are_those_of_the_check(make, tokenizer_dir, home, monkeypatch) -> None:
    """Counted rows keep their tokens; of a big file the others are estimated, and said to be."""
    (home / "models" / "demo").symlink_to(tokenizer_dir)
    monkeypatch.setattr("datasets.checking.COUNTED_BYTES", 2000)
    rows = [{"instruction": "q" * (10 + n), "output": "a" * 20} for n in range(100)]
    version = make([*rows[:50], {"instruction": 1}, *rows[50:]]).latest
    found = _counted(version)
    lengths = found["lengths"]
    assert lengths["unit"] == "tokens"
    assert lengths["count"] == version.report["tokens"]["count"] < 100
    assert (lengths["sum"], lengths["rows"]) == (
        version.report["tokens"]["mean"] * lengths["count"],
        100,
    )
    assert sum(count for _length, count in lengths["buckets"]) == lengths["count"]
    facts = _facts(version)
    counted = facts[facts["flags"] & (ESTIMATED | DROPPED) == 0]
    assert len(counted) == lengths["count"]
    assert counted["length"].sum() == lengths["sum"]
    real = np.array([len(row["instruction"]) for row in rows])
    usable = facts[facts["flags"] & DROPPED == 0]["length"].astype(int) - real
    assert np.abs(usable - np.median(usable)).max() < 40


def test_a_big_version_is_sampled_and_says_so(make, monkeypatch, client, people) -> None:
    monkeypatch.setattr(counting, "SAMPLE_BYTES", 20_000)
    rows = [{"instruction": f"Question {n}: 你好吗？", "output": "x" * 20} for n in range(2000)]
    version = make(rows).latest
    found = _counted(version)
    assert 100 < found["looked"] < 800
    assert sum(found["languages"].values()) == found["looked"]
    facts = _facts(version)
    looked = np.flatnonzero(facts["flags"] & LOOKED)
    assert len(looked) == found["looked"]
    # Even stretches of the file have even shares of the sample, whatever the file's own rhythm.
    assert np.histogram(looked, 4, (0, 2000))[0].std() < 20
    assert len(set(looked % 2)) == 2
    client.force_login(people.viewer)
    url = reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])
    assert f"{found['looked']:,} of 2,000 rows" in client.get(url).content.decode()


def test_the_queue_counts_what_is_ready(make, monkeypatch) -> None:
    """The check asks for it; the sweep does, too, when that was lost."""
    asked: list[tuple[str, ...]] = []
    for place in (services.checks, services.sweeping):
        monkeypatch.setattr(place, "async_task", lambda *what, **_more: asked.append(what))
    monkeypatch.setattr("datasets.services.statistics.async_task", lambda *what, **_more: None)
    version = make().latest
    assert asked == [("datasets.tasks.version_statistics", str(version.pk))]
    services.sweep()
    assert asked[1:] == asked[:1]
    with locked(version.directory):
        assert not services.version_statistics(version.pk)
    tasks.version_statistics(str(version.pk))
    version.refresh_from_db()
    assert version.statistics["rows"] == 30
    services.sweep()
    assert asked[2:] == [("datasets.tasks.version_duplicates", str(version.pk))]
    tasks.version_duplicates(str(version.pk))
    services.sweep()
    assert len(asked) == 3


def test_pages_and_api(make, client, people) -> None:
    """Waiting, counted, given up; readers see it, others do not."""
    version = make(ROWS).latest
    url = reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])
    api = APIClient()
    api.force_authenticate(people.viewer)
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/statistics/"
    client.force_login(people.stranger)
    assert client.get(url).status_code == 404
    client.force_login(people.viewer)
    assert "Waiting for the count to begin" in client.get(url).content.decode()
    assert "HX-Refresh" not in client.get(url, headers={"HX-Request": "true"})
    assert api.get(path).json()["state"] == "waiting"
    found = _counted(version)
    assert api.get(path).json() == {
        "state": "done", "percent": 100, "problem": "",
        "statistics": json.loads(json.dumps(found)) | {"near": None},
    }  # fmt: skip
    page = client.get(url).content.decode()
    for words in ("Chinese and others mixed", "book", "Half of the rows", "hardly repeat"):
        assert words in page
    mask = f"{reverse('datasets:recipe_create')}?version={version.pk}&amp;step=mask"
    assert mask in page
    assert client.get(url, headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    DatasetVersion.objects.update(statistics=None, progress={"tries": 5})
    assert services.version_statistics(version.pk)
    answer = api.get(path).json()
    assert (answer["state"], answer["statistics"]) == ("failed", None)
    assert answer["problem"] in client.get(url).content.decode()
    assert not services.version_statistics(version.pk)


def test_the_line_moves_without_counting_anew(make, client, people, tokenizer_dir, home) -> None:
    """Any limit is answered from the histogram that there is."""
    (home / "models" / "demo").symlink_to(tokenizer_dir)
    rows = [{"instruction": "q" * n, "output": "a"} for n in range(1, 101)]
    version = make(rows).latest
    _counted(version)
    client.force_login(people.viewer)
    url = reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])
    longest = version.statistics["lengths"]["max"]
    for limit, cut in ((longest, 0), (longest - 10, 10), (longest - 40, 40)):
        page = client.get(url, {"cutoff": limit})
        assert page.context["outlook"]["cut"] == cut
        over = [bar["count"] for bar in page.context["length"]["picture"]["bars"] if bar["over"]]
        assert cut - 6 <= sum(over) <= cut + 6
        assert f"<b>{cut} rows" in page.content.decode()


@pytest.mark.parametrize(
    "rows",
    [
        [{"text": "one"}, {"text": ""}],
        [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}],
        [{"prompt": "q", "response": "a", "label": n % 2 == 0} for n in range(6)],
        [{"instruction": "q", "chosen": "a", "rejected": "b"}] * 2,
    ],
)  # fmt: skip
def test_every_shape_is_counted(make, rows) -> None:
    version = make(rows).latest
    assert version.state == "ready"
    found = _counted(version)
    assert (found["rows"], found["usable"]) == (len(rows), version.rows)
    if version.shape == "kto":
        label = {"name": "label", "distinct": 2, "values": [["true", 3], ["false", 3]], "others": 0}
        assert label | {"exact": True, "forgotten": 0} in found["balance"]


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_point(people, home) -> None:
    """kill -9 before every step that touches files, again and again: the next one finishes it."""
    from tests.datasets.conftest import upload

    dataset = services.dataset_create(
        project=people.team, created_by=people.owner, name="data", upload=upload(GOOD)
    )
    done = children.run(children.COUNT_DIES_EVERYWHERE, "version_statistics")
    steps, status = map(int, done.stdout.split())
    assert status == 0, done.stderr
    assert steps > 12
    version = Dataset.objects.get(pk=dataset.pk).latest
    assert version.statistics["rows"] == len(_facts(version)) == 30
    services.sweep()
    assert services.version_duplicates(version.pk)
    assert not (version.directory / ".statistics").exists()
    assert version.train_path.exists()


MEASURED = """
import sys
from pathlib import Path
import django
django.setup()
from datasets.checking import rows_check
from datasets.ingest import contents_ingest, no_progress
from datasets.shapes.detect import guess
from datasets.statistics.counting import statistics_compute
from tests.memory import peak_kilobytes
folder = Path(sys.argv[1])
found = contents_ingest(folder, folder / "original", "a.jsonl", line_limit=16 << 20)
for name in ("check", "new"):
    (folder / name).mkdir()
mapping = guess(found.sample).mapping
rows_check(folder / "rows.jsonl", folder / "check", mapping)
counts = statistics_compute(
    folder / "rows.jsonl", folder / "check", folder / "new", mapping, progress=no_progress
)
print(counts["rows"], counts["looked"], peak_kilobytes() // 1024)
"""


def test_memory_is_bounded(tmp_path: Path) -> None:
    """100 MB of rows of all lengths, a few megabytes among them: far less than the file again."""
    row = jsonl([{"instruction": "q" * 40, "output": "答" * 80}])
    long = jsonl([{"instruction": "word " * 400_000, "output": "a"}])
    count = 90 * 2**20 // len(row)
    with (tmp_path / "original").open("wb") as file:
        for number in range(count):
            file.write(row)
            if number % (count // 5) == 0:
                file.write(long)
    done = children.run(MEASURED, str(tmp_path))
    rows, looked, megabytes = map(int, done.stdout.split())
    assert rows > count > looked > 1000
    assert megabytes < 400


def test_the_picture_of_lengths_has_the_cut_off_line_where_rows_are() -> None:
    lengths = {"buckets": [(20, 60), (40, 60)], "unit": "tokens", "p99": 41, "max": 42}
    near = histogram(lengths, 30)
    assert [bar["over"] for bar in near["bars"]] == [False, True]
    assert near["bars"][0]["x"] < near["cut"] <= near["bars"][1]["x"]
    far = histogram(lengths, 2048)
    assert far["cut"] is None
    assert far["bars"][1]["x"] - far["bars"][0]["x"] > 20
    assert not any(bar["over"] for bar in far["bars"])
