"""Uploads that go on where they stopped: the protocol, whose they are, and what they hold."""

import base64
import hashlib
import threading
import zlib
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.services import api_key_create
from common.errors import DomainError, QuotaExceeded
from datasets import services
from datasets.models import Dataset, Upload
from datasets.reading.locks import locked
from tests.datasets.conftest import GOOD, jsonl

pytestmark = pytest.mark.django_db
DATA = jsonl(GOOD)
URL = "/api/v1/uploads/"
TUS = {"Tus-Resumable": "1.0.0"}


def named(**values: str) -> str:
    """Metadata as tus writes it."""
    return ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items()
    )


@pytest.fixture
def member(client: Client, people) -> Client:
    """A researcher of the team."""
    client.force_login(people.member)
    return client


def create(client: Client, people, size: int = len(DATA), **metadata: str) -> str:
    """Announces a file; gives its address."""
    told = named(**{"filename": "数据.jsonl", **metadata})
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": told}
    answer = client.post(URL, headers={**headers, "X-Project": str(people.team.pk)})
    assert answer.status_code == 201, answer.content
    return answer["Location"]


def id_of(url: str) -> str:
    """The upload's id in its address."""
    return url.split("/")[-2]


def append(client: Client, url: str, data: bytes, offset: int, **headers: str):
    """Sends a piece."""
    return client.patch(
        url,
        data,
        content_type="application/offset+octet-stream",
        headers={**TUS, "Upload-Offset": str(offset), **headers},
    )


SPACED = ["客户\u3000问答.xlsx", "Screenshot 9.41\u202fAM.txt", "a\u00a0b 👩\u200d🏫.csv"]


@pytest.mark.parametrize("name", SPACED)
def test_names_with_any_space_are_kept(member, people, name: str) -> None:
    create(member, people, filename=name, path=f"{name}/{name}")
    upload = Upload.objects.get()
    assert (upload.filename, upload.path) == (name, f"{name}/{name}")


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (named(path="长" * 251), "more than 250 letters"),
        (named(filename="a\u202efdp.csv"), "“a\\u202efdp.csv” cannot be kept under this name"),
        (named(filename="a\nb.csv"), "“a\\nb.csv” cannot be kept under this name"),
        ("filename ???", "Base64"),
        ("filename é===", "Base64"),
    ],
)
def test_names_that_cannot_be_kept_are_told(member, people, metadata: str, said: str) -> None:
    headers = {**TUS, "Upload-Length": "9", "Upload-Metadata": metadata}
    answer = member.post(URL, headers={**headers, "X-Project": str(people.team.pk)})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_a_file_in_pieces_becomes_a_version(member, people, home) -> None:
    """With its Chinese name; nothing of the upload is left."""
    url = create(member, people)
    assert append(member, url, DATA[:500], 0)["Upload-Offset"] == "500"
    head = member.head(url, headers=TUS)
    assert (head["Upload-Offset"], head["Upload-Length"]) == ("500", str(len(DATA)))
    assert head["Cache-Control"] == "no-store"
    answer = append(member, url, DATA[500:], 500)
    assert (answer.status_code, answer["Upload-Offset"]) == (204, str(len(DATA)))
    upload = Upload.objects.get()
    member.post("/projects/switch/", {"project": people.team.pk})
    page = reverse("datasets:dataset_create")
    assert member.post(page, {"uploads": upload.pk}).status_code == 302
    version = Dataset.objects.get().latest
    assert (version.state, version.rows, version.filename) == ("ready", 30, "数据.jsonl")
    assert version.original.read_bytes() == DATA
    assert not Upload.objects.exists()
    again = member.post(page, {"uploads": upload.pk, "name": "again"})
    assert (again.status_code, Dataset.objects.count()) == (422, 1)


def test_several_uploads_over_the_api(member, people) -> None:
    """Become one version, with their places in the folder."""
    urls = [create(member, people, path=f"folder/{name}.jsonl") for name in "ab"]
    for url in urls:
        append(member, url, DATA, 0)
    ids = [id_of(url) for url in urls]
    made = member.post(
        "/api/v1/datasets/",
        {"uploads": ids, "project": str(people.team.pk)},
        content_type="application/json",
    )
    assert made.status_code == 201, made.content
    version = Dataset.objects.get(name="folder").latest
    assert [file["name"] for file in version.files] == ["folder/a.jsonl", "folder/b.jsonl"]
    assert version.rows == 60


def test_an_empty_file_is_refused_as_one(member, people) -> None:
    """Nothing is sent of it, so all of it has arrived; it is told by its line among others."""
    empty, full = (create(member, people, n, path=f"folder/{n}.jsonl") for n in (0, len(DATA)))
    append(member, full, DATA, 0)
    member.post("/projects/switch/", {"project": people.team.pk})
    page = reverse("datasets:dataset_create")
    alone = member.post(page, {"uploads": id_of(empty)})
    assert alone.status_code == 422
    assert "The file is empty." in alone.content.decode()
    both = member.post(page, {"uploads": f"{id_of(empty)},{id_of(full)}"})
    assert both.status_code == 302, both.content
    version = Dataset.objects.get(name="folder").latest
    assert version.rows == 30
    assert [file["name"] for file in version.left_out] == ["folder/0.jsonl"]


def test_a_folder_of_many_files(member, people) -> None:
    """The page names all that one person may have open at once."""
    ids = []
    for number in range(1200):
        file = services.upload_create(
            project=people.team, created_by=people.member, filename=f"{number}.txt", size=0
        )
        ids.append(str(file.pk))
    over_api = member.post("/api/v1/datasets/", {"uploads": ids})
    assert "No file in the archive can be read" in over_api.json()["detail"]
    url = create(member, people)
    append(member, url, DATA, 0)
    member.post("/projects/switch/", {"project": people.team.pk})
    page = reverse("datasets:dataset_create")
    assert member.post(page, {"uploads": ",".join([*ids, id_of(url)])}).status_code == 302
    version = Dataset.objects.get().latest
    assert (version.rows, len(version.files)) == (30, 1201)


def test_what_the_protocol_refuses(member, people) -> None:
    """Wrong places, versions, types and checksums change nothing."""
    url = create(member, people)
    assert append(member, url, b"x", 5).status_code == 409
    assert member.patch(url, b"x", content_type="text/plain", headers=TUS).status_code == 415
    assert append(member, url, b"x", 0, **{"Tus-Resumable": "0.2.2"}).status_code == 412
    assert append(member, url, DATA + b"more", 0).status_code == 422
    bad = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    assert append(member, url, DATA, 0, **{"Upload-Checksum": f"sha256 {bad}"}).status_code == 460
    assert append(member, url, DATA, 0, **{"Upload-Checksum": "crc32 AAAA"}).status_code == 422
    assert member.head(url)["Upload-Offset"] == "0"
    good = base64.b64encode(hashlib.sha1(DATA).digest()).decode()
    assert append(member, url, DATA, 0, **{"Upload-Checksum": f"sha1 {good}"}).status_code == 204
    for length in ("", "-1", "many"):
        assert member.post(URL, headers={**TUS, "Upload-Length": length}).status_code == 422
    told = {"Upload-Length": "1", "Upload-Metadata": "filename ***"}
    assert member.post(URL, headers={**TUS, **told}).status_code == 422
    assert "creation" in member.options(URL)["Tus-Extension"]


def test_one_connection_writes(member, people) -> None:
    """A second one is told to wait."""
    url = create(member, people)
    upload = Upload.objects.get()
    upload.directory.mkdir(parents=True)
    with locked(upload.directory):
        assert append(member, url, DATA, 0).status_code == 423
    assert append(member, url, DATA, 0).status_code == 204


def test_nobody_sees_anothers(client, member, people) -> None:
    """Not the project's manager, nor an operator; the owner's key does."""
    url = create(member, people)
    for person in (people.owner, people.operator, people.stranger):
        other = Client()
        other.force_login(person)
        assert other.head(url).status_code == 404
        assert append(other, url, DATA, 0).status_code == 404
        assert other.delete(url, headers=TUS).status_code == 404
        assert other.get(URL).json()["count"] == 0
        with pytest.raises(DomainError):
            services.uploads_finished([id_of(url)], by=person)
    _key, secret = api_key_create(people.member, name="script")
    script = Client(headers={"Authorization": f"Bearer {secret}"})
    assert append(script, url, DATA, 0).status_code == 204
    viewer = Client()
    viewer.force_login(people.viewer)
    headers = {**TUS, "Upload-Length": "5", "X-Project": str(people.team.pk)}
    assert viewer.post(URL, headers=headers).status_code in {403, 404, 422}
    assert Upload.objects.count() == 1


def test_storage_is_held_from_the_beginning(member, people, settings) -> None:
    """And given back when the upload is discarded or has become a version."""
    people.team.max_storage_bytes = len(DATA) + 100
    people.team.save()
    url = create(member, people)
    assert services.storage_used(people.team) == len(DATA)
    with pytest.raises(QuotaExceeded):
        services.upload_create(
            project=people.team, created_by=people.member, filename="b", size=200
        )
    append(member, url, DATA, 0)
    held = services.uploads_finished([id_of(url)], by=people.member)
    services.dataset_create(
        project=people.team,
        created_by=people.member,
        name="held",
        upload=services.given_as_one(held),
    )
    version = Dataset.objects.get().latest
    assert services.storage_used(people.team) == version.stored_bytes
    people.team.max_storage_bytes = 10**9
    people.team.save()
    settings.UPLOAD_MAX_BYTES = 10
    with pytest.raises(DomainError):
        services.upload_create(
            project=people.team, created_by=people.member, filename="b", size=200
        )


def test_a_refused_name_keeps_the_upload(member, people, make) -> None:
    """So that only the name is sent again."""
    make(name="taken")
    url = create(member, people)
    append(member, url, DATA, 0)
    member.post("/projects/switch/", {"project": people.team.pk})
    sent = {"uploads": id_of(url), "name": "taken"}
    page = reverse("datasets:dataset_create")
    assert member.post(page, sent).status_code == 422
    assert member.post(page, {**sent, "name": "free"}).status_code == 302


def test_an_unfinished_one_is_told(member, people) -> None:
    """It becomes no version; the page says how far it is and how long it stays, and discards it."""
    url = create(member, people)
    append(member, url, DATA[:100], 0)
    member.post("/projects/switch/", {"project": people.team.pk})
    page = reverse("datasets:dataset_create")
    text = member.get(page).content.decode()
    assert "数据.jsonl" in text
    assert f'kept until <time datetime="{Upload.objects.get().expires_at.isoformat()}"' in text
    assert member.post(page, {"uploads": id_of(url)}).status_code == 422
    discard = reverse("datasets:upload_delete", args=[id_of(url)])
    assert member.post(discard).status_code == 302
    assert not Upload.objects.exists()


def test_a_folder_that_stopped_is_told_as_one(member, people) -> None:
    """With what is finished of it, and what its client says of the rest; it goes as one, too."""
    whole = {"folder_files": "3", "folder_size": "9000"}
    for path in ("logs/a.jsonl", "logs/in/b.jsonl", "Logs/a.jsonl", "数据.jsonl"):
        url = create(member, people, path=path, **(whole if "/" in path else {}))
        append(member, url, DATA, 0)
    append(member, create(member, people, path="logs/c.jsonl", **whole), DATA[:500], 0)
    member.post("/projects/switch/", {"project": people.team.pk})
    page = member.get(reverse("datasets:dataset_create"))
    told = page.context["open_uploads"]
    assert [(one.name, one.done, one.files) for one in told] == [
        ("logs", 2, 3),
        ("数据.jsonl", 1, 1),
        ("Logs", 1, 3),
    ]
    assert (told[0].received, told[0].size) == (2 * len(DATA) + 500, 9000)
    assert "Of the folder logs 2 of 3 files have arrived" in page.content.decode()
    discard = reverse("datasets:upload_delete", args=[told[0].upload.pk])
    assert member.post(discard).status_code == 302
    assert {upload.path for upload in Upload.objects.all()} == {"Logs/a.jsonl", "数据.jsonl"}
    assert len(list(Upload.root().iterdir())) == 2


def test_a_file_is_known_again(member, people) -> None:
    """By its path and size, and by what has arrived of it: as much as a browser finds anew."""
    data = bytes(range(256)) * 1024
    url = create(member, people, len(data), path="folder/数据.jsonl")
    create(member, people, len(data) + 1, path="folder/数据.jsonl")
    create(member, people, len(data), path="other/数据.jsonl")
    asked = {"project": people.team.pk, "path": "folder/数据.jsonl", "size": len(data)}
    for there in (0, 100, 200_000):
        if there:
            begin = Upload.objects.get(pk=id_of(url)).received
            append(member, url, data[begin:there], begin)
        (found,) = member.get(URL, asked).json()["results"]
        assert (found["id"], found["received"]) == (id_of(url), there)
        first, last = data[: min(there, 65536)], data[max(there - 65536, 0) : there]
        assert found["mark"] == zlib.crc32(first + last)
    member.force_login(people.owner)
    assert member.get(URL, asked).json()["results"] == []


def test_a_file_that_changed_is_told_apart(member, people) -> None:
    """An edit between the ends leaves the mark as it is; the time that the client wrote tells."""
    data = bytes(range(256)) * 1024
    url = create(member, people, len(data), modified="1763800000123")
    append(member, url, data, 0)
    edited = data[:100_000] + b"typo" + data[100_004:]
    (found,) = member.get(URL).json()["results"]
    assert found["mark"] == zlib.crc32(edited[:65536] + edited[-65536:])
    assert found["modified"] == "1763800000123"
    create(member, people)
    assert member.get(URL).json()["results"][0]["modified"] == ""


def test_a_look_at_what_moves(home: Path) -> None:
    """Its size and its mark are of one moment, and what ends meanwhile has nothing."""
    upload, data, ended = Upload(filename="a", size=400_000), bytes(range(250)) * 1600, []
    upload.directory.mkdir(parents=True)

    def move() -> None:
        while not ended:
            with upload.file.open("ab") as file:
                for begin in range(0, len(data), 100_000):
                    file.write(data[begin : begin + 100_000])
                    file.flush()
            upload.file.unlink()

    mover = threading.Thread(target=move)
    mover.start()
    looks, count = set(), 0
    try:
        while count < 3000 or (len(looks) < 2 and mover.is_alive()):
            count += 1
            looks.add(Upload(pk=upload.pk).arrived)
            assert 0 <= upload.received <= len(data)
    finally:
        ended.append(True)
        mover.join()
    assert len(looks) > 1
    for received, mark in looks:
        there = data[:received]
        assert mark == zlib.crc32(there[:65536] + there[max(received - 65536, 0) :])


def test_the_sweep_removes_what_stands_still(member, people) -> None:
    """Rows with their folders, and folders without a row; not what is written to now."""
    url = create(member, people)
    append(member, url, DATA[:100], 0)
    upload = Upload.objects.get()
    stray = Upload.root() / "5f0e3a52-0000-4000-8000-000000000000"
    stray.mkdir()
    (Upload.root() / "other").mkdir()
    services.sweep()
    assert upload.received == 100
    assert list(Upload.root().iterdir()) == [upload.directory]
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with locked(upload.directory):
        services.sweep()
        assert upload.received == 100
    services.sweep()
    assert not upload.directory.exists()
    assert member.head(url).status_code == 404


def test_activity_puts_the_end_off(member, people) -> None:
    """Each piece gives the upload its whole time again."""
    url = create(member, people)
    Upload.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    append(member, url, DATA[:100], 0)
    assert Upload.objects.get().expires_at > timezone.now() + timedelta(hours=24)


def test_a_folder_stays_while_more_of_it_comes(member, people) -> None:
    """However long that takes."""
    create(member, people, path="logs/a.jsonl")
    create(member, people, path="other/a.jsonl")
    Upload.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    create(member, people, path="logs/b.jsonl")
    soon = Upload.objects.filter(expires_at__lt=timezone.now() + timedelta(hours=24))
    assert [upload.path for upload in soon] == ["other/a.jsonl"]


class _Breaks(BytesIO):
    """A body that ends with its connection."""

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(100)
        if self.tell() > 500:
            raise ConnectionError
        return piece


def test_what_arrived_before_a_break_counts(people, home: Path) -> None:
    """The bytes are in order, so the upload goes on after them."""
    upload = services.upload_create(
        project=people.team, created_by=people.member, filename="a.jsonl", size=len(DATA)
    )
    with pytest.raises(ConnectionError):
        services.upload_append(upload, _Breaks(DATA), offset=0)
    there = upload.received
    assert 0 < there < len(DATA)
    services.upload_append(upload, BytesIO(DATA[there:]), offset=there)
    assert upload.file.read_bytes() == DATA
