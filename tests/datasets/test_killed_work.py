"""Comparing and saving big versions: the queue's real processes, killed and begun anew."""

from collections.abc import Callable
from typing import Any

import orjson
import psutil
import pytest
from django.db import connection

from datasets import services, tasks
from datasets.models import Comparison, DatasetVersion, Revision
from tests.datasets import children
from tests.datasets.conftest import upload
from tests.nodes.conftest import until

ROWS = 40_000
pytestmark = pytest.mark.django_db(transaction=True)


def rows(word: str) -> list[dict[str, str]]:
    """Rows of which no two are alike; with another word none is as it was."""
    return [
        {"instruction": f"{word} question {n}", "output": f"{word} is the answer to {n}. " * 4}
        for n in range(ROWS)
    ]


@pytest.fixture
def version(make) -> DatasetVersion:
    """A version that is too big to be worked at while the queue waits."""
    version = make(rows("first")).latest
    assert version.bytes > services.SMALL
    services.version_check(version.pk)
    version.refresh_from_db()
    assert version.state == "ready"
    return version


@pytest.fixture
def started(monkeypatch) -> Callable[..., psutil.Process]:
    """Has the queue's task start its process, and gives that."""
    for name, value in children.environment().items():
        monkeypatch.setenv(name, value)

    def go(task: Callable[[str], None], row: Any) -> psutil.Process:
        if connection.vendor == "sqlite":
            connection.close()
        before = set(psutil.Process().children())
        task(str(row.pk))
        (process,) = set(psutil.Process().children()) - before
        until(lambda: str(row.pk) in process.cmdline())  # it is empty until the kernel set it up
        return process

    return go


def killed(process: psutil.Process, busy: Callable[[], object]) -> None:
    """kill -9 while it is busy."""
    until(lambda: busy() or not process.is_running())
    process.suspend()
    assert busy(), "it ended before it could be killed"
    process.kill()
    process.wait(180)


def test_a_comparison_goes_on(people, version, started) -> None:
    after = services.version_add(version.dataset_id, by=people.member, upload=upload(rows("other")))
    services.version_check(after.pk)
    comparison = services.comparison_create(version.pk, after.pk, by=people.viewer)
    assert comparison.state == "waiting"

    def found() -> Comparison:
        return Comparison.objects.get(pk=comparison.pk)

    for tries in range(1, 3):
        process = started(tasks.comparison_run, comparison)
        killed(process, lambda tries=tries: found().progress.get("tries") == tries)
        assert found().state == "waiting"
        services.sweep()  # leaves the folder: it is still asked for
    assert started(tasks.comparison_run, comparison).wait(180) == 0
    assert (found().state, found().progress) == ("done", {})
    assert found().counts == {"same": 0, "changed": ROWS, "added": 0, "removed": 0}
    assert [path.name for path in comparison.directory.iterdir() if path.is_dir()] == ["found"]


def test_saved_decisions_go_on(people, version, started) -> None:
    value = {"instruction": "changed", "output": "changed"}
    services.row_decide(version.pk, 0, by=people.member, edition=0, verdict="excluded")
    services.row_decide(version.pk, 9, by=people.member, edition=0, verdict="changed", value=value)
    revision = services.revision_save(Revision.objects.get().pk, by=people.member)
    assert revision.state == "saving"
    process = started(tasks.revision_write, revision)
    killed(process, lambda: any(revision.directory.glob("made/rows.jsonl")))
    revision.refresh_from_db()
    assert (revision.state, revision.progress["tries"]) == ("saving", 1)
    services.sweep()
    assert started(tasks.revision_write, revision).wait(180) == 0
    revision.refresh_from_db()
    made = revision.result
    assert (revision.state, made.state, made.rows) == ("saved", "ready", ROWS - 1)
    assert version.dataset.versions.count() == 2
    with made.rows_path.open("rb") as file:
        assert orjson.loads(list(file)[8]) == value
    assert not revision.directory.exists()
