"""Serves the platform on one machine: web, control worker, node worker and node agent."""

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from argparse import ArgumentParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

PR_SET_PDEATHSIG = 1
FIRST_PAUSE = (
    1.0  # seconds before a part that died is started again; doubled each time up to the last
)
LAST_PAUSE = 30.0
STEADY = 60.0  # a part that lived this long starts afresh with the first pause
GRACE = 10.0  # seconds a part has for ending by itself


_LIBC = ctypes.CDLL(None)  # loaded before any fork: a child must not take the loader's lock


def _die_with_parent() -> None:
    """Asks the kernel to end this child when the supervisor is killed."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _session(leader: int) -> list[psutil.Process]:
    """The processes of a part. Trainings are not among them: each has a session of its own."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == leader:
                found.append(process)
    return found


@dataclass
class Part:
    """One process that is kept running. A queue's worker is signalled at its main process only:
    a signal to the whole group would leave it hanging."""

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE

    def start(self) -> None:
        """Starts the process and passes its lines on with its name before them."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env=os.environ | self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        assert self.process.stdout is not None
        threading.Thread(target=self._pass_on, args=(self.process.stdout,), daemon=True).start()

    def _pass_on(self, lines: IO[str]) -> None:
        for line in lines:
            sys.stdout.write(f"{self.name:<8} {line}")
            sys.stdout.flush()

    def died(self) -> bool:
        """Whether it should run and does not."""
        return self.process is not None and self.process.poll() is not None

    def start_again(self) -> None:
        """Starts it anew; a queue's worker whose main process died leaves others that go on."""
        self.gone(0)
        self.start()

    def end(self) -> None:
        """Asks it to end."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def gone(self, deadline: float) -> None:
        """Waits until the deadline, then kills what is left of it and of its children."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.1, deadline - time.monotonic()))
        for left in _session(self.process.pid):
            with contextlib.suppress(psutil.Error):
                left.kill()
        self.process.wait()


class Command(BaseCommand):
    """Starts all parts, starts again what dies, ends all on Ctrl-C. Trainings outlive it."""

    help = "Serve the platform (web, control worker, one local node) until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs until a signal."""
        with self._alone():
            parts = self._parts(options["host"], options["port"])
            ending = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: ending.set())
            for part in parts:
                part.start()
            threading.Thread(
                target=self._announce, args=(options["host"], options["port"]), daemon=True
            ).start()
            while not ending.wait(0.2):
                for part in parts:
                    self._revive(part)
            for part in parts:
                part.end()
            deadline = time.monotonic() + GRACE
            for part in parts:
                part.gone(deadline)

    @contextlib.contextmanager
    def _alone(self) -> Any:
        """Two supervisors on one home would start every part twice."""
        path = Path(settings.TRAINER_HOME) / "serve.lock"
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(
                    f"The platform is already being served from {settings.TRAINER_HOME}."
                    " End that one first, or set TRAINER_HOME to another directory."
                ) from None
            yield

    def _parts(self, host: str, port: int) -> list[Part]:
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        web = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", host]
        web += [
            "--port",
            str(port),
            "--ws",
            "websockets",
            "--no-access-log",
            "--log-level",
            "warning",
        ]
        web += ["--timeout-graceful-shutdown", "3"]
        queue = f"node-{settings.NODE_NAME}"
        return [
            Part("web", web),
            Part("control", [*manage, "qcluster"]),
            Part("worker", [*manage, "qcluster"], {"Q_CLUSTER_NAME": queue}),
            Part("agent", [*manage, "node_agent"]),
        ]

    def _revive(self, part: Part) -> None:
        """Starts a part again that died, after a pause that grows while it keeps dying."""
        if not part.died():
            return
        lived = time.monotonic() - part.started
        if lived > STEADY:
            part.pause = FIRST_PAUSE
        if lived < part.pause:
            return
        assert part.process is not None
        self.stderr.write(f"{part.name:<8} ended with {part.process.returncode}; started again")
        part.pause = min(part.pause * 2, LAST_PAUSE)
        part.start_again()

    def _announce(self, host: str, port: int) -> None:
        """Says where the pages are once they answer."""
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
        url = f"http://{shown}:{port}"
        page = f"{url}/account/login/"
        for _ in range(300):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(page, timeout=5),  # noqa: S310  always our own address
            ):
                self.stdout.write(self.style.SUCCESS(f"LLM Cloud Trainer is at {url}"))
                return
            time.sleep(0.2)
