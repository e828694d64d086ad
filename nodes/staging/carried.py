"""What a node knows of the files of a workload that it carries, and what of them is to be sent."""

import asyncio
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from common.texts import json_of
from nodes.models import Workload
from nodes.staging.control import Growth
from nodes.staging.outputs import OWN
from nodes.staging.trees import files_below

METRICS_SECONDS = 0.25  # between two pieces of a metric file; the receiver works on each
PIECE_BYTES = 1024 * 1024
# Made by runners and entrypoints to know themselves by; of no meaning elsewhere.
LOCAL = re.compile(r"(start|stop|process|epoch)-\d+\.\w+|exit-\d+\.json\.\d+")
FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
ANNOUNCED = b'"checkpoint"'


@dataclass(slots=True)
class Grown:
    """How much of a file that grows is at the control plane."""

    next: int | None = None  # not asked yet
    sent_at: float = 0.0
    left_out: int = 0  # bytes from there on that something on the way refuses
    sealed: bool = False  # all of it, and on the control plane's disk


@dataclass(slots=True)
class Way:
    """How far the outputs are on their way to the control plane, in bytes."""

    sent: int = 0
    size: int = 0  # 0 while it is not known
    hindrance: str = ""  # why nothing can be sent now


@dataclass(slots=True)
class Carried:
    """What is known of a workload that has its place here."""

    workload: uuid.UUID
    epoch: int
    directory: Path
    paths: dict[str, Path]  # of log and metrics
    inputs: list[str]
    grown: dict[str, Grown]
    fetched: dict[str, Path] | None = None
    fetching: asyncio.Task[None] | None = None
    wants_inputs: bool = False
    trouble: str = ""  # why its inputs cannot be brought
    lacks_room: bool = False  # here: elsewhere they may
    links: dict[tuple[str, str], str] = field(default_factory=dict)  # into the store
    wanted: set[str] = field(default_factory=set)
    read: int = 0  # bytes of the metric file looked through for announcements
    rest: bytes = b""
    checkpoint: str = ""  # the newest that was announced and not brought home
    bringing: asyncio.Task[None] | None = None
    ended: bool = False  # its process: no file of it changes any more
    with_outputs: bool = True
    way: Way = field(default_factory=Way)
    refusals: int = 0  # of its outputs
    given_up: str = ""  # why they never come home
    is_home: bool = False
    is_over: bool = False  # the control plane takes nothing of it any more

    @property
    def is_sealed(self) -> bool:
        """Whether log and metrics are at the control plane to their end."""
        return all(grown.sealed for grown in self.grown.values())


def carried(row: Workload) -> Carried:
    """A workload that just came here."""
    return Carried(
        workload=row.pk,
        epoch=row.epoch,
        directory=row.directory,
        paths={"log": row.log_path, "metrics": row.metrics_path},
        inputs=[name for name, value in row.inputs.items() if not value.startswith("hub:")],
        grown={"log": Grown(), "metrics": Grown()},
    )


def pieces(one: Carried, limit: int = PIECE_BYTES) -> Iterator[Growth]:
    """What is to be sent of a workload's growing files now, of each `limit` bytes at most."""
    if one.is_over:
        return
    now = time.monotonic()
    for name, grown in one.grown.items():
        path = one.paths[name]
        if name == "metrics":
            _look_for_checkpoints(one, path)
        if grown.sealed:
            continue
        if grown.next is None:
            yield Growth(one.workload, one.epoch, name, 0, b"")
            continue
        if name == "metrics" and now - grown.sent_at < METRICS_SECONDS and not one.ended:
            continue
        data = read_piece(path, grown.next, limit)
        last = one.ended and len(data) < limit
        if grown.left_out:
            data, last = _stand_in(name, data[: grown.left_out]), False
        if data or last:
            yield Growth(one.workload, one.epoch, name, grown.next, data, seal=last)


def _stand_in(name: str, data: bytes) -> bytes:
    """What stands in the place of bytes that are left out, just as long: the file has no holes."""
    text = f"trainer: {len(data)} bytes were refused on their way here (413)" * (name == "log")
    end = b"\n" if data.endswith(b"\n") else b""
    room = len(data) - len(end)
    return text.encode()[:room].ljust(room) + end


def _look_for_checkpoints(one: Carried, path: Path) -> None:
    """Entrypoints say in the metric file when the folder of a checkpoint is complete."""
    data = read_piece(path, one.read, PIECE_BYTES)
    if not data:
        return
    one.read += len(data)
    *lines, one.rest = (one.rest + data).split(b"\n")
    for line in lines:
        if ANNOUNCED not in line:
            continue
        with suppress(ValueError, AttributeError):
            row = json_of(line)
            name = str(row.get("name", ""))
            if row.get("kind") == "checkpoint" and FOLDER.fullmatch(name):
                one.checkpoint = name


def outputs(directory: Path, below: str) -> Iterable[tuple[str, Path]]:
    """The files of a checkpoint's folder, or all that a workload leaves behind."""
    if below:
        for name, path in files_below(directory / below):
            yield f"{below}/{name}", path
        return
    for path in directory.iterdir():
        own = path.name in OWN or path.name.startswith(".") or LOCAL.fullmatch(path.name)
        if own or path.is_symlink():
            continue
        if path.is_dir():
            for name, file in files_below(path):
                yield f"{path.name}/{name}", file
        elif path.is_file():
            yield path.name, path


def folder_names(output: Path) -> list[str]:
    """The folders in it, empty ones too."""
    return (
        sorted(path.name for path in output.iterdir() if path.is_dir()) if output.is_dir() else []
    )


def read_piece(path: Path, offset: int, limit: int) -> bytes:
    """Bytes of a file that may not be there yet; never those behind a link, or of a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, limit, offset)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def size_of(path: Path) -> int:
    """Its bytes; none where it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
