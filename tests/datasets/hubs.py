"""SimulatedHub: a server that answers as the Hugging Face hub and ModelScope do, as far as imports
ask them, and fails as it is told to."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class SimulatedHub:
    """One data set `lab/rows`, its files, and what goes wrong."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.card: dict[str, Any] = {}
        self.token = ""  # that is asked for, where it is not empty
        self.gated = False
        self.cuts: list[int] = []  # bytes after which the next transfers end
        self.dies_after = 0  # bytes of the first file that has more
        self.lies: dict[str, str] = {}  # path -> a checksum that is wrong
        self.redirects = True  # files come from another address, as from a network of copies
        self.ranges = True
        self.length = ""  # that is told of every file, where it is not empty
        self.busy = 0  # so many answers of 503
        self.pause = 0.0  # seconds before every piece
        self.asked: list[tuple[str, dict[str, str]]] = []
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def fetched(self) -> list[tuple[str, str]]:
        """The files that were asked for, with the ranges."""
        return [
            (path.removeprefix("/cdn/"), headers.get("range", ""))
            for path, headers in self.asked
            if path.startswith("/cdn/")
        ]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: SimulatedHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        hub, parts = self.hub, urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        hub.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
        if path.startswith("/cdn/"):
            self._file(path.removeprefix("/cdn/"))
            return
        if hub.busy:
            hub.busy -= 1
            self._say(503)
        elif hub.gated:
            self._say(403, headers={"X-Error-Code": "GatedRepo"})
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._say(401, headers={"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/datasets/"):
            self._huggingface(path)
        elif path.startswith("/api/v1/datasets/lab/rows/repo"):
            self._modelscope(path, query)
        elif path.startswith(f"/datasets/lab/rows/resolve/{COMMIT}/"):
            self._resolved(path.split(COMMIT + "/", 1)[1])
        else:
            self._say(404)

    def _huggingface(self, path: str) -> None:
        if not path.startswith("/api/datasets/lab/rows/revision/"):
            self._say(404, headers={"X-Error-Code": "RepoNotFound"})
            return
        if path.rsplit("/", 1)[1] not in {"main", COMMIT}:
            self._say(404, headers={"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "lfs": {"sha256": self.hub.lies.get(name, hashlib.sha256(data).hexdigest())},
            }
            for name, data in self.hub.files.items()
        ]
        self._json({"sha": COMMIT, "siblings": siblings, "cardData": self.hub.card})

    def _modelscope(self, path: str, query: dict[str, list[str]]) -> None:
        if path.endswith("/tree"):
            page, size = (int(query[name][0]) for name in ("PageNumber", "PageSize"))
            names = [None, *self.hub.files][(page - 1) * size : page * size]
            files = [self._entry(name) for name in names]
            self._json({"Code": 200, "Data": {"Files": files}})
        else:
            self._resolved(query["FilePath"][0])

    def _entry(self, name: str | None) -> dict[str, Any]:
        """A line of ModelScope's list: a file, or the folder that comes first."""
        if name is None:
            return {"Path": "d", "Type": "tree"}
        data = self.hub.files[name]
        digest = hashlib.sha256(data).hexdigest()
        return {"Path": name, "Size": len(data), "Type": "blob", "Sha256": digest}

    def _resolved(self, name: str) -> None:
        if name not in self.hub.files:
            self._say(404, headers={"X-Error-Code": "EntryNotFound"})
        elif self.hub.redirects:
            # The same server under another name counts as another one.
            self._say(302, headers={"Location": f"http://localhost:{self.server.server_port}/cdn/{name}"})  # fmt: skip  # noqa: E501
        else:
            self._file(name)

    def _file(self, name: str) -> None:
        data = self.hub.files[name]
        start = 0
        if self.hub.ranges and (span := self.headers.get("Range")):
            start = int(span.removeprefix("bytes=").rstrip("-"))
        body = data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", self.hub.length or str(len(body)))
        self.end_headers()
        if self.hub.length:
            self.close_connection = True
        dies = 0 < self.hub.dies_after < len(body)
        if dies:
            self.hub.cuts = [self.hub.dies_after]
        if self.hub.cuts:
            body = body[: self.hub.cuts.pop(0)]
            self.close_connection = True
        for place in range(0, len(body), 64 * 1024):
            time.sleep(self.hub.pause)
            self.wfile.write(body[place : place + 64 * 1024])
        if dies:
            self.hub.close()

    def _json(self, value: object) -> None:
        self._say(200, json.dumps(value).encode())

    def _say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(settings) -> Iterator[SimulatedHub]:
    """A simulated hub that the settings point to."""
    simulated = SimulatedHub()
    settings.HUB_ONLINE = True
    settings.HF_ENDPOINT = settings.MODELSCOPE_ENDPOINT = simulated.endpoint
    yield simulated
    simulated.close()
