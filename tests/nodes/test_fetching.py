"""How a node brings images here, from an Engine whose registry may stay silent."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from nodes import services
from nodes.fetching import Fetcher
from nodes.models import Image, Node, Workload
from tests.nodes.conftest import until
from tests.nodes.test_image_choice import node_with
from tests.nodes.test_images import found, ready

pytestmark = pytest.mark.django_db(transaction=True)
LABELS = {"trainer.engine": "small"}


class _Engine(BaseHTTPRequestHandler):
    """As much of Docker's API as a pull needs; a pull from “silent” is never answered."""

    protocol_version = "HTTP/1.1"
    server: "EngineServer"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith("/version"):
            self._answer(200, {"ApiVersion": "1.41"})
        elif path.endswith("/images/json"):
            self._answer(200, [{"Id": name, "RepoDigests": []} for name in self.server.held])
        elif any(path.endswith(f"/images/{name}/json") for name in self.server.held):
            config = {"Labels": LABELS, "Entrypoint": ["/x"]}
            self._answer(200, {"Id": found(1).id, "Size": 10, "Config": config})
        else:
            self._answer(404, {"message": "No such image"})

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        name = query["fromImage"][0]
        self.server.asked.append(name)
        if name.startswith("silent"):
            self.server.over.wait()
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        word = json.dumps({"status": "Pulling"}).encode()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(word), word))
        self.server.held.append(f"{name}:{query['tag'][0]}")

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing."""


class EngineServer(ThreadingHTTPServer):
    """An Engine without images; `held` are those that were pulled."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Engine)
        self.held: list[str] = []
        self.asked: list[str] = []
        self.over = threading.Event()


@pytest.fixture
def engine_server(monkeypatch) -> Iterator[EngineServer]:
    """The Engine that DOCKER_HOST names."""
    server = EngineServer()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


def state(image: Image) -> str:
    return Image.objects.get(pk=image.pk).state


def stepped(fetcher: Fetcher, node: Node, true) -> None:
    def look() -> bool:
        fetcher.step(node)
        return true()

    until(look, 30)


def test_one_that_hangs_holds_up_no_other(engine_server, people, monkeypatch) -> None:
    monkeypatch.setattr("nodes.fetching.SILENT_SECONDS", 0.2)
    silent = services.image_add("silent/small:1", by=people.operator)
    second = services.image_add("lab/small:1", by=people.operator)
    node = Node.objects.create(name="n", runner="docker")
    stepped(Fetcher(), node, lambda: state(second) == Image.State.READY)
    assert engine_server.asked == ["silent/small", "lab/small"]
    assert state(silent) == Image.State.FETCHING


def test_a_registry_that_never_answers_is_given_up(engine_server, people, monkeypatch) -> None:
    monkeypatch.setattr("nodes.runners.images.FIRST_SECONDS", 0.2)
    monkeypatch.setattr("nodes.runners.images.AGAIN_SECONDS", (0.0, 0.0))
    image = services.image_add("silent/small:1", by=people.operator)
    node = Node.objects.create(name="n", runner="docker")
    stepped(Fetcher(), node, lambda: state(image) == Image.State.FAILED)
    assert len(engine_server.asked) == 3
    assert Image.objects.get(pk=image.pk).error == "its registry does not answer"


def test_what_a_workload_waits_for_comes_first(engine_server, people, submit) -> None:
    node = node_with("n", ready("lab/small:1", 1, digest="silent/needed@sha256:1"))
    services.image_add("lab/other:1", by=people.operator)
    assert submit({}).state == Workload.State.PLACED
    stepped(Fetcher(), node, lambda: engine_server.asked)
    assert engine_server.asked == ["silent/needed"]
