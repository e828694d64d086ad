"""A simulated Docker Engine: speaks as much of its API as agents, runners and pulls need, and gives
the errors that a test wants of it.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nodes.runners.description import LABEL, name_of

BUSY = "unable to remove filesystem: device or resource busy"
VERSION = {"ApiVersion": "1.41", "Version": "simulated"}
IMAGE = f"sha256:{1:064x}"  # what every name means
CONFIG = {"Labels": {"trainer.engine": "small"}, "Entrypoint": ["/x"]}
Answer = tuple[int, Any]


class SimulatedEngine(ThreadingHTTPServer):
    """Containers by name, with their state, and the images that it has.

    `errors` has the statuses of the next answers, by method and the container's name where it is
    removed, “images” where it is asked for these, or else the last word of the path. `unpulled`
    says why the next pulls fail. A pull from “silent” is never answered, and one from “halting”
    hears a single word.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.containers: dict[str, dict] = {}
        self.held: list[str] = []  # images
        self.asked: list[str] = []  # names of images to pull
        self.unpulled: list[str] = []
        self.signals: list[str] = []
        self.errors: dict[str, list[int]] = {}
        self.info: dict[str, Any] = {"LiveRestoreEnabled": True}
        self.over = threading.Event()

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"tcp://127.0.0.1:{self.server_port}"

    def add(self, installation: str, workload, epoch: int, state: str, code: int = 0) -> str:
        """A container of a workload; its name."""
        name = name_of(workload, epoch)
        labels = {"installation": installation, "workload": str(workload), "epoch": str(epoch)}
        self.containers[name] = {
            "Id": name,
            "State": {"Status": state, "ExitCode": code},
            "Config": {"Labels": {LABEL + key: value for key, value in labels.items()}},
        }
        return name

    def answer(self, method: str, words: list[str], asked: dict[str, list[str]]) -> Answer:
        """Status and JSON."""
        word = words[1] if method == "DELETE" else words[-1]
        key = f"{method} {'images' if words[0] == 'images' else word}"
        status = self.errors[key].pop(0) if self.errors.get(key) else 200
        if status != 200:
            return status, {"message": BUSY}
        if words == ["version"]:
            return 200, VERSION
        if words == ["info"]:
            return 200, self.info
        if words[0] == "images":
            return self._images(words[1:-1])
        if words[0] == "containers":
            return self._containers(method, words[1:], asked)
        return 200, {}

    def _images(self, name: list[str]) -> Answer:
        if not name:
            return 200, [{"Id": one, "RepoDigests": []} for one in self.held]
        if "/".join(name) not in self.held:
            return 404, {"message": "No such image"}
        return 200, {"Id": IMAGE, "Size": 10, "Config": CONFIG}

    def _containers(self, method: str, words: list[str], asked: dict[str, list[str]]) -> Answer:
        if words == ["json"]:
            rows = list(self.containers.values())
            facts = [(one["Id"], one["Config"]["Labels"], one["State"]["Status"]) for one in rows]
            return 200, [dict(zip(("Id", "Labels", "State"), one, strict=True)) for one in facts]
        found = self.containers.get(words[0])
        if found is None:
            return 404, {"message": "No such container"}
        if method == "DELETE":
            del self.containers[words[0]]
        if words[-1] == "kill":
            self.signals += asked["signal"]
        return (200, found) if method == "GET" else (204, None)

    def pull(self, name: str, tag: str) -> Iterator[dict[str, str]]:
        """What a pull says, a word after the other."""
        self.asked.append(name)
        if name.startswith("silent"):
            self.over.wait()
            return
        yield {"status": "Pulling"}
        if name.startswith("halting"):
            self.over.wait()
        elif self.unpulled:
            yield {"error": self.unpulled.pop(0)}
        else:
            self.held.append(f"{name}:{tag}")


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SimulatedEngine

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        words = [word for word in parts.path.split("/") if word and not word.startswith("v1.")]
        asked = parse_qs(parts.query)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if words == ["images", "create"]:
            self._pull(asked["fromImage"][0], asked["tag"][0])
            return
        status, content = self.server.answer(self.command, words, asked)
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _pull(self, name: str, tag: str) -> None:
        for number, word in enumerate(self.server.pull(name, tag)):
            if not number:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
            data = json.dumps(word).encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if not self.server.over.is_set():
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def simulated(monkeypatch) -> Iterator[SimulatedEngine]:
    """The Engine that DOCKER_HOST names."""
    with SimulatedEngine() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        yield engine
        engine.over.set()
        engine.shutdown()
