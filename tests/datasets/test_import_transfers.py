"""Transfers of imports: cut, damaged, too big, through a proxy, called off and killed."""

import contextlib
import socket
import socketserver
import subprocess
import sys
import threading
import time

import pytest

from common.errors import Conflict
from datasets import services
from datasets.models import Dataset, Import
from datasets.services import importing
from tests.datasets import children
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.fetching import (
    KEYS,
    TOKEN,
    big,
    everything_written,
    fetch,
    hasty,
    rows_of,
)
from tests.datasets.hubs import hub
from tests.services import ROOT

__all__ = ["fetch", "hasty", "hub"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


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
    assert TOKEN not in everything_written(home)


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
