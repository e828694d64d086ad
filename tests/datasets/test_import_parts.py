"""Parts of a dataset, wherever they lie, become one version in the order of their names."""

import gzip
import json

import pytest

from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.fetching import fetch, hasty, rows_of, store
from tests.datasets.hubs import hub
from tests.s3 import bucket

__all__ = ["bucket", "fetch", "hasty", "hub"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


def as_csv(rows: list[dict]) -> bytes:
    lines = [f"{row['instruction']},,{row['output']}\n" for row in rows]
    return "".join(["instruction,input,output\n", *lines]).encode()


def compressed(how) -> dict[str, bytes]:
    """Three parts whose place lists them in another order."""
    return {number: gzip.compress(how(GOOD[n * 10 : n * 10 + 10]))
            for number, n in (("00002", 2), ("00000", 0), ("00001", 1))}  # fmt: skip


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        ("jsonl", jsonl),
        ("json", lambda rows: json.dumps(rows).encode()),
        ("csv", as_csv),
    ],
)
@pytest.mark.parametrize("kind", ["huggingface", "modelscope", "s3", "directory"])
def test_compressed_parts_become_one_version_in_the_order_of_their_names(
    kind, ending, how, hub, bucket, fetch, settings, tmp_path
) -> None:
    files = {f"train-{number}.{ending}.gz": data for number, data in compressed(how).items()}
    if kind == "s3":
        for name, data in files.items():
            bucket.client.put_object(Bucket="trainer", Key=f"data/{name}", Body=data)
        found = store(bucket, fetch, settings)
    elif kind == "directory":
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        settings.SHARED_DIRECTORIES = [str(tmp_path)]
        found = fetch("directory", directory=str(tmp_path), path="", name="rows")
    else:
        hub.files = files
        found = fetch(kind)
    assert (found.state, found.problem) == ("succeeded", "")
    assert rows_of(found) == GOOD
    assert [(file["name"], file["rows"]) for file in found.version.files] == [
        (f"train-0000{number}.{ending}", 10) for number in range(3)
    ]
    assert found.version.file_format == ending


@pytest.mark.parametrize("given", ["", "pattern", "card"])
def test_parquet_parts_become_one_version_in_the_order_of_their_names(
    given, hub, fetch, tmp_path
) -> None:
    query = "SELECT 'q' || (i + {0}) AS instruction, 'a' AS output FROM range(3) rows(i)"
    for number in (2, 0, 1):
        hub.files[f"data/train-{number}.parquet"] = samples.parquet(
            tmp_path, query.format(3 * number)
        )
    if given == "card":
        hub.card = {"configs": [{"config_name": "all", "data_files": "data/train-*"}]}
    found = fetch(**({"files": ["data/*.parquet"]} if given == "pattern" else {}))
    assert (found.state, found.problem) == ("succeeded", "")
    assert [row["instruction"] for row in rows_of(found)] == [f"q{n}" for n in range(9)]
    assert found.version.file_format == "parquet"
