"""Finished uploads of any size become versions at once; what takes long is done afterwards."""

import hashlib
from typing import Any
from zipfile import ZipFile

import pytest

from datasets import services
from datasets.models import MADE, DatasetVersion, Upload
from tests.datasets import children
from tests.datasets.conftest import GOOD, jsonl

DATA = jsonl(GOOD)


def arrived(people, *paths: str) -> list[Any]:
    """Finished uploads, as a form finds them."""
    ids = []
    for path in paths:
        upload = services.upload_create(
            project=people.team, created_by=people.owner, filename=path, path=path, size=len(DATA)
        )
        upload.directory.mkdir(parents=True)
        upload.file.write_bytes(DATA)
        ids.append(str(upload.pk))
    return [*services.uploads_finished(ids, by=people.owner)]


@pytest.fixture
def stored(people, monkeypatch):
    """Stores files that count as big as a dataset of that name."""
    monkeypatch.setattr(services.uploads, "SMALL", 10)

    def store(name: str, *paths: str) -> DatasetVersion:
        dataset = services.dataset_create(
            project=people.team,
            created_by=people.owner,
            name=name,
            upload=services.given_as_one(arrived(people, *paths)),
        )
        return dataset.versions.get()

    return store


@pytest.mark.django_db
def test_a_big_file_is_read_after_the_answer(stored, people) -> None:
    """Until then nobody takes it for the same file as another that was not read."""
    version = stored("one", "a.jsonl")
    assert (version.state, version.sha256, version.bytes) == ("checking", "", len(DATA))
    next_one = services.version_add(
        version.dataset_id,
        by=people.owner,
        upload=services.given_as_one(arrived(people, "b.jsonl")),
    )
    assert next_one.parent == version
    assert not DatasetVersion.objects.filter(MADE).exists()
    assert services.version_check(version.pk)
    version.refresh_from_db()
    assert (version.state, version.rows) == ("ready", 30)
    assert version.sha256 == hashlib.sha256(DATA).hexdigest()


@pytest.mark.django_db
def test_a_big_folder_is_put_together_after_the_answer(stored) -> None:
    """Its archive has the names that it would have had at once."""
    version = stored("folder", "logs/a.jsonl", "logs/a.jsonl", "logs/in/b.jsonl")
    assert (version.state, version.file_format) == ("checking", "zip")
    assert not version.original.exists()
    assert services.version_check(version.pk)
    version.refresh_from_db()
    assert (version.state, version.rows) == ("ready", 90)
    assert ZipFile(version.original).namelist() == [
        "logs/a.jsonl",
        "logs/a (2).jsonl",
        "logs/in/b.jsonl",
    ]
    whole = version.original.read_bytes()
    assert (version.bytes, version.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert not (version.directory / "parts").exists()


KILLED = """
import django
django.setup()
from accounts.models import Project, User
from datasets import services
from tests.datasets.children import dies_after, dies_everywhere

services.uploads.SMALL = 10


def store(steps):
    user = User.objects.get(username="owner")
    project = Project.objects.get(name="team")
    ids = []
    for path in ("logs/a.jsonl", "logs/b.jsonl"):
        data = b'{"instruction": "q", "output": "a"}\\n' * 50
        upload = services.upload_create(
            project=project,
            created_by=user,
            filename=path,
            path=path,
            size=len(data),
        )
        upload.directory.mkdir(parents=True)
        upload.file.write_bytes(data)
        ids.append(str(upload.pk))
    files = services.uploads_finished(ids, by=user)
    dies_after(steps)
    dataset = services.dataset_create(
        project=project,
        created_by=user,
        name=f"killed {steps}",
        upload=services.given_as_one(files),
    )
    services.version_check(dataset.latest.pk)


dies_everywhere(store)
"""


@pytest.mark.django_db(transaction=True)
def test_a_folder_is_never_lost_half_way(people, home) -> None:
    """kill -9 before every step that touches files: it is uploads still, or becomes a version."""
    done = children.run(KILLED)
    steps, status = map(int, done.stdout.split())
    assert (steps > 20, status) == (True, 0), done.stderr
    services.sweep()
    for version in DatasetVersion.objects.filter(state="checking"):
        assert services.version_check(version.pk)
    versions = list(DatasetVersion.objects.all())
    assert len(versions) > 5
    assert {(version.state, version.rows) for version in versions} == {("ready", 100)}
    for version in versions:
        found = {path.name for path in version.directory.iterdir()} - {".lock"}
        assert found == {"original", "rows.jsonl", "rows.idx", version.check_name}
    assert Upload.objects.count() == 2 * (steps - len(versions))
