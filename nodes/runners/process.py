"""Runs workloads as processes of this machine. They outlive whoever started them.

Each start has a small supervisor, `shim.py`. A process is recognised by its number, its start time
and the boot together, never by the number alone, and by labels in its environment as containers are
by theirs.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from nodes.runners.base import AlreadyStarted, CannotStart, Exit, Launch, Place, Sight
from nodes.runners.shim import boot_id, start_time_of

SHIM = Path(__file__).with_name("shim.py")
VOID = "void"
START_SECONDS = 20  # for the supervisor to come up; it takes 20 ms
LABELS = ("TRAINER_INSTALLATION", "TRAINER_WORKLOAD", "TRAINER_EPOCH")


class ProcessRunner:
    """See `Runner`. `installation` tells the processes of one database and node from all others."""

    def __init__(self, installation: str) -> None:
        self.installation = installation
        self._boot_id = boot_id()

    def start(self, launch: Launch) -> None:
        """Lays out the directory and starts supervisor and engine."""
        place = launch.place
        try:
            place.directory.mkdir(parents=True, exist_ok=True)
            launch.log.parent.mkdir(parents=True, exist_ok=True)
            self._mark(place)
            _lay_out(launch)
            self._spawn(launch)
        except OSError as error:
            raise CannotStart(f"{error.strerror or error}: {error.filename or ''}") from error

    def _mark(self, place: Place) -> None:
        """Takes the epoch: only one can."""
        try:
            descriptor = os.open(place.file("start"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        except FileExistsError:
            raise AlreadyStarted(str(place.workload)) from None
        with os.fdopen(descriptor, "w") as marker:
            marker.write(str(os.getpid()))

    def _spawn(self, launch: Launch) -> None:
        place = launch.place
        labels = dict(
            zip(LABELS, (self.installation, str(place.workload), str(place.epoch)), strict=True)
        )
        spec = {
            "workload": str(place.workload),
            "epoch": place.epoch,
            "directory": str(place.directory),
            "log": str(launch.log),
            "command": list(launch.command),
            "env": {**launch.env, **labels},
            "wall_seconds": launch.wall_seconds,
            "marker": str(place.file("start")),
            "process_file": str(place.file("process")),
            "exit_file": str(place.file("exit")),
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(SHIM)],
            input=json.dumps(spec),
            text=True,
            capture_output=True,
            env={"PATH": os.environ.get("PATH", ""), **labels},
            cwd="/",
            start_new_session=True,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise CannotStart(done.stderr.strip()[-500:] or "the supervisor did not come up")

    def call_off(self, place: Place) -> None:
        """Voids the marker: a late starter cannot take it, and a late supervisor leaves."""
        place.directory.mkdir(parents=True, exist_ok=True)
        draft = place.file("start").with_suffix(".void")
        draft.write_text(VOID)
        draft.replace(place.file("start"))

    def _process(self, place: Place) -> dict[str, Any] | None:
        return _read(place.file("process"))

    def adopt(self, place: Place) -> bool:
        """Whether its supervisor lives."""
        process = self._process(place)
        return process is not None and self._is_alive(process)

    def _is_alive(self, process: dict[str, Any]) -> bool:
        if process.get("boot_id") != self._boot_id:
            return False
        pid = int(process["pid"])
        return start_time_of(pid) == process.get("start_time") and not _is_zombie(pid)

    def poll(self, place: Place) -> tuple[Sight, Exit | None]:
        """Looks for the exit file first and last: it appears before its writer goes."""
        facts = _read(place.file("exit"))
        if facts is not None:
            return Sight.ENDED, Exit.read(facts)
        process = self._process(place)
        if process is None:
            return (Sight.BEGUN if place.file("start").exists() else Sight.ABSENT), None
        if self._is_alive(process):
            return Sight.ALIVE, None
        facts = _read(place.file("exit"))
        return (Sight.ENDED, Exit.read(facts)) if facts is not None else (Sight.GONE, None)

    def stop(self, place: Place, *, force: bool) -> None:
        """Signals the engine's group; the supervisor stays to write down the end.

        The polite signal is sent once: a second one could break into the saving that it began.
        """
        process = self._process(place)
        if process is None or process.get("boot_id") != self._boot_id:
            return
        group = int(process["pgid"])
        leader = start_time_of(group)
        # While the supervisor lives, or the leader is still the same, the number is not another's.
        ours = self._is_alive(process) or leader == process.get("engine_start_time")
        if ours and (force or _first(place.file("stop"))):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL if force else signal.SIGTERM)

    def memory(self, place: Place) -> int:
        """The sum over the engine's processes; shared pages count once for each."""
        process = self._process(place)
        if process is None or not self._is_alive(process):
            return 0
        with suppress(psutil.Error):
            tree = psutil.Process(int(process["pid"])).children(recursive=True)
            return sum(_resident(member) for member in tree)
        return 0

    def owned(self) -> Iterator[tuple[UUID, int, int]]:
        """Reads the labels of all processes of this user."""
        label = f"TRAINER_INSTALLATION={self.installation}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if label not in environment:
                continue
            pairs = dict(pair.split(b"=", 1) for pair in environment if b"=" in pair)
            with suppress(KeyError, ValueError):
                workload = UUID(pairs[b"TRAINER_WORKLOAD"].decode())
                yield workload, int(pairs[b"TRAINER_EPOCH"]), int(entry.name)

    def remove(self, workload: UUID, epoch: int, *, force: bool) -> None:
        """Signals by label, so that it works without any file."""
        for owner, its_epoch, pid in self.owned():
            if (owner, its_epoch) == (workload, epoch):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if force else signal.SIGTERM)


def _lay_out(launch: Launch) -> None:
    """Writes the files and links the inputs."""
    directory = launch.place.directory
    (directory / "output").mkdir(exist_ok=True)
    for name, text in launch.files.items():
        path = _inside(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    inputs = directory / "inputs"
    inputs.mkdir(exist_ok=True)
    for name, source in launch.inputs.items():
        if not source.exists():
            raise CannotStart(f"The input {name} is not there any more.")
        link = _inside(inputs, name)
        if link.is_symlink():
            link.unlink()
        elif link.is_dir():
            shutil.rmtree(link)
        link.symlink_to(source)


def _inside(directory: Path, name: str) -> Path:
    """A path below the directory; refuses names that lead out of it."""
    parts = Path(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise CannotStart(f"{name!r} is not a name inside the workload's directory.")
    return directory / name


def _first(path: Path) -> bool:
    """Whether nobody was here before."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _is_zombie(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state in {b"Z", b"X"}


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
