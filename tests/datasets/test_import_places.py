"""Imports from a simulated store and from real directories, and what leads out of these."""

import errno
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from common.errors import DomainError
from datasets import services
from datasets.importing import objects
from datasets.importing.shared import Shared
from datasets.models import Import
from datasets.services import importing
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.fetching import KEYS, everything_written, fetch, hasty, rows_of, shared, store
from tests.s3 import SECRET, bucket

__all__ = ["bucket", "fetch", "hasty", "shared"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


def test_objects_become_a_version(bucket, fetch, settings, home) -> None:
    bucket.client.put_object(Bucket="trainer", Key="data/a b.jsonl", Body=jsonl(GOOD[:9]))
    bucket.client.put_object(Bucket="trainer", Key="data/空 c.jsonl", Body=jsonl(GOOD[9:]))
    bucket.client.put_object(Bucket="trainer", Key="other/x.jsonl", Body=b"{}")
    found = store(bucket, fetch, settings)
    assert (found.state, found.problem) == ("succeeded", "")
    assert rows_of(found) == GOOD
    assert SECRET not in everything_written(home)
    one = store(bucket, fetch, settings, path="s3://trainer/data/a b.jsonl", name="one")
    assert rows_of(one) == GOOD[:9]


def test_more_objects_than_a_page_has(bucket, fetch, settings, monkeypatch) -> None:
    for number in range(1010):
        key = f"data/{number}.{'jsonl' if number == 1009 else 'bin'}"
        bucket.client.put_object(Bucket="trainer", Key=key, Body=jsonl(GOOD))
    assert store(bucket, fetch, settings).state == "succeeded"
    monkeypatch.setattr(objects, "FOUND_MAX", 1000)
    assert "more than 1000 objects" in store(bucket, fetch, settings, name="all").problem
    found = store(bucket, fetch, settings, name="some", files=["./1009.*", "100*.jsonl"])
    assert (found.state, found.problem) == ("succeeded", "")
    assert (
        "There are for example: 1009.jsonl"
        in store(
            bucket, fetch, settings, name="none", path="s3://trainer/data/1009", files=["2/*"]
        ).problem
    )


def test_what_a_store_refuses_is_said(bucket, fetch, settings) -> None:
    assert "no file of a kind" in store(bucket, fetch, settings).problem
    found = store(bucket, fetch, settings, path="s3://nothere/x")
    assert "no bucket “nothere”" in found.problem


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:1",
        "http://169.254.169.254",
        "http://[::ffff:10.0.0.1]",
        "http://localhost",
    ],
)
def test_private_addresses_are_refused(endpoint, fetch) -> None:
    found = fetch("s3", path="s3://trainer/x", endpoint=endpoint, secrets=KEYS)
    assert (found.state, "private network" in found.problem) == ("failed", True)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"path": "/etc/passwd"}, "path"),
        ({"path": "s3://UP/x"}, "path"),
        ({"path": "s3://trainer/x", "endpoint": "file:///etc"}, "endpoint"),
        ({"path": "s3://trainer/x", "endpoint": "http://a:b@c.org"}, "endpoint"),
        ({"path": "s3://trainer/x", "endpoint": "http://c.org/deep?x"}, "endpoint"),
        ({"path": "s3://trainer/x", "region": "x/../y"}, "endpoint"),
        *(({"path": f"{scheme}://trainer/x", "secrets": KEYS}, "endpoint")
          for scheme in ("oss", "cos", "obs", "tos")),
        ({"path": "s3://trainer/x", "secrets": {"access_key": "a"}}, "secret_key"),
        ({"path": "s3://trainer/x", "secrets": {"access_key": "a\nb", "secret_key": "b"}},
         "access_key"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_at_once(given, field, fetch) -> None:
    with pytest.raises(DomainError) as refused:
        fetch("s3", **given)
    assert refused.value.field == field
    assert not Import.objects.exists()


def test_a_shared_folder_becomes_a_version(shared, fetch, people) -> None:
    found = fetch("directory", directory=str(shared), path="team")
    assert found.state == "choosing"
    services.import_choose(found.pk, [one["name"] for one in found.offers], by=people.member)
    services.import_execute(found.pk)
    found.refresh_from_db()
    assert rows_of(found) == GOOD
    assert (shared / "team" / "a.jsonl").read_bytes() == jsonl(GOOD[:9])
    one = fetch("directory", directory=str(shared), path="team/a.jsonl")
    assert rows_of(one) == GOOD[:9]
    (shared / "team" / "a.jsonl").write_bytes(b"changed later")
    assert rows_of(one) == GOOD[:9]


def test_places_whose_names_hold_other_spaces(shared, bucket, fetch, settings) -> None:
    """As input methods and screenshots write them."""
    bucket.client.put_object(
        Bucket="trainer", Key="客户\u3000问答/a\u202fb.jsonl", Body=jsonl(GOOD)
    )
    found = store(bucket, fetch, settings, path="s3://trainer/客户\u3000问答/", name="one")
    assert rows_of(found) == GOOD
    (shared / "a\u00a0b.jsonl").write_bytes(jsonl(GOOD))
    assert rows_of(fetch("directory", directory=str(shared), path="a\u00a0b.jsonl")) == GOOD


@pytest.mark.parametrize("path", ["out", "out/x.jsonl", "team/out.jsonl", "nothing", "a/../../b"])
def test_nothing_leads_out_of_a_directory(path, shared, fetch) -> None:
    with pytest.raises(DomainError) as refused:
        fetch("directory", directory=str(shared), path=path)
    assert refused.value.field == "path"


def test_only_open_directories_are_read(shared, fetch, settings, tmp_path, home) -> None:
    with pytest.raises(DomainError):
        fetch("directory", directory=str(tmp_path / "secret"), path="")
    settings.SHARED_DIRECTORIES = [str(home.parent)]
    with pytest.raises(DomainError):
        fetch("directory", directory=str(home.parent), path=home.name)
    settings.SHARED_DIRECTORIES = []
    with pytest.raises(DomainError, match="TRAINER_SHARED_DIRECTORIES"):
        fetch("directory", directory=str(shared), path="team")


def test_a_file_that_changes_meanwhile(shared, fetch, monkeypatch) -> None:
    planned = importing._planned

    def plan(*args):
        found = planned(*args)
        (shared / "team" / "a.jsonl").write_bytes(jsonl(GOOD))
        return found

    monkeypatch.setattr(importing, "_planned", plan)
    found = fetch("directory", directory=str(shared), path="team/a.jsonl")
    assert (found.state, "changed while" in found.problem) == ("failed", True)


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("beside", [True, False])
def test_a_file_is_copied_from_where_it_was_cut(beside, start, shared, tmp_path) -> None:
    """By the system, or, into a file system of another kind, in pieces."""
    place = Shared(shared, "team/a.jsonl", home=tmp_path)
    (file,) = place.listing().files
    with NamedTemporaryFile(dir=tmp_path if beside else "/dev/shm") as sink:
        sink.write(jsonl(GOOD[:9])[:start])
        list(place.stream(file, start).into(sink))
        sink.flush()
        assert sink.tell() == file.size
        assert Path(sink.name).read_bytes() == jsonl(GOOD[:9])
        (shared / "team" / "a.jsonl").write_bytes(b"changed later")
        assert Path(sink.name).read_bytes() == jsonl(GOOD[:9])


@pytest.mark.parametrize("answer", [PermissionError(errno.EPERM, "simulated"), 0, 5])
def test_a_mount_whose_files_the_system_does_not_copy(
    answer, shared, tmp_path, monkeypatch
) -> None:
    """Simulated answers: refused, nothing, and a part of it before nothing more."""
    answers = iter([answer, 0])

    def copy(source: int, sink: int, count: int, place: int, _to: int) -> int:
        if isinstance(found := next(answers), OSError):
            raise found
        os.pwrite(sink, os.pread(source, found, place), place)
        return found

    monkeypatch.setattr(os, "copy_file_range", copy)
    place = Shared(shared, "team/a.jsonl", home=tmp_path)
    (file,) = place.listing().files
    with NamedTemporaryFile(dir=tmp_path) as sink:
        list(place.stream(file, 0).into(sink))
        sink.flush()
        assert Path(sink.name).read_bytes() == jsonl(GOOD[:9])


def test_a_file_that_changes_while_it_is_copied(shared, tmp_path) -> None:
    place = Shared(shared, "team/a.jsonl", home=tmp_path)
    (file,) = place.listing().files
    with NamedTemporaryFile(dir=tmp_path) as sink:
        pieces = place.stream(file, 0).into(sink)
        next(pieces)
        (shared / "team" / "a.jsonl").write_bytes(jsonl(GOOD[9:]))
        with pytest.raises(DomainError, match="changed while it was read"):
            list(pieces)
