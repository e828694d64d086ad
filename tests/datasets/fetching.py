"""Imports for tests: asked for, and worked at to their end."""

import pytest
from django.db import connection

from datasets import services
from datasets.models import Import
from datasets.services import importing
from tests.datasets.conftest import GOOD, jsonl, values
from tests.s3 import ACCESS, SECRET

TOKEN = "hf_SimulatedTokenThatNobodyMaySee"
KEYS = {"access_key": ACCESS, "secret_key": SECRET}


@pytest.fixture(autouse=True)
def hasty(monkeypatch) -> None:
    """Nothing is waited for before another try."""
    monkeypatch.setattr(importing, "WAITS", (0, 0, 0))
    monkeypatch.setattr(importing, "LONGER", (0, 0))
    monkeypatch.setattr(importing, "REPORTED", 0.0)


@pytest.fixture
def fetch(people, django_capture_on_commit_callbacks):
    """Asks for an import and works at it to its end."""

    def go(kind="huggingface", execute=True, **given) -> Import:
        given.setdefault("repository", "lab/rows")
        fields = {name: given.pop(name) for name in ("name", "secrets", "dataset_id", "wish")
                  if name in given}  # fmt: skip
        with django_capture_on_commit_callbacks(execute=True):
            found = services.import_create(
                project=people.team,
                created_by=people.member,
                kind=kind,
                reference=given,
                **fields,
            )
            if execute:
                assert services.import_execute(found.pk)
        found.refresh_from_db()
        return found

    return go


def rows_of(found: Import) -> list[dict]:
    """The rows of the version that came of it."""
    return values(found.version)


def everything_written(home) -> str:
    """All rows of the database, and all files."""
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            found.append(str(cursor.fetchall()))
    files = (path.read_bytes() for path in home.rglob("*") if path.is_file())
    return "".join(found) + "".join(data.decode("latin-1") for data in files)


def big() -> bytes:
    """A file of some 1.5 MB."""
    return jsonl([{"instruction": f"q{n}", "output": "a" * 1000} for n in range(1500)])


def store(bucket, fetch, settings, **given) -> Import:
    """An import from the simulated store, which may lie on this machine."""
    settings.IMPORT_HOSTS = ["127.0.0.1"]
    fields = {"path": "s3://trainer/data/", "endpoint": bucket.endpoint, "secrets": KEYS}
    return fetch("s3", **fields | given)


@pytest.fixture
def shared(settings, tmp_path):
    """An open directory with a folder of data, a hidden file, and ways out of it."""
    root = tmp_path / "open"
    (root / "team" / "deep").mkdir(parents=True)
    (root / "team" / "a.jsonl").write_bytes(jsonl(GOOD[:9]))
    (root / "team" / "deep" / "b.jsonl").write_bytes(jsonl(GOOD[9:]))
    (root / "team" / ".hidden.jsonl").write_bytes(b"{}")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "x.jsonl").write_bytes(jsonl(GOOD))
    (root / "out").symlink_to(secret)
    (root / "team" / "out.jsonl").symlink_to(secret / "x.jsonl")
    settings.SHARED_DIRECTORIES = [str(root)]
    return root
