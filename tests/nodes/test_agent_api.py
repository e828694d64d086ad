"""What a node may ask and tell the control plane, and what it is refused."""

import hashlib
import json
import uuid

import pytest
from django.test import Client

from nodes import tasks
from nodes.models import Workload
from nodes.services.sharing import home_id, node_key
from nodes.staging.outputs import incoming_root
from nodes.staging.trees import FILES_MAX
from tests.nodes.conftest import start

pytestmark = pytest.mark.django_db(transaction=True)
AGENT = "/api/v1/agent/"


class Wire:
    """Requests with a node's key."""

    def __init__(self, key: str) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {key}"})

    def get(self, path: str, **more):
        return self.client.get(AGENT + path, **more)

    def grow(self, *parts: tuple[dict, bytes]):
        head = {"parts": [{"size": len(data), **part} for part, data in parts]}
        body = json.dumps(head).encode() + b"\n" + b"".join(data for _part, data in parts)
        return self.client.post(f"{AGENT}growth/", body, "application/octet-stream")

    def json(self, method: str, path: str, body: object):
        return getattr(self.client, method)(AGENT + path, json.dumps(body), "application/json")

    def send(self, path: str, data: bytes, *, size: int, offset: int = 0):
        address = f"{AGENT}{path}?size={size}&offset={offset}"
        return self.client.put(address, data, "application/octet-stream")


@pytest.fixture
def wire(agent) -> Wire:
    return Wire(node_key(agent.name))


@pytest.fixture
def workload(agent, submit) -> Workload:
    """It runs on the node."""
    return start(submit({"steps": 300, "seconds": 0.1}))


def part(workload: Workload, offset: int = 0, file: str = "log", **more) -> dict:
    return {
        "workload": str(workload.pk),
        "epoch": workload.epoch,
        "file": file,
        "offset": offset,
        **more,
    }


def described(path: str, data: bytes) -> dict:
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_who_is_no_node_is_let_nowhere(agent, client, people) -> None:
    for key in ("", "nonsense", f"{agent.name}.", f"{agent.name}.{'0' * 64}", "nobody.x"):
        assert Wire(key).get("").status_code == 401
    client.force_login(people.operator)
    assert client.get(AGENT).status_code == 401


def test_home_is_recognised(wire, agent) -> None:
    answer = wire.get("").json()
    assert answer == {"node": agent.name, "home": home_id(make=False)}
    assert len(answer["home"]) == 32


def test_growth(wire, workload) -> None:
    log = workload.log_path.parent / "elsewhere"
    other = Workload.objects.get(pk=workload.pk)
    size = workload.log_path.stat().st_size
    answer = wire.grow((part(workload, 10**6), b"later"), (part(workload, file="metrics"), b""))
    first, second = answer.json()["parts"]
    assert size <= first["next"] <= workload.log_path.stat().st_size  # it goes on meanwhile
    assert b"later" not in workload.log_path.read_bytes()
    assert second["file"] == "metrics"
    assert not log.exists()
    assert other.state == "running"


def test_a_node_that_claims_anothers_workload(wire, workload, submit, agent) -> None:
    """Its key opens its own workloads only, in their present epoch, until their end."""
    from nodes.agent import Agent

    stranger = Agent(f"other-{uuid.uuid4().hex[:6]}")
    stranger.register()
    foreign = Wire(node_key(stranger.name))
    before = workload.log_path.read_bytes()
    cases = [
        (foreign, part(workload), "not_yours"),
        (wire, part(workload) | {"epoch": workload.epoch + 1}, "not_yours"),
        (wire, part(workload) | {"epoch": 0}, "not_yours"),
        (wire, part(workload) | {"workload": str(uuid.uuid4())}, "not_yours"),
        (wire, part(workload) | {"workload": "../../etc"}, "bad_message"),
        (wire, part(workload) | {"offset": -1}, "bad_message"),
        (wire, part(workload) | {"offset": True}, "bad_message"),
        (wire, part(workload, file="../secret_key"), "bad_message"),
    ]
    for sender, message, code in cases:
        (answer,) = sender.grow((message, b"forged")).json()["parts"]
        assert answer["refused"] == code
        assert answer["detail"]
    assert b"forged" not in before + workload.log_path.read_bytes()
    base = f"workloads/{workload.pk}/{workload.epoch}/"
    assert foreign.get(f"{base}inputs/model/").status_code == 403
    assert foreign.json("post", f"{base}outputs/", {"files": []}).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json\n",
        b"[]\n",
        b'{"parts": 3}\n',
        b'{"parts": [3]}\n',
        b'{"parts": []}\nmore',
        b'{"parts": [{"size": 5}]}\nfour',
        b'{"parts": [{"size": "many"}]}\n',
        b"\xff\xfe\n",
        b'{"parts": [' + b" " * (9 * 2**20) + b"]}\n",
        b"[" * 100_000 + b"\n",
    ],
)
def test_nonsense_is_refused(wire, body) -> None:
    answer = wire.client.post(f"{AGENT}growth/", body, "application/octet-stream")
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_message"


def test_inputs_with_ranges(wire, agent, submit, home) -> None:
    folder = home / "models" / "m"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "deep" / "weights").write_bytes(bytes(range(200)))
    (folder / "link").symlink_to(folder / "config.json")
    (folder / "out").symlink_to("/etc/passwd")
    workload = start(submit({"steps": 300, "seconds": 0.1}, inputs={"model": "models/m"}))
    base = f"workloads/{workload.pk}/{workload.epoch}/inputs/model/"
    files = wire.get(base).json()["files"]
    assert [(row["path"], row["size"]) for row in files] == [
        ("config.json", 2),
        ("deep/weights", 200),
        ("link", 2),
    ]
    assert files[1]["sha256"] == hashlib.sha256(bytes(range(200))).hexdigest()

    def ask(text: str, path: str = "deep/weights"):
        headers = {"Range": text} if text else {}
        answer = wire.get(f"{base}file/", query_params={"path": path}, headers=headers)
        content = b"".join(answer) if answer.status_code in {200, 206} else b""
        return answer.status_code, content, answer.headers.get("Content-Range")

    whole = bytes(range(200))
    assert ask("") == (200, whole, None)
    assert ask("bytes=150-") == (206, whole[150:], "bytes 150-199/200")
    assert ask("bytes=10-19") == (206, whole[10:20], "bytes 10-19/200")
    assert ask("bytes=-5") == (206, whole[-5:], "bytes 195-199/200")
    assert ask("bytes=200-") == (416, b"", "bytes */200")
    endless = "9" * 5000
    for span in (f"{endless}-", f"-{endless}", f"1-{endless}", "-", "x-", "1-x", "-x"):
        assert ask(f"bytes={span}") == (200, whole, None)
    assert ask("bytes=-0") == (416, b"", "bytes */200")
    outside = ("../m/config.json", "/etc/passwd", "out", "deep/../config.json")
    for path in (*outside, "deep", "none", "a\0b"):
        assert ask("", path)[0] == 404
    assert wire.get(base.replace("/model/", "/data/")).status_code == 404


def test_a_changed_file_is_read_anew(wire, submit, agent, home) -> None:
    path = home / "data" / "rows"
    path.write_bytes(b"one")
    workload = start(submit({"steps": 300, "seconds": 0.1}, inputs={"data": "data/rows"}))
    base = f"workloads/{workload.pk}/{workload.epoch}/inputs/data/"
    assert wire.get(base).json()["files"] == [described("", b"one")]
    path.write_bytes(b"two!")
    assert wire.get(base).json()["files"] == [described("", b"two!")]


class TestOutputs:
    """Offered, sent in pieces, kept."""

    @pytest.fixture
    def base(self, workload) -> str:
        return f"workloads/{workload.pk}/{workload.epoch}/outputs/"

    def test_all_the_way(self, wire, workload, base) -> None:
        weights, config = b"w" * 1000, b"{}"
        files = [
            described("output/checkpoint-5/weights", weights),
            described("output/checkpoint-5/config.json", config),
        ]
        wanted = wire.json("post", base, {"files": files}).json()["wanted"]
        assert set(wanted.values()) == {0}
        keep = {"files": files, "below": "output/checkpoint-5", "folders": ["checkpoint-5"]}
        refused = wire.json("put", base, keep)
        assert refused.status_code == 409
        assert len(refused.json()["missing"]) == 2
        name = f"{base}{files[0]['sha256']}/"
        assert wire.send(name, weights[:600], size=1000).json() == {"next": 600}
        assert wire.send(name, weights[700:], size=1000, offset=700).json() == {"next": 600}
        wanted = wire.json("post", base, {"files": files}).json()["wanted"]
        assert wanted[files[0]["sha256"]] == 600
        assert wire.send(name, weights[600:], size=1000, offset=600).json() == {"next": 1000}
        assert wire.send(name, weights, size=1000).json() == {"next": 1000}
        wire.send(f"{base}{files[1]['sha256']}/", config, size=2)
        folder = workload.directory / "output" / "checkpoint-5"
        assert not folder.exists()
        assert wire.json("put", base, keep).status_code == 204
        assert (folder / "weights").read_bytes() == weights
        assert wire.json("post", base, {"files": files}).json()["wanted"] == {}
        assert wire.json("put", base, keep).status_code == 204

    def test_wrong_bytes_begin_anew(self, wire, workload, base) -> None:
        files = [described("output/weights", b"right")]
        wire.json("post", base, {"files": files})
        name = f"{base}{files[0]['sha256']}/"
        assert wire.send(name, b"wrong", size=5).json() == {"next": 0}
        assert wire.send(name, b"right", size=5).json() == {"next": 5}
        assert wire.json("put", base, {"files": files}).status_code == 204
        assert (workload.directory / "output" / "weights").read_bytes() == b"right"

    def test_what_the_engine_removed_goes(self, wire, workload, base) -> None:
        for number in (1, 2):
            data = str(number).encode()
            files = [described(f"output/checkpoint-{number}/weights", data)]
            wire.send(f"{base}{files[0]['sha256']}/", data, size=1)
            body = {"files": files, "below": f"output/checkpoint-{number}"}
            wire.json("put", base, {**body, "folders": [f"checkpoint-{number}"]})
        output = workload.directory / "output"
        assert [path.name for path in output.iterdir()] == ["checkpoint-2"]
        files.append(described("output/empty", b""))
        wire.send(f"{base}{files[1]['sha256']}/", b"", size=0)
        assert wire.json("put", base, {"files": files}).status_code == 204
        assert sorted(path.name for path in output.iterdir()) == ["checkpoint-2", "empty"]
        assert wire.json("put", base, {"files": files[1:]}).status_code == 204
        assert [path.name for path in output.iterdir()] == ["empty"]
        assert list(incoming_root().iterdir()) == []

    @pytest.mark.parametrize(
        "path",
        [
            *("../x", "/etc/x", "", ".", "a/../../x", "inputs/model/x", "metrics.jsonl", ".hidden"),
            *("output/./x", "output//x", "x\0y", "output/" + "n" * 2000),
        ],
    )
    def test_paths_that_lead_elsewhere(self, wire, base, path) -> None:
        for method in ("post", "put"):
            answer = wire.json(method, base, {"files": [described(path, b"")]})
            assert answer.status_code == 400
            assert answer.json()["code"] == "bad_message"

    @pytest.mark.parametrize(
        "body",
        [
            [],
            {},
            {"files": {}},
            {"files": [3]},
            {"files": [{"path": "output/a", "size": -1, "sha256": "0" * 64}]},
            {"files": [{"path": "output/a", "size": 1, "sha256": "0" * 63}]},
            {"files": [{"path": "output/a", "size": 1.5, "sha256": "0" * 64}]},
            {"files": [described("output/a", b"")] * 2},
            {"files": [None] * (FILES_MAX + 1)},
        ],
    )
    def test_nonsense(self, wire, base, body) -> None:
        assert wire.json("post", base, body).status_code == 400
        assert wire.json("put", base, body).status_code == 400

    def test_no_room(self, wire, base) -> None:
        files = [{"path": "output/a", "size": 2**49, "sha256": "0" * 64}]
        answer = wire.json("post", base, {"files": files})
        assert answer.status_code == 507
        assert "disk" in answer.json()["detail"]

    def test_after_the_end_nothing_is_taken(self, wire, workload, base) -> None:
        files = [described("output/a", b"a")]
        wire.send(f"{base}{files[0]['sha256']}/", b"a", size=1)
        Workload.objects.filter(pk=workload.pk).update(state=Workload.State.ENDED)
        assert wire.json("put", base, {"files": files}).json()["code"] == "over"
        (answer,) = wire.grow((part(workload), b"late")).json()["parts"]
        assert answer["refused"] == "over"
        tasks.sweep()
        assert not list(incoming_root().iterdir())
