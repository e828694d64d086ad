"""Nodes without the shared directory: inputs, logs, metrics, outputs, and deaths in between."""

import hashlib
import json
import random
import shutil
import time
import urllib.request
from pathlib import Path

import pytest
from django.db import connection

from common import store
from nodes.models import Workload
from nodes.runners.description import LABEL
from nodes.services import reach, route_to
from tests.nodes.conftest import until
from tests.nodes.contained import listed
from tests.nodes.disks import enlarge, fill, small_disk
from tests.nodes.far import far_platform
from tests.ports import free_port
from tests.s3 import bucket

__all__ = ["bucket"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="nodes need PostgreSQL"),
]
State = Workload.State


@pytest.fixture
def far(engine, home, settings, transactional_db, tmp_path_factory):
    """A control plane that runs, and one node that does not yet."""
    root = tmp_path_factory.mktemp("far")
    with far_platform(home, settings.ENGINES_DIR, settings.SECRET_KEY, root, nodes=2) as made:
        made[0].web()
        yield made[0], *made[1]


def ended(workload: Workload, *machines) -> Workload:
    def look() -> bool:
        workload.refresh_from_db()
        return workload.state == State.ENDED

    try:
        until(look)
    except AssertionError:
        raise AssertionError("\n".join(machine.said() for machine in machines)) from None
    return workload


def on_node(node, workload: Workload) -> Path:
    return node.home / "output" / str(workload.pk)


def steps_of(path: Path) -> list[int]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["step"] for row in rows if row["kind"] == "log"]


def model(home: Path, **files: bytes) -> None:
    folder = home / "models" / "m"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def test_the_whole_way(far, submit, home) -> None:
    """Inputs come, log and curve grow at the control plane, outputs are there before it ends."""
    control, node, _other = far
    weights = random.Random(1).randbytes(3 * 2**20 + 17)
    model(home, weights=weights, tokenizer=b"t" * 100)
    (home / "data" / "rows.jsonl").write_bytes(b"{}\n" * 10)
    node.agent()
    node.worker()
    node.ready()
    inputs = {"model": "models/m", "data": "data/rows.jsonl", "hub": "hub:some/model"}
    config = {"steps": 40, "seconds": 0.1, "read": True, "save": 10, "weigh": 64000, "waits": True}
    workload = submit(config, inputs=inputs)
    log = workload.log_path
    until(lambda: log.exists() and "step 5\n" in log.read_text())
    workload.refresh_from_db()
    assert workload.state == State.RUNNING
    until(lambda: (workload.directory / "output" / "checkpoint-10" / "weights").exists())
    workload.refresh_from_db()
    assert workload.state == State.RUNNING  # it came while the rest went on
    (on_node(node, workload) / "go").touch()
    ended(workload, control, node)
    assert (workload.outcome, workload.reason, workload.epoch) == ("ok", "", 1)
    text = log.read_text()
    for name, data in (("model/weights", weights), ("data", b"{}\n" * 10)):
        assert f"input inputs/{name} {hashlib.sha256(data).hexdigest()}\n" in text
    assert [int(line.split()[1]) for line in text.splitlines() if line.startswith("step ")] == list(
        range(1, 41)
    )
    assert steps_of(workload.metrics_path) == list(range(1, 41))
    output = workload.directory / "output"
    kept = sorted(path.name for path in output.iterdir())
    assert kept == ["checkpoint-30", "checkpoint-40", "model.bin"]
    assert (output / "model.bin").stat().st_size == 64000
    assert json.loads(workload.facts_path("result").read_text())["status"] == "finished"
    assert not (workload.directory / "inputs").exists()
    left = node.home / "cache" / "uses" / str(workload.pk)
    until(lambda: not left.exists())  # the last thing that goes when the node tidies up
    assert not on_node(node, workload).exists()
    assert not (node.home / "logs" / f"{workload.pk}.log").exists()


@pytest.mark.docker
def test_the_whole_way_in_a_container(docker_host, far, submit, home) -> None:
    """What was fetched is seen inside; log, curve and outputs come home, and nothing stays."""
    listed()
    control, node, _other = far
    weights = random.Random(5).randbytes(2**20 + 3)
    model(home, weights=weights)
    node.env["TRAINER_RUNNER"] = "docker"
    node.agent()
    node.worker()
    node.ready()
    config = {"steps": 30, "seconds": 0.1, "read": True, "save": 10, "weigh": 64000}
    workload = submit(config, inputs={"model": "models/m"})
    label = {"label": f"{LABEL}workload={workload.pk}"}
    until(lambda: docker_host.containers.list(filters=label))
    ended(workload, control, node)
    assert (workload.outcome, workload.reason, workload.epoch) == ("ok", "", 1)
    lines = workload.log_path.read_text().splitlines()
    assert lines[lines.index("started train") + 1 :] == [
        f"input inputs/model/weights {hashlib.sha256(weights).hexdigest()}",
        *(f"step {step}" for step in range(1, 31)),
    ]
    assert steps_of(workload.metrics_path) == list(range(1, 31))
    output = workload.directory / "output"
    kept = {path.name for path in output.iterdir()}
    assert kept == {"checkpoint-20", "checkpoint-30", "model.bin"}
    assert (output / "model.bin").stat().st_size == 64000
    until(lambda: not docker_host.containers.list(all=True, filters=label))
    until(lambda: not on_node(node, workload).exists())


def test_inputs_are_fetched_once(far, submit, home) -> None:
    control, node, _other = far
    model(home, weights=b"w" * 5000)
    node.agent()
    node.ready()
    first = ended(submit({"read": True}, inputs={"model": "models/m"}), control, node)
    assert "fetched 0.0 MB of inputs" in first.log_path.read_text()
    blob = node.home / "cache" / "blobs" / hashlib.sha256(b"w" * 5000).hexdigest()[:2]
    before = [(path.name, path.stat().st_ino) for path in blob.iterdir()]
    shutil.copytree(home / "models" / "m", home / "models" / "n")
    second = ended(submit({"read": True}, inputs={"model": "models/n"}), control, node)
    assert "fetched" not in second.log_path.read_text()
    assert "input inputs/model/weights" in second.log_path.read_text()
    assert [(path.name, path.stat().st_ino) for path in blob.iterdir()] == before


def test_everything_dies_once_and_nothing_is_lost(far, submit, home) -> None:
    """The agent, the node's worker and the web process, killed in turn under a fast log."""
    control, node, _other = far
    model(home, weights=b"w" * 5000)
    node.agent()
    node.worker()
    node.ready()
    config = {"steps": 150, "seconds": 0.1, "save": 25, "weigh": 32000, "lines": 20000}
    workload = submit(config, inputs={"model": "models/m"})
    log, own = workload.log_path, node.home / "logs" / f"{workload.pk}.log"
    for step, machine, parts in (
        (10, node, ("agent",)),
        (40, control, ("web",)),
        (70, node, ("worker", "agent")),
        (100, control, ("web",)),
    ):
        until(lambda: own.exists() and f"step {step}\n" in own.read_text())  # noqa: B023
        for part in parts:
            machine.kill(part)
        time.sleep(1)
        for part in parts:
            getattr(machine, part)()
    ended(workload, control, node)
    assert (workload.outcome, workload.epoch) == ("ok", 1)
    wanted = [f"step {step}" for step in range(1, 151)] + [f"line {line}" for line in range(20000)]
    lines = log.read_text().splitlines()
    assert [line for line in lines if line.startswith(("step ", "line "))] == wanted
    assert steps_of(workload.metrics_path) == list(range(1, 151))
    assert (workload.directory / "output" / "checkpoint-150" / "weights").stat().st_size == 32000


def test_it_does_not_end_before_its_log_is_there(far, submit) -> None:
    """The control plane is away while the process ends: the row waits for it."""
    control, node, _other = far
    node.agent()
    node.ready()
    workload = submit({"steps": 10, "lines": 3000, "weigh": 32000, "waits": True})
    until(lambda: workload.log_path.exists() and "step 2\n" in workload.log_path.read_text())
    control.kill("web")
    (on_node(node, workload) / "go").touch()
    until((on_node(node, workload) / "exit-1.json").exists)
    time.sleep(2)
    workload.refresh_from_db()
    assert workload.state == State.RUNNING
    assert "line 2999\n" not in workload.log_path.read_text()
    node.kill("agent")
    control.web()
    node.agent()
    ended(workload, control, node)
    assert workload.outcome == "ok"
    assert "line 2999\n" in workload.log_path.read_text()
    assert (workload.directory / "output" / "model.bin").stat().st_size == 32000


def test_the_next_one_runs_while_results_come_home(far, submit) -> None:
    """The first one's place is free before its results are home, and also its agent may die."""
    control, node, _other = far
    node.agent()
    whole = float(node.ready().cpu_count)
    first = submit({"steps": 5, "weigh": 32000, "waits": True}, cpus=whole)
    until(lambda: Workload.objects.filter(pk=first.pk, state=State.RUNNING).exists())
    control.kill("web")
    second = submit({"steps": 5, "seconds": 0.1}, cpus=whole)
    assert second.state == State.WAITING
    (on_node(node, first) / "go").touch()
    until(lambda: Workload.objects.filter(pk=first.pk).exclude(exited_at=None).exists())
    node.kill("agent")
    node.agent()
    until((on_node(node, second) / "exit-1.json").exists)
    first.refresh_from_db()
    assert (first.state, first.comes_home) == (State.RUNNING, True)
    control.web()
    for workload in (first, second):
        ended(workload, control, node)
        assert (workload.outcome, workload.epoch) == ("ok", 1)
    assert (first.directory / "output" / "model.bin").stat().st_size == 32000


def test_a_stop_while_inputs_come(far, submit, home) -> None:
    from nodes.services import workload_stop

    control, node, _other = far
    node.agent()
    node.ready()
    control.kill("web")  # nothing can come
    model(home, weights=b"w" * 5000)
    workload = submit({}, inputs={"model": "models/m"})
    until(lambda: Workload.objects.filter(pk=workload.pk, state=State.STARTING).exists())
    workload_stop(workload.pk, mode="kill", reason="Not needed.")
    ended(workload, control, node)
    assert (workload.outcome, workload.reason) == ("stopped", "Not needed.")


def test_inputs_that_are_gone(far, submit) -> None:
    control, node, _other = far
    node.agent()
    node.ready()
    workload = ended(submit({}, inputs={"model": "models/none"}), control, node)
    assert workload.outcome == "error"
    assert "“model” are not there any more" in workload.reason


@pytest.mark.parametrize("full", [False, True])
def test_inputs_for_which_there_is_no_room_wait_for_it(far, submit, home, full) -> None:
    """The disk is too small for them, or full: the workload waits again, and starts with room."""
    control, node, _other = far
    model(home, weights=b"w" * 3 * 2**20)
    cache = node.home / "cache"
    cache.mkdir()
    node.env["TRAINER_NODE_RESERVE_BYTES"] = "0"
    with small_disk(cache):
        node.agent()
        node.ready()
        big = fill(cache) if full else cache / "nothing"
        workload = submit({"read": True}, inputs={"model": "models/m"})

        def came_back() -> bool:
            workload.refresh_from_db()
            return bool(workload.end_facts.get("returns"))

        until(came_back)
        big.unlink(missing_ok=True)
        enlarge(cache)
        ended(workload, control, node)
        assert workload.outcome == "ok"
        node.kill("agent")


def test_a_file_that_came_half(far, submit, home) -> None:
    """A part that lies there is gone on with; a wrong beginning is noticed and fetched anew."""
    control, node, _other = far
    right, other = random.Random(2).randbytes(2**20), random.Random(3).randbytes(2**20)
    model(home, right=right, other=other)
    parts = node.home / "cache" / "parts"
    parts.mkdir(parents=True)
    (parts / hashlib.sha256(right).hexdigest()).write_bytes(right[:700_000])
    (parts / hashlib.sha256(other).hexdigest()).write_bytes(b"x" * 700_000)
    (node.home / "cache" / "uses").mkdir()
    node.agent()
    node.ready()
    workload = ended(submit({"read": True}, inputs={"model": "models/m"}), control, node)
    assert workload.outcome == "ok"
    for data in (right, other):
        assert hashlib.sha256(data).hexdigest() in workload.log_path.read_text()


@pytest.mark.parametrize("store_answers", [True, False])
def test_inputs_come_from_the_store(
    bucket, engine, home, settings, submit, tmp_path_factory, transactional_db, store_answers
) -> None:
    """By link where the store holds the same; from the control plane where it does not answer."""
    data = random.Random(4).randbytes(300_000)
    model(home, weights=data)
    root, env = tmp_path_factory.mktemp("far"), bucket.env
    store.put(home / "models" / "m" / "weights", "models/m/weights")
    made = far_platform(home, settings.ENGINES_DIR, settings.SECRET_KEY, root, **env)
    with made as (control, (node,)):
        control.web()
        node.agent()
        node.ready()
        if not store_answers:
            bucket.stop()
        workload = ended(submit({"read": True}, inputs={"model": "models/m"}), control, node)
        assert workload.outcome == "ok"
        assert hashlib.sha256(data).hexdigest() in workload.log_path.read_text()
        assert ("/inputs/model/file/" in control.said()) is not store_answers
        assert "simulated" not in node.said()


def test_a_service_brings_nothing_back(far, submit) -> None:
    from nodes.services import workload_stop

    control, node, _other = far
    node.agent()
    node.ready()
    workload = submit({"steps": 300, "seconds": 0.1, "save": 100}, is_service=True, verb="serve")
    until(lambda: workload.log_path.exists() and "step 3\n" in workload.log_path.read_text())
    workload_stop(workload.pk, mode="checkpoint", reason="Enough.")
    ended(workload, control, node)
    assert workload.outcome == "stopped"
    assert sorted(path.name for path in workload.directory.iterdir()) == ["metrics.jsonl"]


def test_a_node_that_shares_the_directory_after_all(far, submit, home) -> None:
    """It finds the control plane's mark in its own directory and works there as ever."""
    control, node, _other = far
    node.env["TRAINER_HOME"] = str(home)
    node.agent()
    from nodes.models import Node

    until(lambda: Node.objects.filter(name=node.name, shares_home=True).exists())
    workload = ended(submit({"steps": 2, "weigh": 3200}), control, node)
    assert workload.outcome == "ok"
    assert not (home / "cache").exists()
    output = workload.directory / "output"
    assert [path.name for path in output.iterdir()] == ["model.bin"]


def test_a_service_is_reached_through_the_agent(
    engine, home, settings, submit, tmp_path_factory, transactional_db
) -> None:
    """A real agent's door, from the node's own report of its address to the unix socket."""
    root, port = tmp_path_factory.mktemp("far"), free_port()
    code = (
        "import http.server, socketserver, threading\n"
        "class Say(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self):\n"
        "        data = self.rfile.read(int(self.headers['Content-Length']))\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Length', str(len(data)))\n"
        "        self.end_headers()\n"
        "        self.wfile.write(data[::-1])\n"
        "    def address_string(self): return ''\n"
        "server = socketserver.ThreadingUnixStreamServer(os.environ['TRAINER_SOCKET'], Say)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
    )
    made = far_platform(
        home, settings.ENGINES_DIR, settings.SECRET_KEY, root,
        TRAINER_AGENT_LISTEN=f"127.0.0.1:{port}",
    )  # fmt: skip
    with made as (control, (node,)):
        control.web()
        node.agent()
        node.ready()
        workload = submit({"steps": 600, "seconds": 0.1, "code": code}, is_service=True)
        until(
            lambda: workload.log_path.exists() and "step 2\n" in workload.log_path.read_text(), 60
        )
        route = route_to(Workload.objects.select_related("node").get(pk=workload.pk))
        assert route.url == f"http://127.0.0.1:{port}/replicas/{workload.pk}"
        mark, path = reach.nonce(), f"/replicas/{workload.pk}/v1/x"
        headers = {
            reach.NONCE_HEADER: mark,
            reach.PROOF_HEADER: reach.proof(route.key, mark, "POST", path, b"abc"),
        }
        request = urllib.request.Request(f"{route.url}/v1/x", b"abc", headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.read() == b"cba"
            assert answer.headers[reach.ANSWER_HEADER] == reach.answer_proof(route.key, mark)
