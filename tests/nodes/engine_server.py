"""A server that speaks as much of Docker's API as an agent and a pull need."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

LABELS = {"trainer.engine": "small"}
PULLED = f"sha256:{1:064x}"  # what every name means


class _Engine(BaseHTTPRequestHandler):
    """A pull from “silent” is never answered, and one from “halting” hears a single word."""

    protocol_version = "HTTP/1.1"
    server: "EngineServer"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith("/version"):
            self._answer(200, {"ApiVersion": "1.41"})
        elif path.endswith("/info"):
            self._answer(200, self.server.info)
        elif path.endswith("/images/json"):
            self._answer(200, [{"Id": name, "RepoDigests": []} for name in self.server.held])
        elif any(path.endswith(f"/images/{name}/json") for name in self.server.held):
            config = {"Labels": LABELS, "Entrypoint": ["/x"]}
            self._answer(200, {"Id": PULLED, "Size": 10, "Config": config})
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
        self.wfile.write(b"%x\r\n%s\r\n" % (len(word), word))
        if name.startswith("halting"):
            self.server.over.wait()
            return
        self.wfile.write(b"0\r\n\r\n")
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
        self.info: dict[str, Any] = {"LiveRestoreEnabled": True}
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
