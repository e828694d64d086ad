"""What keeps outputs on a node: it is told, waited for, and given up in the end."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from django.urls import reverse

from nodes.models import Workload
from nodes.services import workload_stop
from nodes.services.reasons import reason_text
from nodes.staging import bringing
from nodes.staging.bringing import Bringer
from nodes.staging.cache import InputCache
from nodes.staging.carried import Carried, Way, carried
from nodes.staging.carrier import Carrier
from nodes.staging.control import Control
from nodes.staging.growing import Grower
from tests.nodes.conftest import followed, start, until

MIB = 2**20
TOO_LARGE = (413, b"<html>413 Request Entity Too Large</html>")
BY_RULE = (400, b'{"code": "bad_message", "detail": "There are too many files."}')


class Simulated(ThreadingHTTPServer):
    """A simulated control plane behind a proxy: `says` has its next answers; then it takes all."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.says: list[tuple[int, bytes]] = []
        self.refuses: Callable[[bytes], bool] = lambda body: False  # for its size
        self.kept: list[str] = []
        self.grown: dict[str, bytes] = {"log": b"", "metrics": b""}
        self.asked = 0

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        if self.says:
            return self.says.pop(0)
        if self.refuses(body):
            return TOO_LARGE
        if path.endswith("/growth/"):
            return 200, json.dumps({"parts": list(self._grow(body))}).encode()
        if method == "POST":
            files = json.loads(body)["files"]
            return 200, json.dumps({"wanted": {one["sha256"]: 0 for one in files}}).encode()
        if path.endswith("/outputs/"):
            self.kept = [one["path"] for one in json.loads(body)["files"]]
            return 204, b""
        return 200, json.dumps({"next": len(body)}).encode()

    def _grow(self, body: bytes) -> Iterator[dict[str, int]]:
        head, _newline, rest = body.partition(b"\n")
        for part in json.loads(head)["parts"]:
            known = self.grown[part["file"]]
            assert part["offset"] == len(known)
            self.grown[part["file"]] = known + rest[: part["size"]]
            rest = rest[part["size"] :]
            yield {"next": len(self.grown[part["file"]])}


class _Answers(BaseHTTPRequestHandler):
    server: Simulated

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, data = self.server.answer(self.command, self.path.partition("?")[0], body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT = _answer

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def control() -> Iterator[Simulated]:
    with Simulated() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def one(home, monkeypatch) -> Carried:
    """A workload whose process has ended and left a file; nobody waits between tries."""

    async def at_once(tries: int) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(bringing, "patiently_asleep", at_once)
    monkeypatch.setattr(bringing, "REFUSALS_MAX", 5)
    row = Workload(pk=uuid.uuid4(), epoch=1, inputs={})
    (row.directory / "output").mkdir(parents=True)
    (row.directory / "output" / "weights").write_bytes(b"w" * MIB)
    made = carried(row)
    made.ended = True
    return made


def brought(control: Simulated, one: Carried, below: str = "") -> Carried:
    async def bring() -> None:
        wire = Control(f"http://127.0.0.1:{control.server_port}", "key")
        await Bringer(wire, asyncio.Semaphore(2)).bring(one, below)
        await wire.close()

    asyncio.run(bring())
    return one


def test_what_passes_is_waited_for(control, one) -> None:
    control.says = [TOO_LARGE, (503, b"away"), (500, b"broken"), TOO_LARGE]
    assert brought(control, one).is_home
    assert control.kept == ["output/weights"]
    assert (one.way, one.given_up) == (Way(sent=MIB, size=MIB), "")


def test_a_proxy_that_takes_nothing_large(control, one) -> None:
    control.says = [TOO_LARGE] * 9
    assert not brought(control, one).is_home
    assert "413" in one.given_up
    assert "16 MB" in one.given_up
    assert control.asked == 5


def test_a_rule_is_the_same_later(control, one) -> None:
    control.says = [BY_RULE] * 9
    assert brought(control, one).given_up == "There are too many files."
    assert control.asked == bringing.RULES_MAX


def test_a_disk_that_cannot_be_read(control, one) -> None:
    one.directory.rename(one.directory.with_name("gone"))
    assert not brought(control, one).is_home
    assert "No such file" in one.given_up


def test_a_checkpoint_that_is_refused_is_left_to_the_end(control, one) -> None:
    control.says = [TOO_LARGE]
    brought(control, one, "output")
    assert (one.given_up, one.is_home, control.asked) == ("", False, 1)


def test_who_kills_it_does_not_wait(control, one) -> None:
    one.with_outputs = False
    assert brought(control, one).is_home
    assert control.asked == 0


@pytest.fixture
def lines(control, one) -> bytes:
    """Its log; the proxy before the simulated control plane takes less than 20,000 bytes at once,
    and nothing that speaks of a secret.
    """
    lines = [b"line %d\n" % number for number in range(20_000)]
    lines[70] = b"a secret" * 10 + b"\n"
    one.paths["log"].parent.mkdir(exist_ok=True)
    one.paths["log"].write_bytes(b"".join(lines))
    control.refuses = lambda body: len(body) > 20_000 or b"secret" in body
    return one.paths["log"].read_bytes()


def grown(control: Simulated, one: Carried, until_true) -> None:
    """Sends its log and metrics until something is true."""

    async def grow() -> None:
        wire = Control(f"http://127.0.0.1:{control.server_port}", "key")
        growing = asyncio.create_task(Grower(wire, lambda: [one]).run())
        while not until_true():
            await asyncio.sleep(0.01)
        growing.cancel()
        await wire.close()

    asyncio.run(asyncio.wait_for(grow(), 30))


def test_logs_are_cut_smaller_until_they_pass(control, one, lines) -> None:
    """What is refused by itself is left out, and a line of the same length says so."""
    grown(control, one, lambda: one.is_sealed)
    log = control.grown["log"]
    assert len(log) == len(lines)
    theirs, ours = log.splitlines(), lines.splitlines()
    assert theirs[70].strip() == b"trainer: 81 bytes were refused on their way here (413)"
    assert (theirs[:70], theirs[71:]) == (ours[:70], ours[71:])
    assert one.way.hindrance == ""


def test_a_line_of_any_length_is_cut(control, one) -> None:
    one.paths["log"].parent.mkdir(exist_ok=True)
    one.paths["log"].write_bytes(b"l" * 50_000)
    control.refuses = lambda body: len(body) > 5_000
    grown(control, one, lambda: one.is_sealed)
    assert control.grown["log"] == b"l" * 50_000


def test_logs_of_which_nothing_passes(control, one, lines) -> None:
    """It is told and waited for, and nothing is lost."""
    one.grown["log"].next = 0  # it has been asked how much is there
    control.refuses = lambda body: True
    grown(control, one, lambda: one.way.hindrance)
    assert "413" in one.way.hindrance
    assert not one.is_sealed
    control.refuses = lambda body: False
    grown(control, one, lambda: one.is_sealed)
    assert control.grown["log"] == lines


def test_logs_that_never_pass(control, one, monkeypatch) -> None:
    """They hold up the end of their workload not for ever."""
    control.refuses = lambda body: True
    monkeypatch.setattr("nodes.staging.growing.REFUSALS_MAX", 2)
    grown(control, one, lambda: one.is_sealed)


@pytest.fixture
def carrier(agent, home) -> Carrier:
    """The agent's, which carries nothing by itself: the test says how far it is."""
    cache = InputCache(home / "cache", MIB, reserve=0)
    agent.carrier = Carrier(Control("http://127.0.0.1:9", "key"), home, cache)
    return agent.carrier


def ended(agent, carrier: Carrier, workload: Workload) -> Carried:
    """What the carrier knows of it when its process has ended."""
    until(workload.facts_path("exit").exists)
    agent.rows_at = 0
    agent.follow()
    return carrier._carried[workload.pk]


@pytest.mark.django_db(transaction=True)
def test_the_row_says_how_far_it_is(agent, carrier, submit, monkeypatch) -> None:
    monkeypatch.setattr("nodes.following.NOTE_SECONDS", 0.0)
    workload = start(submit({}))
    known = ended(agent, carrier, workload)
    for way, words in (
        (Way(), "is on its way from its node."),
        (Way(3 * MIB, 9 * MIB), "3 MB of 9 MB"),
        (Way(3 * MIB, 9 * MIB, "413"), "tried again: 413"),
    ):
        known.way = way
        agent.follow()
        workload.refresh_from_db()
        assert words in reason_text(workload.waits_for)
        assert workload.state == Workload.State.RUNNING
    known.is_home = True
    workload = followed(agent, workload)
    assert (workload.outcome, workload.waits_for) == ("ok", {})


@pytest.fixture
def given_up(agent, carrier, submit) -> Workload:
    """One whose outputs never come home."""
    workload = start(submit({}))
    ended(agent, carrier, workload).given_up = "There are too many files."
    (workload.directory / "output" / "weights").write_bytes(b"weights")
    return followed(agent, workload)


@pytest.mark.django_db(transaction=True)
def test_what_was_given_up_ends_it_and_is_kept(given_up, carrier, people, client) -> None:
    assert given_up.outcome == "error"
    assert "for a while: There are too many files." in given_up.reason
    kept = Path(given_up.end_facts["kept"])
    client.force_login(people.operator)
    page = client.get(reverse("admin:nodes_workload_change", args=[given_up.pk]))
    assert f">{kept}<" in page.content.decode()
    for _time in range(2):
        carrier.tidy_up(given_up.pk)
        asyncio.run(carrier.keep_reserve())
        assert (kept / "output" / "weights").read_bytes() == b"weights"
    assert not given_up.directory.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_kept_goes_for_want_of_room(given_up, carrier) -> None:
    """But not the place for what has not been taken yet."""
    kept = Path(given_up.end_facts["kept"])
    carrier._cache.make_room(2 * MIB)
    carrier.tidy_up(given_up.pk)
    assert kept.exists()
    carrier._cache.make_room(2 * MIB)
    assert not kept.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_kept_goes_in_the_end(given_up, carrier, monkeypatch) -> None:
    carrier.tidy_up(given_up.pk)
    monkeypatch.setattr("nodes.staging.cache.KEPT_DAYS", 0)
    asyncio.run(carrier.keep_reserve())
    assert not Path(given_up.end_facts["kept"]).exists()


@pytest.mark.django_db(transaction=True)
def test_what_was_given_up_does_not_hold_a_kill(agent, carrier, submit) -> None:
    workload = start(submit({"fail": 3}))
    known = ended(agent, carrier, workload)
    known.given_up, known.is_home = "There are too many files.", True
    workload_stop(workload.pk, mode="kill", reason="Enough.")
    workload = followed(agent, workload)
    assert (workload.outcome, workload.reason) == ("stopped", "Enough.")
