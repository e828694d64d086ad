"""`manage.py serve`: the whole platform on one machine, until Ctrl-C.

Starts and watches the web process, the control worker, the node's worker and agent. A part
that dies is started again. Trainings and deployments are processes of their own and go on when this
ends; the next start finds them.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from nodes.management.permission import EX_CONFIG
from nodes.runners import RUNNERS, Unfit, Unreachable, runner
from nodes.runners.shim import boot_id, start_time_of
from nodes.services.sentences import docker_hints

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec nothing may be loaded
STOP_SECONDS = 8.0  # for the parts to end politely
CALM_SECONDS = 30.0  # a part that lived that long is started again without delay
MAX_DELAY_SECONDS = 15.0
READY_SECONDS = 60.0


@dataclass(slots=True)
class Part:
    """One process of the platform."""

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    gives_up: bool = False  # its refusal to work (EX_CONFIG) ends all of them
    process: subprocess.Popen[bytes] | None = None
    delay: float = 0.5


def _die_with_parent() -> None:
    """Runs in the child: the kernel tells it when this supervisor is killed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Supervisor:
    """Keeps the parts alive, and ends them all."""

    def __init__(self, parts: list[Part], record: Path, say: Callable[[str], object]) -> None:
        self.parts = parts
        self.record = record
        self.say = say
        self.stopping = asyncio.Event()
        self.status = 0

    async def run(self, ready: Callable[[], bool] | None = None, address: str = "") -> int:
        """Until SIGINT or SIGTERM, or until a part gives up; the status to end with.

        Says when `ready` is true for the first time.
        """
        loop = asyncio.get_running_loop()
        # Two threads wait for each part, for its output and for its end.
        loop.set_default_executor(ThreadPoolExecutor(3 * len(self.parts)))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stopping.set)
        self.end_left_overs()
        async with asyncio.TaskGroup() as group:
            for part in self.parts:
                group.create_task(self._keep(part))
            if ready is not None:
                group.create_task(self._announce(ready, address))
        self.record.unlink(missing_ok=True)
        return self.status

    async def _keep(self, part: Part) -> None:
        while not self.stopping.is_set():
            started = time.monotonic()
            # Not asyncio's own subprocesses: those count as ended only when the output is closed,
            # and the children of a killed worker hold it open.
            part.process = subprocess.Popen(
                part.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **part.env, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
            self._write_record()
            reader = asyncio.create_task(asyncio.to_thread(self._relay, part, part.process))
            stop = asyncio.create_task(self.stopping.wait())
            end = asyncio.create_task(asyncio.to_thread(part.process.wait))
            await asyncio.wait({stop, end}, return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                await self._stop(part, end)
            stop.cancel()
            # The children of a worker that was killed would go on taking messages.
            _kill_group(part.process.pid, signal.SIGKILL)
            await asyncio.wait({reader}, timeout=1)
            if part.gives_up and end.result() == EX_CONFIG:
                self.status = EX_CONFIG
                self.stopping.set()
            if not self.stopping.is_set():
                await self._pause(part, end.result(), time.monotonic() - started)

    async def _pause(self, part: Part, code: int, lived: float) -> None:
        part.delay = 0.5 if lived > CALM_SECONDS else min(part.delay * 2, MAX_DELAY_SECONDS)
        self.say(f"{part.name} ended with {code}; starting it again in {part.delay:.1f} s")
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), part.delay)

    async def _stop(self, part: Part, end: "asyncio.Task[int]") -> None:
        """SIGTERM to the main process only: a worker's children have no handler for it."""
        assert part.process is not None
        with suppress(ProcessLookupError):
            part.process.terminate()
        done, _pending = await asyncio.wait({end}, timeout=STOP_SECONDS)
        if not done:
            _kill_group(part.process.pid, signal.SIGKILL)
            await end

    def _relay(self, part: Part, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.say(f"{part.name:<7}| {line.decode('utf-8', 'replace').rstrip()}")

    async def _announce(self, ready: Callable[[], bool], address: str) -> None:
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and not self.stopping.is_set():
            if await asyncio.to_thread(ready):
                self.say(f"Ready: {address}")
                return
            await asyncio.sleep(0.3)
        if not self.stopping.is_set():
            self.say(f"The web process does not answer at {address}; its lines above say why.")

    def _write_record(self) -> None:
        """Who the parts are, for the next start to tidy up should this one be killed."""
        alive = [part.process.pid for part in self.parts if part.process is not None]
        content = {
            "boot_id": boot_id(),
            "parts": [[pid, start_time_of(pid)] for pid in alive],
        }
        draft = self.record.with_suffix(".draft")
        draft.write_text(json.dumps(content))
        draft.replace(self.record)

    def end_left_overs(self) -> None:
        """Ends parts of an earlier start that was killed."""
        try:
            content = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return
        if content.get("boot_id") != boot_id():
            return
        for pid, start_time in content["parts"]:
            # A leader that is gone leaves its number to its group, as long as that has members.
            if start_time_of(pid) in (0, start_time) and _kill_group(pid, signal.SIGTERM):
                time.sleep(0.5)
                _kill_group(pid, signal.SIGKILL)


def _kill_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Command(BaseCommand):
    """Web, control worker, one node."""

    help = "Serves the platform: web, control worker and one local node."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on")
        parser.add_argument(
            "--runner",
            choices=RUNNERS,
            default=settings.NODE_RUNNER,
            help="how workloads run on this machine; TRAINER_RUNNER sets the default",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs until Ctrl-C."""
        home = Path(settings.TRAINER_HOME)
        self.stderr.writelines(check_runner(options["runner"]))
        lock = lock_or_refuse(home / "temp" / "serve.lock")
        host, port = options["host"], options["port"]
        shown = "localhost" if host in {"0.0.0.0", "::"} else host  # noqa: S104
        address = f"http://{shown}:{port}/"
        supervisor = Supervisor(
            _parts(host, port, options["runner"]), home / "temp" / "serve.json", self._say
        )
        self._sync_public()
        try:
            asyncio.run(supervisor.run(lambda: _answers(address), address))
        finally:
            lock.close()

    def _sync_public(self) -> None:
        """The public datasets of the list; a bad list keeps nobody from starting."""
        try:
            call_command("datasets_public_sync", stdout=self.stdout, stderr=self.stderr)
        except (CommandError, DatabaseError) as error:
            self._say(f"The list of public datasets is left as it was: {error}")
        finally:
            connection.close()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def lock_or_refuse(path: Path) -> IO[str]:
    """Held while it is open: one at a time works from this directory."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CommandError("The platform is being served from this directory already.") from None
    return file


def check_runner(name: str) -> list[str]:
    """Says what is missing before anything is started; gives what should be changed."""
    try:
        return docker_hints(runner(name, "").check())
    except (Unfit, Unreachable) as error:
        raise CommandError(
            f"{error}\nStart Docker Engine 20.10 or newer, or name its socket in DOCKER_HOST; or"
            " use --runner process."
        ) from error


def _parts(host: str, port: int, runner_name: str) -> list[Part]:
    python, manage = sys.executable, str(Path(settings.BASE_DIR) / "manage.py")
    web = [python, "-m", "uvicorn", "config.asgi:application", "--host", host, "--port", str(port)]
    web += ["--lifespan", "off", "--log-level", "warning", "--timeout-graceful-shutdown", "3"]
    # `serve` has made the checks; again they would load every page into processes without any.
    control = [python, manage, "qcluster", "--skip-checks"]
    node = settings.NODE_NAME
    chosen = {"TRAINER_RUNNER": runner_name}
    pages = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "TRAINER_PROCESS": "web",
        # A request's body waits in a file without a name; the system's own place may be memory.
        "TMPDIR": str(settings.FILE_UPLOAD_TEMP_DIR),
    }
    return [
        Part("web", web, pages),
        Part("control", control),
        Part("worker", [python, manage, "node_worker"]),
        Part("agent", [python, manage, "node_agent", "--name", node], chosen),
        *([Part("storage", [python, manage, "storage_sync"])] if settings.S3_BUCKET else ()),
    ]


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310  our own address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
