"""A really started platform (web, control worker, node worker, agent) in a home of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.ports import free_port
from tests.services import ROOT, engines_dir

PATIENCE = 600_000.0  # milliseconds; for what a browser has to show, however busy the machine is
MANAGE = [sys.executable, str(ROOT / "manage.py")]


@dataclass
class Platform:
    """The running platform and how to talk to it."""

    home: Path
    port: int
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str) -> str:
        """The output of a management command."""
        done = subprocess.run(
            [*MANAGE, *arguments],
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Starts all parts and waits until the pages answer."""
        log = (self.home / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [*MANAGE, "serve", "--port", str(self.port)],
            env=self.env,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.home / "serve.log").read_text()[-4000:]
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/account/login/"):
                return
            time.sleep(0.2)
        raise AssertionError((self.home / "serve.log").read_text()[-4000:])

    def stop(self) -> None:
        """Ends it as Ctrl-C does, and what outlives that: trainings and models in service."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(180)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.home / "output"):
                    process.kill()

    def parts(self, *words: str) -> list[psutil.Process]:
        """Processes of this platform whose command line holds all words."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.info["cmdline"] or [])
                if all(word in line for word in words) and process.environ().get(
                    "TRAINER_HOME"
                ) == str(self.home):
                    found.append(process)
        return found

    def register(self, name: str) -> str:
        """A new account with an invitation; gives its API key."""
        text = self.manage("invitation_create", "--uses", "1")
        code = re.findall(r"[A-Za-z0-9_-]{12,}", text)[-1]
        answer = self.call(
            "POST",
            "/api/v1/register/",
            {
                "username": name,
                "email": f"{name}@example.org",
                "password": "a-long-Passw0rd",
                "code": code,
            },
        )
        self.keys[name] = answer["key"]
        return answer["key"]

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """JSON in, JSON out; raises AssertionError with the answer's text on a refusal."""
        status, answer = self.ask(method, path, body, key)
        assert status < 400, f"{method} {path}: {status} {answer}"
        return answer

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """The status and the JSON of the answer."""
        headers = {"Accept": "application/json"}
        data = None
        if isinstance(body, Upload):
            headers["Content-Type"], data = body.encode()
        elif body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            with contextlib.suppress(ValueError):
                return error.code, json.loads(text)
            return error.code, text.decode(errors="replace")

    def until(self, path: str, key: str, states: set[str], seconds: float = 240) -> Any:
        """Asks until `state` is one of `states`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.call("GET", path, key=key)
            if answer["state"] in states:
                return answer
            time.sleep(0.3)
        raise AssertionError(f"{path} is still {answer['state']}: {json.dumps(answer)[:2000]}")


@dataclass
class Upload:
    """A multipart form with one file."""

    fields: dict[str, str]
    filename: str
    content: bytes

    def encode(self) -> tuple[str, bytes]:
        """The content type and the body."""
        boundary = "trainer-form"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            f"{value}\r\n".encode()
            for name, value in self.fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{self.filename}"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode()
            + self.content
            + f"\r\n--{boundary}--\r\n".encode()
        )
        return f"multipart/form-data; boundary={boundary}", b"".join(parts)


def prepared(home: Path) -> Platform:
    """A platform in this home with the demo model, not started yet."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in {"TRAINER_DATABASE_URL", "TRAINER_REDIS_URL"}
    } | {"TRAINER_HOME": str(home), "TRAINER_ENGINES_DIR": str(engines_dir())}
    made = Platform(home, free_port(), env)
    made.manage("migrate", "--verbosity", "0")
    made.manage("createcachetable")
    made.manage("catalogue_import")
    made.manage("demo_model_create")
    return made


@contextlib.contextmanager
def prepared_platform(home: Path) -> Iterator[Platform]:
    """A platform that runs in this home, with the demo model."""
    running = prepared(home)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for all end-to-end tests."""
    with prepared_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running
