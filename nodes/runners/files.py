"""The files of a start, which every runner lays out in the same way.

A workload may have run before in the same directory and left there what it liked: nothing here
follows a link below that directory.
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from common.phrases import gettext as _
from common.texts import json_of
from nodes.runners.base import AlreadyStarted, CannotStart, Launch, NoRoom, Place

VOID = "void"
FACTS_MAX_BYTES = 2**20
FULL = (errno.ENOSPC, errno.EDQUOT)


def not_started(why: str | OSError) -> CannotStart | NoRoom:
    """What a start raises that brought nothing."""
    if isinstance(why, OSError):
        why = f"{why.strerror or why}: {why.filename or ''}"
    return NoRoom(why) if says_full(why) else CannotStart(why)


def says_full(why: str) -> bool:
    """Whether a disk was full: an Engine and a supervisor tell only by words."""
    return any(os.strerror(number).lower() in why.lower() for number in FULL)


def take_marker(place: Place) -> None:
    """Takes the epoch: only one can. Raises `AlreadyStarted`."""
    try:
        descriptor = os.open(place.file("start"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    except FileExistsError:
        raise AlreadyStarted(str(place.workload)) from None
    with os.fdopen(descriptor, "w") as marker:
        marker.write(str(os.getpid()))


def copy_once(source: Path, folder: Path) -> Path:
    """A copy of a file in the folder, under a name that tells its content; made when missing."""
    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    copy = folder / f"{source.stem}-{digest}{source.suffix}"
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = copy.with_name(f".{uuid4()}")
        draft.write_bytes(content)
        draft.chmod(0o644)
        draft.replace(copy)
    return copy


def void_marker(place: Place) -> None:
    """A late starter cannot take the epoch any more, and a late supervisor leaves."""
    place.directory.mkdir(parents=True, exist_ok=True)
    draft = place.file("start").with_suffix(".void")
    draft.unlink(missing_ok=True)
    draft.write_text(VOID)
    draft.replace(place.file("start"))


def renew_marker(place: Place) -> None:
    """Gives the marker a new time; harmless where there is none."""
    with suppress(OSError):
        os.utime(place.file("start"), follow_symlinks=False)


def is_void(place: Place) -> bool:
    """Whether the start was called off."""
    try:
        return place.file("start").read_text() == VOID
    except OSError:
        return True


def write_files(launch: Launch) -> list[Path]:
    """Writes the workload's files and makes its folders; returns all of them, outer ones first."""
    directory = launch.place.directory
    made = [directory, *folders(directory, ("output",))]
    for name, text in launch.files.items():
        parts = parts_of(name)
        made += folders(directory, parts[:-1])
        path = directory.joinpath(*parts)
        draft = path.with_name(f".{path.name}.draft")
        draft.unlink(missing_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
        made.append(path)
    return made


def input_path(launch: Launch, name: str) -> Path:
    """Where an input is to be seen, below `inputs`; nothing stands there any more.

    Raises `CannotStart` when the input itself is gone.
    """
    if not launch.inputs[name].exists():
        raise CannotStart(_("The input %(name)s is not there any more.") % {"name": name})
    parts = ("inputs", *parts_of(name))
    folders(launch.place.directory, parts[:-1])
    path = launch.place.directory.joinpath(*parts)
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    return path


def folders(directory: Path, parts: tuple[str, ...]) -> list[Path]:
    """Makes folders below one another, in the place of any link; the folders."""
    made = []
    path = directory
    for part in parts:
        path /= part
        if path.is_symlink():
            path.unlink()
        path.mkdir(exist_ok=True)
        made.append(path)
    return made


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a path below the directory; refuses names that lead out of it."""
    parts = Path(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise CannotStart(
            _("“%(name)s” is not a name inside the workload's directory.") % {"name": name}
        )
    return parts


def first(path: Path) -> bool:
    """Whether nobody was here before."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def facts_of(path: Path) -> dict[str, Any] | None:
    """The JSON object in an ordinary file; None when there is none."""
    try:
        # A workload can put a link or a pipe there; neither may lead or hold the reader.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content = json_of(file.read(FACTS_MAX_BYTES))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def labels_of(installation: str, place: Place) -> Mapping[str, str]:
    """What every process of a workload carries in its environment."""
    return {
        "TRAINER_INSTALLATION": installation,
        "TRAINER_WORKLOAD": str(place.workload),
        "TRAINER_EPOCH": str(place.epoch),
    }
