"""The S3 store behind the directory (simulated): what is kept, linked, resumed and deleted."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import urllib.request

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from common import store
from config.storing import store_round
from datasets import services as datasets
from registry.services import version_delete, version_publish
from tests.s3 import BUCKET, bucket
from tests.services import ROOT

__all__ = ["bucket"]

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 2**20


@pytest.fixture
def work(people, home):
    """A dataset and a model of the team."""
    rows = "\n".join(json.dumps({"instruction": f"{n}?", "output": "yes"}) for n in range(5))
    dataset = datasets.dataset_create(
        project=people.team,
        created_by=people.owner,
        name="问答",
        upload=SimpleUploadedFile("问答.jsonl", rows.encode()),
    )
    folder = home / "models" / "m"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "weights.bin").write_bytes(random.Random(1).randbytes(5000))
    version = version_publish(
        project=people.team,
        model_name="m",
        kind="full",
        source="job",
        template="default",
        base=None,
        path="models/m",
    )
    return dataset.versions.get(), version


def test_a_round_stores_what_has_settled(work, bucket, home) -> None:
    data, _model = work
    first = store_round()
    assert (first.failed, first.deleted) == (0, 0)
    keys = bucket.names()
    assert {"models/m/config.json", "models/m/weights.bin"} <= set(keys)
    assert store.key_of(data.original) in keys
    assert store.key_of(data.train_path) in keys
    for key in keys:
        assert bucket.read(key) == (home / key).read_bytes()
        sha256 = hashlib.sha256((home / key).read_bytes()).hexdigest()
        assert store.found(key).sha256 == sha256
    assert store_round().kept == 0


def test_deleted_is_deleted_and_nothing_else(work, bucket, people, home) -> None:
    _data, model = work
    store_round()
    bucket.client.put_object(Bucket=BUCKET, Key="somebody/elses", Body=b"stays")
    shutil.rmtree(home / "models" / "m")  # a lost disk is no deletion
    store_round()
    assert "models/m/weights.bin" in bucket.names()
    version_delete(model.pk, by=people.owner)
    assert store_round().deleted == 1
    keys = bucket.names()
    assert not [key for key in keys if key.startswith("models/")]
    assert "somebody/elses" in keys
    assert [key for key in keys if key.startswith("data/")]


def test_an_empty_database_deletes_nothing(work, bucket, people) -> None:
    from registry.models import Model

    data, _model = work
    store_round()
    before = bucket.names()
    datasets.dataset_delete(data.dataset_id, by=people.owner)
    Model.objects.all().delete()
    assert store_round().deleted == 0
    assert bucket.names() == before


def test_downloads_are_links(work, bucket, people, client) -> None:
    data, _model = work
    client.force_login(people.owner)
    url = reverse("datasets:version_download", args=[data.dataset_id, data.pk])
    whole = data.original.read_bytes()
    answer = client.get(url)
    assert answer.status_code == 200  # not stored yet
    store_round()
    answer = client.get(url)
    assert answer.status_code == 302
    assert answer["Location"].startswith(bucket.endpoint)
    request = urllib.request.Request(answer["Location"], headers={"Range": "bytes=2-8"})
    with urllib.request.urlopen(request) as piece:
        assert piece.status == 206
        assert piece.read() == whole[2:9]
        assert "%E9%97%AE%E7%AD%94.jsonl" in piece.headers["Content-Disposition"]
    data.original.unlink()
    with urllib.request.urlopen(client.get(url)["Location"]) as found:
        assert found.read() == whole
    client.logout()
    assert client.get(url).status_code == 404  # the link is for those who may read it


def test_a_store_that_is_away_leaves_the_disk(work, bucket, people, client, settings) -> None:
    data, _model = work
    store_round()
    broken = json.loads(json.dumps(settings.STORAGES["default"], default=str))
    broken["OPTIONS"]["endpoint_url"] = "http://127.0.0.1:9"
    broken["OPTIONS"].pop("client_config")
    settings.STORAGES = {**settings.STORAGES, "default": broken}
    client.force_login(people.owner)
    url = reverse("datasets:version_download", args=[data.dataset_id, data.pk])
    assert client.get(url).status_code == 200


def test_a_large_file_goes_in_parts_and_goes_on(bucket, home, monkeypatch) -> None:
    """An upload that broke off after two of four parts sends only the other two."""
    monkeypatch.setattr(store, "PART_BYTES", 5 * MIB)
    path = home / "models" / "big"
    path.write_bytes(random.Random(2).randbytes(17 * MIB))
    facts = {"Bucket": BUCKET, "Key": "models/big"}
    upload = bucket.client.create_multipart_upload(
        **facts, Metadata={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    )["UploadId"]
    with path.open("rb") as file:
        for number in (1, 2):
            data = file.read(5 * MIB)
            bucket.client.upload_part(**facts, UploadId=upload, PartNumber=number, Body=data)
    sent = []
    real = store._client().upload_part
    monkeypatch.setattr(
        store._client(),
        "upload_part",
        lambda **words: sent.append(words["PartNumber"]) or real(**words),
    )
    stored = store.put(path, "models/big")
    assert sent == [3, 4]
    assert bucket.read("models/big") == path.read_bytes()
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=BUCKET)


def test_fetching_goes_on_and_is_compared(bucket, home) -> None:
    path = home / "models" / "file"
    data = random.Random(3).randbytes(MIB)
    path.write_bytes(data)
    stored = store.put(path, "models/file")
    path.unlink()
    part = path.with_name(f".file.{stored.etag.strip(chr(34))[:16]}.part")
    part.write_bytes(data[:700_000])
    store.get(stored, path)
    assert path.read_bytes() == data
    path.unlink()
    part.write_bytes(b"x" * 700_000)
    with pytest.raises(store.Corrupt):
        store.get(stored, path)
    assert not path.exists()
    assert store.bring(path)
    assert path.read_bytes() == data


def test_a_model_comes_back_whole(work, bucket, people, client, home) -> None:
    _data, model = work
    store_round()
    before = {path.name: path.read_bytes() for path in model.directory.iterdir()}
    shutil.rmtree(model.directory)
    client.force_login(people.owner)
    assert client.get(reverse("registry:version_download", args=[model.pk])).status_code == 200
    assert {path.name: path.read_bytes() for path in model.directory.iterdir()} == before


def test_the_command(work, bucket, capsys) -> None:
    call_command("storage_sync", "--once")
    assert "2 stored, 0 deleted, 0 failed" in capsys.readouterr().out


def test_without_a_store_the_command_says_so() -> None:
    with pytest.raises(CommandError, match="TRAINER_S3_BUCKET"):
        call_command("storage_sync", "--once")


@pytest.mark.parametrize("process", ["web", ""])
def test_the_pool_is_for_the_web_process(process, tmp_path) -> None:
    """In a worker, which forks, it would be dead after the first fork."""
    code = (
        "from django.conf import settings; d = settings.DATABASES['default'];"
        "print('pool' in d['OPTIONS'], d['CONN_MAX_AGE'], d['OPTIONS']['tcp_user_timeout'])"
    )
    env = os.environ | {
        "TRAINER_HOME": str(tmp_path),
        "TRAINER_DATABASE_URL": "postgres://a:b@localhost/c",
        "TRAINER_PROCESS": process,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    wanted = "True 0 15000" if process == "web" else "False 60 15000"
    assert done.stdout.strip() == wanted
