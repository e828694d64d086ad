"""Uploads for the tests of datasets."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from datasets import services
from datasets.models import Dataset, DatasetVersion

GOOD = [{"instruction": f"question {i}", "input": "", "output": f"answer {i}"} for i in range(30)]


def jsonl(rows: list[Any]) -> bytes:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def upload(data: bytes | list[Any], name: str = "data.jsonl") -> SimpleUploadedFile:
    """A file as a form sends it."""
    return SimpleUploadedFile(name, data if isinstance(data, bytes) else jsonl(data))


def values(version: DatasetVersion) -> list[Any]:
    """The rows of a version."""
    return [json.loads(line) for line in version.rows_path.read_text("utf-8").splitlines()]


@pytest.fixture
def make(people, django_capture_on_commit_callbacks) -> Callable[..., Dataset]:
    """Makes a dataset in the team's project."""

    def build(data: bytes | list[Any] = GOOD, name: str = "data", **fields: Any) -> Dataset:
        file = upload(data, fields.pop("filename", "data.jsonl"))
        with django_capture_on_commit_callbacks(execute=True):
            return services.dataset_create(
                **{"project": people.team, "created_by": people.owner, "name": name} | fields,
                upload=file,
            )

    return build
