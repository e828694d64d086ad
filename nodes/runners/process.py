"""Runs workloads as processes of this machine. They outlive whoever started them.

Each start has a small supervisor, `shim.py`. A process is recognised by its number, its start time
and the boot together, never by the number alone, and by labels in its environment as containers are
by theirs.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from common.phrases import gettext as _
from nodes.runners.base import Exit, Launch, Place, Sight
from nodes.runners.files import (
    facts_of,
    first,
    folders,
    input_path,
    labels_of,
    not_started,
    renew_marker,
    take_marker,
    void_marker,
    write_files,
)
from nodes.runners.shim import boot_id, start_time_of

SHIM = Path(__file__).with_name("shim.py")
START_SECONDS = 20  # for the supervisor to come up; it takes 20 ms


class ProcessRunner:
    """See `Runner`. `installation` tells the processes of one database and node from all others."""

    def __init__(self, installation: str) -> None:
        self.installation = installation
        self._boot_id = boot_id()
        self._watched: dict[tuple[UUID, int], int] = {}  # descriptors of supervisors that live
        self._others: dict[tuple[str, int], int] = {}  # how often each was seen

    def check(self) -> dict[str, Any]:
        """Every machine can do it."""
        return {}

    def start(self, launch: Launch) -> None:
        """Lays out the directory and starts supervisor and engine."""
        place = launch.place
        try:
            place.directory.mkdir(parents=True, exist_ok=True)
            launch.log.parent.mkdir(parents=True, exist_ok=True)
            take_marker(place)
            _lay_out(launch)
            self._spawn(launch)
        except OSError as error:
            raise not_started(error) from error

    def _spawn(self, launch: Launch) -> None:
        place = launch.place
        labels = labels_of(self.installation, place)
        spec = {
            "workload": str(place.workload),
            "epoch": place.epoch,
            "directory": str(place.directory),
            "log": str(launch.log),
            "command": list(launch.command),
            "env": {**_environment(launch), **labels},
            "wall_seconds": launch.wall_seconds,
            "lease_seconds": launch.lease_seconds,
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
            raise not_started(
                done.stderr.strip()[-500:] or _("The process that watches over it did not come up.")
            )

    def call_off(self, place: Place) -> None:
        """Voids the marker, so that nobody comes late."""
        void_marker(place)

    def _process(self, place: Place) -> dict[str, Any] | None:
        return facts_of(place.file("process"))

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
        """Looks for the exit file first and last: it appears before its writer goes.

        Files are read only until the supervisor is found. From then on the kernel is asked about
        it, which costs a hundredth and cannot mean another process of the same number.
        """
        if self._lives((place.workload, place.epoch)):
            return Sight.ALIVE, None
        facts = facts_of(place.file("exit"))
        if facts is not None:
            return Sight.ENDED, Exit.read(facts)
        process = self._process(place)
        if process is None:
            return (Sight.BEGUN if place.file("start").exists() else Sight.ABSENT), None
        if self._is_alive(process):
            self._watch(place, process)
            return Sight.ALIVE, None
        facts = facts_of(place.file("exit"))
        return (Sight.ENDED, Exit.read(facts)) if facts is not None else (Sight.GONE, None)

    def _watch(self, place: Place, process: dict[str, Any]) -> None:
        """Keeps a descriptor of the supervisor; without, as on old kernels, files are read on."""
        for key in list(self._watched):  # also those that nobody asks for any more
            self._lives(key)
        pid = int(process["pid"])
        with suppress(OSError, AttributeError):
            descriptor = os.pidfd_open(pid)
            if start_time_of(pid) == process["start_time"]:  # still the one that was looked at
                self._watched[place.workload, place.epoch] = descriptor
            else:
                os.close(descriptor)

    def _lives(self, key: tuple[UUID, int]) -> bool:
        """Whether its supervisor was found before and lives; lets go of one that does not."""
        descriptor = self._watched.get(key)
        if descriptor is None:
            return False
        end = select.poll()
        end.register(descriptor, select.POLLIN)
        if not end.poll(0):
            return True
        os.close(self._watched.pop(key))
        return False

    def renew(self, place: Place) -> None:
        """Touches the marker, which the supervisor watches."""
        renew_marker(place)

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
        if ours and (force or first(place.file("stop"))):
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
        """Reads the labels of all processes of this user.

        The processes of a machine are many, and nearly all are others'. Such a one is passed over
        from the third look on: at the first it may have been about to become ours by its exec. A
        number that is given again is another entry of the directory, with an inode of its own.
        """
        label = f"TRAINER_INSTALLATION={self.installation}".encode()
        with os.scandir("/proc") as listing:
            entries = [(one.name, one.inode()) for one in listing if one.name.isdecimal()]
        others: dict[tuple[str, int], int] = {}
        for entry in entries:
            seen = self._others.get(entry, 0)
            if seen > 1:
                others[entry] = seen
                continue
            try:
                environment = Path("/proc", entry[0], "environ").read_bytes()
            except OSError:
                continue
            if label not in environment:
                others[entry] = seen + 1
                continue
            pairs = dict(pair.split(b"=", 1) for pair in environment.split(b"\0") if b"=" in pair)
            with suppress(KeyError, ValueError):
                if pairs[b"TRAINER_INSTALLATION"] == self.installation.encode():
                    workload = UUID(pairs[b"TRAINER_WORKLOAD"].decode())
                    yield workload, int(pairs[b"TRAINER_EPOCH"]), int(entry[0])
        self._others = others

    def owners(self, pids: Iterable[int]) -> dict[int, UUID]:
        """By the labels of a process, or of one from which it comes."""
        owned = {pid: workload for workload, _epoch, pid in self.owned()}
        found = {}
        for pid in pids:
            mine = [owned[one] for one in (pid, *_ancestors(pid)) if one in owned]
            if mine:
                found[pid] = mine[0]
        return found

    def remove(self, workload: UUID, epoch: int, *, force: bool) -> None:
        """Signals by label, so that it works without any file."""
        for owner, its_epoch, pid in self.owned():
            if (owner, its_epoch) == (workload, epoch):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if force else signal.SIGTERM)

    def clear(self, place: Place) -> None:
        """Nothing is left of an ended process but its files."""

    def leave(self) -> None:
        """Nothing was made for the node."""


def _lay_out(launch: Launch) -> None:
    """Writes the files and links the inputs."""
    write_files(launch)
    folders(launch.place.directory, ("inputs",))
    for name, source in launch.inputs.items():
        input_path(launch, name).symlink_to(source)


def _environment(launch: Launch) -> dict[str, str]:
    """With where this machine's paths lie: a process sees them as they are."""
    env = {**launch.env, "CUDA_VISIBLE_DEVICES": ",".join(launch.gpus)}
    env |= {name: str(path) for name, path in launch.caches.items()}
    if launch.socket is not None:
        env["TRAINER_SOCKET"] = str(launch.socket)
    return env


def _ancestors(pid: int) -> list[int]:
    """The processes from which a process comes, the nearest first; none when it is gone."""
    with suppress(psutil.Error):
        return [parent.pid for parent in psutil.Process(pid).parents()]
    return []


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
