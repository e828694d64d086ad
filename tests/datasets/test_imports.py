"""Imports: from simulated hubs, a simulated store and real directories, whatever goes wrong."""

import contextlib
import errno
import gzip
import json
import logging
import socket
import socketserver
import subprocess
import sys
import threading
import time

import pytest
from django.db import connection
from django.urls import reverse

from accounts.models import Event
from common.errors import Conflict, DomainError
from datasets import services
from datasets.importing.hubs import repository_read
from datasets.importing.listing import Listed, Listing, offers
from datasets.models import Dataset, Import
from datasets.services import importing
from tests.datasets import children, samples
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.hubs import COMMIT, SimulatedHub, hub
from tests.s3 import ACCESS, SECRET, bucket
from tests.services import ROOT

__all__ = ["bucket", "hub"]
pytestmark = pytest.mark.django_db
TOKEN = "hf_SimulatedTokenThatNobodyMaySee"


@pytest.fixture(autouse=True)
def hasty(monkeypatch) -> None:
    monkeypatch.setattr(importing, "WAITS", (0, 0, 0))
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
    text = found.version.rows_path.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


# --- hubs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["huggingface", "modelscope"])
def test_a_file_of_a_hub_becomes_a_version(kind, hub: SimulatedHub, fetch, home) -> None:
    hub.files = {"README.md": b"# about", "dataset_infos.json": b"{}", "train.jsonl": jsonl(GOOD)}
    found = fetch(kind)
    assert (found.state, found.problem) == ("succeeded", "")
    assert rows_of(found) == GOOD
    assert found.version.dataset.name == found.name == "rows"
    assert found.version.filename == "train.jsonl"
    revision = {"huggingface": COMMIT, "modelscope": "master"}[kind]
    assert found.revision == revision
    assert "lab/rows" in found.version.dataset.remark
    assert revision in found.version.dataset.remark
    assert not list((home / "data" / ".imports").iterdir())


def test_several_files_become_one_version(hub, fetch) -> None:
    hub.files = {f"data/train-{n}.jsonl": jsonl(GOOD[n * 10 : n * 10 + 10]) for n in range(3)}
    found = fetch(repository="https://huggingface.co/datasets/lab/rows", name="all of it")
    assert rows_of(found) == GOOD
    assert [file["name"] for file in found.version.files] == sorted(hub.files)
    assert found.version.dataset.name == "all of it"


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


def test_subsets_and_parts_are_chosen_from(hub, fetch, people) -> None:
    hub.files = {
        "en/train.jsonl": jsonl(GOOD[:10]),
        "en/test.jsonl": jsonl(GOOD[10:15]),
        "zh/train.jsonl": jsonl(GOOD[15:]),
    }
    hub.card = {
        "configs": [
            {"config_name": "en", "data_files": [
                {"split": "train", "path": "en/train.jsonl"},
                {"split": "test", "path": ["en/test.jsonl"]}]},
            {"config_name": "zh", "data_files": "zh/*.jsonl"},
        ]
    }  # fmt: skip
    found = fetch()
    assert found.state == "choosing"
    assert [one["name"] for one in found.offers] == ["en / train", "en / test", "zh / train"]
    with pytest.raises(DomainError):
        services.import_choose(found.pk, ["fr / train"], by=people.member)
    services.import_choose(found.pk, ["en / test", "zh / train"], by=people.member)
    services.import_execute(found.pk)
    found.refresh_from_db()
    assert found.state == "succeeded"
    assert rows_of(found) == GOOD[10:]
    with pytest.raises(Conflict):
        services.import_cancel(found.pk, by=people.member)


def test_patterns_name_files(hub, fetch) -> None:
    hub.files = {"a.jsonl": jsonl(GOOD[:9]), "b/c.csv": b"instruction,output\nq,a\n"}
    found = fetch(files=["b/*.csv"])
    assert rows_of(found) == [{"instruction": "q", "output": "a"}]
    none = fetch(files=["*.parquet"], name="none")
    assert (none.state, "a.jsonl" in none.problem) == ("failed", True)


def test_offers_by_folder_and_part() -> None:
    def names(*paths: str) -> list[str]:
        return [one.name for one in offers(Listing([Listed(path) for path in paths]))]

    assert names("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet") == [
        "train"
    ]
    assert names("data/dev.json", "data/train.json", ".gitattributes") == ["train", "validation"]
    assert names("a/x.csv", "b/x.csv", "b/test.csv") == ["a", "b", "b / test"]
    assert names("book.pdf", "LICENSE.txt", "notes.txt") == ["*"]
    assert names("README.md", "weights.bin") == []
    assert names(*(f"{n}/x.csv" for n in range(150))) == ["*"]


def test_a_further_version(hub, fetch, make) -> None:
    hub.files = {"x.jsonl": jsonl(GOOD[:3])}
    dataset = make()
    found = fetch(dataset_id=dataset.pk)
    assert (found.version.dataset, found.version.number) == (dataset, 2)


def test_a_token_goes_to_the_hub_alone_and_nowhere_else(
    hub, fetch, people, home, caplog, client
) -> None:
    hub.files = {"x.jsonl": jsonl(GOOD)}
    hub.token = TOKEN
    caplog.set_level(logging.DEBUG)
    waiting = fetch(secrets={"token": TOKEN}, execute=False)
    assert TOKEN not in _everything_written(home)
    assert waiting.secret
    services.import_execute(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.secret) == ("succeeded", "")
    sent = [path for path, headers in hub.asked if TOKEN in str(headers)]
    assert sent
    assert not [path for path in sent if path.startswith("/cdn/")]
    assert TOKEN not in _everything_written(home) + caplog.text
    client.force_login(people.member)
    refused = client.post(
        reverse("datasets:import_create"),
        {"kind": "huggingface", "repository": "../x", "token": TOKEN},
    )
    assert refused.status_code == 422
    assert TOKEN not in refused.content.decode()


def _everything_written(home) -> str:
    """All rows of the database, and all files."""
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            found.append(str(cursor.fetchall()))
    files = (path.read_bytes() for path in home.rglob("*") if path.is_file())
    return "".join(found) + "".join(data.decode("latin-1") for data in files)


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("private", "token"),
        ("gated", "Ask for access"),
        ("gone", "There is no"),
        ("revision", "no such revision"),
        ("nothing", "no file of a kind"),
        ("closed", "cannot be reached"),
        ("unknown", "is not known here"),
        ("offline", "TRAINER_HUB_ONLINE"),
        ("strange", "does not answer as it should"),
        ("busy", "busy or in trouble"),
    ],
)
def test_what_a_hub_refuses_is_said(how, word, hub, fetch, settings) -> None:
    hub.files = {"x.jsonl": jsonl(GOOD)}
    given = {}
    if how == "private":
        hub.token = TOKEN
    elif how == "gated":
        hub.gated = True
    elif how == "gone":
        given["repository"] = "lab/other"
    elif how == "revision":
        given["revision"] = "v9"
    elif how == "nothing":
        hub.files = {"README.md": b"x", "model.bin": b"x"}
    elif how == "closed":
        hub.close()
    elif how == "unknown":
        settings.HF_ENDPOINT = "http://hub.invalid"
    elif how == "strange":
        hub.files, hub.card = {}, {}
        settings.HF_ENDPOINT = f"{hub.endpoint}/datasets/lab/rows/resolve/{COMMIT}/page?x="
        hub.files = {"page": b"<html>log in</html>"}
    elif how == "busy":
        hub.busy = 99
    elif how == "offline":
        settings.HUB_ONLINE = False
        with pytest.raises(DomainError, match=word):
            fetch()
        return
    found = fetch(**given)
    assert found.state == "failed"
    assert word in found.problem
    assert not Dataset.objects.exists()
    assert Event.objects.filter(subject_id=found.pk, verb="import_failed").exists()


HF, MS = "https://huggingface.co", "https://www.modelscope.cn"
KINDS = {MS: "modelscope"}


@pytest.mark.parametrize(
    ("endpoint", "given"),
    [
        (HF, "lab/rows"),
        (HF, "https://huggingface.co/datasets/lab/rows"),
        (HF, "https://hf-mirror.com/datasets/lab/rows/tree/main?x=1"),
        ("https://hf-mirror.com", "https://huggingface.co/datasets/lab/rows"),
        (MS, "https://modelscope.cn/datasets/lab/rows/files"),
        ("http://hub.lan:8080/hf", "http://hub.lan:8080/hf/datasets/lab/rows"),
        ("http://hub.lan:8080/hf", "https://huggingface.co/datasets/lab/rows"),
    ],
)
def test_addresses_of_the_hub(endpoint: str, given: str) -> None:
    assert repository_read(given, KINDS.get(endpoint, "huggingface"), endpoint) == "lab/rows"


@pytest.mark.parametrize(
    ("endpoint", "given"),
    [
        (HF, "https://evil.example/lab/rows"),
        (HF, "https://huggingface.co@evil.example/datasets/lab/rows"),
        (HF, "https://huggingface.co.evil.example/datasets/lab/rows"),
        (HF, "https://www.modelscope.cn/datasets/lab/rows"),
        (MS, "https://huggingface.co/datasets/lab/rows"),
        (HF, "file://huggingface.co/datasets/lab/rows"),
        (HF, "https://[huggingface.co/lab/rows"),
        ("http://hub.lan:8080/hf", "http://hub.lan:8080/other/lab/rows"),
        ("http://hub.lan:8080/hf", "http://hub.lan:8080/hfx/lab/rows"),
        ("http://hub.lan:8080", "https://www.modelscope.cn/datasets/lab/rows"),
    ],
)
def test_addresses_of_other_servers_are_refused(endpoint: str, given: str) -> None:
    """They would be asked of this hub, which may have another data set of that name."""
    with pytest.raises(DomainError) as refused:
        repository_read(given, KINDS.get(endpoint, "huggingface"), endpoint)
    assert (refused.value.field, endpoint in refused.value.message) == ("repository", True)


@pytest.mark.parametrize(
    ("kind", "name"), [("huggingface", "huggingface.co"), ("modelscope", "modelscope.cn")]
)
def test_a_hub_is_called_by_its_own_name(kind: str, name: str) -> None:
    """And not by that of a mirror, where no other is configured."""
    with pytest.raises(DomainError, match=f"from {name}: give"):
        repository_read("https://evil.example/lab/rows", kind, "")


@pytest.fixture
def proxy(hub, monkeypatch):
    """A simulated proxy that knows the name `hub.invalid`; what it was asked to connect to."""
    asked: list[str] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().split()[1])
            words = iter(self.rfile.readline, b"\r\n")
            asked.extend(line.decode().strip() for line in words if b"Authorization" in line)
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(hub.server.server_address) as server:
                threading.Thread(target=self._back, args=(server,), daemon=True).start()
                while data := self.connection.recv(65536):
                    server.sendall(data)

        def _back(self, server: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    self.connection.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://lab:secret@127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.setenv("no_proxy", "localhost")
        yield asked
        server.shutdown()


def test_a_hub_behind_a_proxy(hub, proxy, fetch, settings) -> None:
    settings.HF_ENDPOINT = "http://hub.invalid"
    hub.files, hub.redirects = {"x.jsonl": jsonl(GOOD)}, False
    found = fetch()
    assert (found.state, found.problem) == ("succeeded", "")
    assert set(proxy) == {"hub.invalid:80", "Proxy-Authorization: Basic bGFiOnNlY3JldA=="}


def test_stores_that_people_name_are_never_asked_by_a_proxy(proxy, fetch) -> None:
    found = fetch("s3", path="s3://trainer/x", endpoint="http://127.0.0.1:9", secrets=KEYS)
    assert ("private network" in found.problem, proxy) == (True, [])


# --- transfers ------------------------------------------------------------------------------------


def big() -> bytes:
    return jsonl([{"instruction": f"q{n}", "output": "a" * 1000} for n in range(1500)])


def test_a_cut_transfer_goes_on_where_it_stopped(hub, fetch) -> None:
    hub.files = {"x.jsonl": big()}
    hub.cuts = [100_000, 200_000, 0, 1]
    found = fetch()
    assert found.state == "succeeded"
    assert found.version.original.read_bytes() == hub.files["x.jsonl"]
    spans = [span for _name, span in hub.fetched()]
    assert spans == ["", "bytes=100000-", "bytes=300000-", "bytes=300000-", "bytes=300001-"]


def test_a_server_without_ranges_begins_again(hub, fetch) -> None:
    hub.files = {"x.jsonl": big()}
    hub.cuts, hub.ranges = [100_000], False
    found = fetch()
    assert found.version.original.read_bytes() == hub.files["x.jsonl"]


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-1"])
def test_a_length_that_is_none_is_passed_over(length, hub, fetch) -> None:
    hub.files, hub.length = {"x.jsonl": jsonl(GOOD)}, length
    found = fetch()
    assert (found.state, found.problem) == ("succeeded", "")
    assert rows_of(found) == GOOD


def test_a_transfer_that_brings_nothing_is_given_up(hub, fetch) -> None:
    hub.files = {"x.jsonl": big()}
    hub.cuts = [1000, *[0] * 20]
    found = fetch()
    assert (found.state, "cut after 1000 of" in found.problem) == ("failed", True)


def test_damage_is_found(hub, fetch, home) -> None:
    hub.files = {"x.jsonl": big()}
    hub.lies = {"x.jsonl": "0" * 64}
    found = fetch()
    assert (found.state, "checksum" in found.problem) == ("failed", True)
    assert len(hub.fetched()) == 2
    assert not list((home / "data" / ".imports").iterdir())


def test_limits_are_kept(hub, fetch, people, settings) -> None:
    hub.files = {"x.jsonl": big()}
    settings.UPLOAD_MAX_BYTES = 2**20
    assert "at most 1 MB" in fetch().problem
    settings.UPLOAD_MAX_BYTES = 2**30
    people.team.max_storage_bytes = 1000
    people.team.save()
    assert "uses 0 of 0 MB" in fetch().problem
    assert not hub.fetched()
    services.import_create(
        project=people.team, created_by=people.member, kind="huggingface",
        reference={"repository": "lab/rows"},
    )  # fmt: skip
    for _number in range(19):
        fetch(execute=False)
    with pytest.raises(Conflict):
        fetch(execute=False)


def test_a_full_disk_is_said(hub, fetch, monkeypatch) -> None:
    hub.files = {"x.jsonl": jsonl(GOOD)}

    def full(*_args) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(importing, "_receive", full)
    found = fetch()
    assert (found.state, "disk is full" in found.problem) == ("failed", True)


def test_a_bad_file_fails_the_import(hub, fetch) -> None:
    hub.files = {"x.jsonl": b'{"a": 1}\n{broken\n'}
    found = fetch()
    assert (found.state, "ine 2" in found.problem) == ("failed", True)
    assert not Dataset.objects.exists()


def test_called_off_in_the_middle(hub, fetch, people, home, monkeypatch) -> None:
    hub.files = {f"{n}.jsonl": big() for n in range(3)}
    found = fetch(execute=False)
    looked = importing._Reporter.look

    def look(self) -> None:
        if self.done == 1:
            Import.objects.filter(pk=found.pk, state="running").exists() and (
                services.import_cancel(found.pk, by=people.member)
            )
        looked(self)

    monkeypatch.setattr(importing._Reporter, "look", look)
    services.import_execute(found.pk)
    found.refresh_from_db()
    assert (found.state, found.version) == ("cancelled", None)
    assert not Dataset.objects.exists()
    assert not list((home / "data" / ".imports").iterdir())


@pytest.mark.django_db(transaction=True)
def test_a_killed_import_goes_on_with_what_had_arrived(hub, people, home) -> None:
    """kill -9 in the middle of the second file: the sweep begins it again, the first one stays."""
    hub.files = {f"{n}.jsonl": big() for n in range(2)}
    found = services.import_create(
        project=people.team,
        created_by=people.member,
        kind="huggingface",
        reference={"repository": "lab/rows"},
        secrets={"token": TOKEN},
    )
    hub.pause = 0.05
    environment = children.environment() | {
        "TRAINER_SECRET_KEY": _secret_key(),
        "TRAINER_HUB_ONLINE": "true",
        "TRAINER_HF_ENDPOINT": hub.endpoint,
    }
    part = found.directory / "files" / "1.part"
    log = home / "logs" / "import.log"
    with log.open("wb") as errors:
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "import_run", str(found.pk)],
            env=environment, cwd=ROOT, stderr=errors,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size) and time.monotonic() < until:
            assert worker.poll() is None, log.read_text()
            time.sleep(0.01)
    finally:
        worker.kill()
        worker.wait()
    before = len(hub.fetched())
    hub.pause = 0
    found.refresh_from_db()
    assert found.state == "running"
    services.sweep()
    assert found.directory.exists()
    services.import_execute(found.pk)
    found.refresh_from_db()
    assert (found.state, found.progress, found.secret) == ("succeeded", {}, "")
    assert found.version.state == "checking"  # a big one is checked by another process
    again = hub.fetched()[before:]
    assert [name for name, _span in again] == ["1.jsonl"]
    assert again[0][1].startswith("bytes=")
    services.import_execute(found.pk)
    assert Dataset.objects.count() == 1
    assert TOKEN not in _everything_written(home)


def _secret_key() -> str:
    from django.conf import settings

    return str(settings.SECRET_KEY)


def test_an_import_that_kills_its_worker_is_given_up(hub, fetch) -> None:
    hub.files = {"x.jsonl": jsonl(GOOD)}
    found = fetch(execute=False)
    Import.objects.filter(pk=found.pk).update(state="running", progress={"tries": 5})
    services.import_execute(found.pk)
    found.refresh_from_db()
    assert (found.state, "5 times" in found.problem) == ("failed", True)


def test_nobody_chooses(hub, fetch, settings) -> None:
    hub.files = {"train.jsonl": jsonl(GOOD), "test.jsonl": jsonl(GOOD)}
    found = fetch(secrets={"token": TOKEN})
    assert (found.state, bool(found.secret)) == ("choosing", True)
    services.sweep()
    settings.UPLOAD_KEEP_SECONDS = 0
    services.sweep()
    found.refresh_from_db()
    assert (found.state, found.secret) == ("failed", "")


# --- stores ---------------------------------------------------------------------------------------

KEYS = {"access_key": ACCESS, "secret_key": SECRET}


def store(bucket, fetch, settings, **given) -> Import:
    settings.IMPORT_HOSTS = ["127.0.0.1"]
    fields = {"path": "s3://trainer/data/", "endpoint": bucket.endpoint, "secrets": KEYS}
    return fetch("s3", **fields | given)


def test_objects_become_a_version(bucket, fetch, settings, home) -> None:
    bucket.client.put_object(Bucket="trainer", Key="data/a b.jsonl", Body=jsonl(GOOD[:9]))
    bucket.client.put_object(Bucket="trainer", Key="data/空 c.jsonl", Body=jsonl(GOOD[9:]))
    bucket.client.put_object(Bucket="trainer", Key="other/x.jsonl", Body=b"{}")
    found = store(bucket, fetch, settings)
    assert (found.state, found.problem) == ("succeeded", "")
    assert rows_of(found) == GOOD
    assert SECRET not in _everything_written(home)
    one = store(bucket, fetch, settings, path="s3://trainer/data/a b.jsonl", name="one")
    assert rows_of(one) == GOOD[:9]


def test_more_objects_than_a_page_has(bucket, fetch, settings) -> None:
    for number in range(1010):
        key = f"data/{number}.{'jsonl' if number == 1009 else 'bin'}"
        bucket.client.put_object(Bucket="trainer", Key=key, Body=jsonl(GOOD))
    assert store(bucket, fetch, settings).state == "succeeded"


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


# --- directories ----------------------------------------------------------------------------------


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


# --- pages and API ------------------------------------------------------------------------------


def test_the_pages(client, people, hub, shared) -> None:
    hub.files = {"en/train.jsonl": jsonl(GOOD), "zh/train.jsonl": jsonl(GOOD)}
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    for kind in ("huggingface", "modelscope", "s3", "directory"):
        assert client.get(reverse("datasets:import_create"), {"kind": kind}).status_code == 200
    browsed = client.get(
        reverse("datasets:import_create"), {"kind": "directory", "path": "team"}
    ).content.decode()
    assert "a.jsonl" in browsed
    assert "out.jsonl" not in browsed
    assert ".hidden" not in browsed
    answer = client.post(
        reverse("datasets:import_create"), {"kind": "huggingface", "repository": "lab/rows"}
    )
    found = Import.objects.get()
    page = reverse("datasets:import_detail", args=[found.pk])
    assert answer["Location"] == page
    services.import_execute(found.pk)
    assert 'value="zh / train"' in client.get(page).content.decode()
    client.post(reverse("datasets:import_choose", args=[found.pk]), {"choices": ["zh / train"]})
    services.import_execute(found.pk)
    assert "rows v1" in client.get(page).content.decode()
    assert "lab/rows" in client.get(reverse("datasets:import_list")).content.decode()
    client.force_login(people.stranger)
    assert client.get(page).status_code == 404
    cancel = reverse("datasets:import_cancel", args=[found.pk])
    assert client.post(cancel).status_code == 404


def test_trying_again_keeps_what_was_typed(client, people, hub, fetch) -> None:
    hub.token = TOKEN
    found = fetch(name="mine", files=["a.*"])
    client.force_login(people.member)
    again = client.get(
        reverse("datasets:import_create"), {"kind": "huggingface", "again": str(found.pk)}
    ).content.decode()
    assert 'value="lab/rows"' in again
    assert 'value="a.*"' in again


def test_the_api(client, people, hub) -> None:
    hub.files = {"train.jsonl": jsonl(GOOD), "test.jsonl": jsonl(GOOD)}
    client.force_login(people.member)

    def post(name, data, *args):
        return client.post(reverse(name, args=args), data, content_type="application/json")

    made = post(
        "api-import-list",
        {
            "kind": "huggingface",
            "repository": "lab/rows",
            "token": TOKEN,
            "project": str(people.team.pk),
        },
    )
    assert made.status_code == 202
    found = made.json()
    assert TOKEN not in made.content.decode()
    assert "secret" not in found
    services.import_execute(found["id"])
    seen = client.get(reverse("api-import-detail", args=[found["id"]])).json()
    assert (seen["state"], [one["name"] for one in seen["offers"]]) == (
        "choosing",
        ["test", "train"],
    )
    chosen = post("api-import-choose", {"choices": ["train"]}, found["id"])
    assert chosen.json()["state"] == "waiting"
    cancelled = post("api-import-cancel", {}, found["id"])
    assert cancelled.json()["state"] == "cancelled"
    assert post("api-import-cancel", {}, found["id"]).status_code == 409
    wrong = post("api-import-list", {"kind": "s3", "path": "x", "project": str(people.team.pk)})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "path")


def test_imports_go_with_their_project(hub, fetch, people) -> None:
    fetch(execute=False)
    services.project_empty(people.team, until=float("inf"))
    assert not Import.objects.exists()
