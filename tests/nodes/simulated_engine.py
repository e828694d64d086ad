"""A simulated Docker Engine: answers what runners ask, with the errors that a test wants of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from nodes.runners.description import LABEL, name_of

BUSY = "unable to remove filesystem: device or resource busy"
VERSION = {"ApiVersion": "1.41", "Version": "simulated"}


class SimulatedEngine(ThreadingHTTPServer):
    """Containers by name, with their state; `errors` has the statuses of the next answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.containers: dict[str, dict] = {}
        self.errors: dict[str, list[int]] = {}  # method and last word of the path -> statuses
        self.signals: list[str] = []
        self.pulls: list[str] | None = None  # why each pull fails; None where images are here

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

    def answer(self, method: str, words: list[str], asked: dict[str, list[str]]) -> tuple:
        """Status and JSON."""
        name = words[1] if len(words) > 1 else ""
        key = f"{method} {name if method == 'DELETE' else words[-1]}"
        status = self.errors[key].pop(0) if self.errors.get(key) else 200
        found = self.containers.get(name)
        if status != 200:
            return status, {"message": BUSY}
        if words == ["version"]:
            return 200, VERSION
        if words == ["containers", "json"]:
            return 200, [
                {
                    "Id": one["Id"],
                    "Labels": one["Config"]["Labels"],
                    "State": one["State"]["Status"],
                }
                for one in self.containers.values()
            ]
        if words[-1] == "create" and self.pulls is not None:
            return 200, {"error": self.pulls.pop(0)}
        if words[0] == "images" and self.pulls is not None:
            return 404, {"message": "No such image"}
        if words[0] == "containers" and found is None:
            return 404, {"message": "No such container"}
        if method == "DELETE":
            del self.containers[name]
        if words[-1] == "kill":
            self.signals += asked["signal"]
        return (204, None) if method != "GET" else (200, found or {})


class _Answers(BaseHTTPRequestHandler):
    server: SimulatedEngine

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        words = [word for word in parts.path.split("/") if word and not word.startswith("v1.")]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content = self.server.answer(self.command, words, parse_qs(parts.query))
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def simulated_engine() -> Iterator[SimulatedEngine]:
    """One that listens."""
    with SimulatedEngine() as engine:
        thread = Thread(target=engine.serve_forever, daemon=True)
        thread.start()
        try:
            yield engine
        finally:
            engine.shutdown()
            thread.join()
