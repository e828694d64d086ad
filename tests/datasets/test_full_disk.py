"""A disk that is really full: everything that writes says so, and goes well again with room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse

from datasets import services
from datasets.models import Dataset, DatasetVersion, Revision
from datasets.services.statistics import TRIES
from datasets.statistics.choosing import Choice
from tests.datasets.conftest import GOOD, upload
from tests.datasets.fetching import big
from tests.nodes.disks import enlarge, fill, small_disk

pytestmark = [pytest.mark.django_db, pytest.mark.once]
FULL = "The disk is full"


@pytest.fixture
def disk(home: Path) -> Iterator[Path]:
    """All data lies on a small disk of its own."""
    with small_disk(home / "data"):
        enlarge(home / "data")
        yield home / "data"


@pytest.fixture
def version(disk, make) -> DatasetVersion:
    return make(GOOD).latest


def test_a_small_upload(disk, people, client) -> None:
    big = fill(disk)
    client.force_login(people.member)
    given = {"name": "rows", "file": upload(GOOD), "project": str(people.team.pk)}
    answer = client.post(reverse("api-dataset-list"), given)
    assert (answer.status_code, answer.json()["code"]) == (422, "disk_full")
    given["file"] = upload(GOOD)
    page = client.post(reverse("datasets:dataset_create"), given)
    assert (page.status_code, FULL in page.content.decode()) == (422, True)
    assert not Dataset.objects.exists()
    big.unlink()
    given["file"] = upload(GOOD)
    assert client.post(reverse("api-dataset-list"), given).status_code == 201


def test_an_upload_without_room_for_its_temporary_file(home, people, client) -> None:
    client.force_login(people.member)
    given = {"name": "rows", "project": str(people.team.pk)}
    with small_disk(home / "temp"):
        for name in ("api-dataset-list", "datasets:dataset_create"):
            answer = client.post(reverse(name), given | {"file": upload(big() * 2)})
            assert (answer.status_code, FULL in answer.content.decode()) == (422, True)
        assert not list((home / "temp").iterdir())
        enlarge(home / "temp")
        answer = client.post(reverse("api-dataset-list"), given | {"file": upload(big() * 2)})
        assert answer.status_code == 201


def test_a_run(disk, version, people) -> None:
    steps = [{"kind": "clean"}]
    recipe = services.recipe_create(
        project=people.team, created_by=people.member, name="tidy", steps=steps
    )
    big = fill(disk)
    run = services.run_create(recipe.pk, by=people.member, version_id=version.pk)
    for expected in ("failed", "succeeded"):
        services.run_execute(run.pk)
        run.refresh_from_db()
        assert (run.state, FULL in run.problem) == (expected, expected == "failed")
        big.unlink(missing_ok=True)
        run = services.run_create(recipe.pk, by=people.member, version_id=version.pk)


def test_a_check(disk, make) -> None:
    version = make(big() * 2).latest
    fill(disk)
    for _try in range(TRIES):
        assert DatasetVersion.objects.get(pk=version.pk).state == "checking"
        services.version_check(version.pk)
    version.refresh_from_db()
    assert (version.state, FULL in version.report["error"]["message"]) == ("broken", True)


def test_saved_decisions(disk, version, people) -> None:
    services.row_decide(version.pk, 0, by=people.member, edition=0, verdict="excluded")
    big = fill(disk)
    revision = services.revision_save(Revision.objects.get().pk, by=people.member)
    services.revision_write(revision.pk)
    revision.refresh_from_db()
    assert (revision.state, FULL in revision.problem) == ("open", True)
    big.unlink()
    services.revision_save(revision.pk, by=people.member)
    services.revision_write(revision.pk)
    revision.refresh_from_db()
    assert revision.state == "saved"


def test_a_comparison(disk, version, people) -> None:
    rows = [{**row, "output": "another"} for row in GOOD]
    after = services.version_add(version.dataset_id, by=people.member, upload=upload(rows))
    big = fill(disk)
    found = services.comparison_create(version.pk, after.pk, by=people.viewer)
    assert (found.state, FULL in found.problem) == ("failed", True)
    big.unlink()
    assert services.comparison_create(version.pk, after.pk, by=people.viewer).state == "done"


def test_statistics(disk, version) -> None:
    DatasetVersion.objects.filter(pk=version.pk).update(statistics=None)
    big = fill(disk)
    assert not services.version_statistics(version.pk)
    assert DatasetVersion.objects.get(pk=version.pk).statistics is None
    for _try in range(TRIES - 1):
        services.version_statistics(version.pk)
    version.refresh_from_db()
    assert FULL in version.statistics["error"]
    DatasetVersion.objects.filter(pk=version.pk).update(statistics=None)
    big.unlink()
    services.version_statistics(version.pk)
    version.refresh_from_db()
    assert "error" not in version.statistics


def test_an_index(disk, version, people) -> None:
    fill(disk)
    standing = services.indexes_ready(version, Choice(order="up", by="output"), by=people.member)
    assert (standing.state, FULL in standing.problem) == ("failed", True)
