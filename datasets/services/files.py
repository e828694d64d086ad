"""Where the files of datasets lie, and how they get there in one piece."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings

from common.disks import disk_full_told
from datasets.reading.locks import locked

INCOMING = ".incoming"
_CHUNK = 1 << 20


class Uploaded(Protocol):
    """What Django calls an uploaded file, as far as we need it."""

    name: str | None

    @property
    def size(self) -> int | None:
        """Its bytes, where that is known before it is read."""
        ...

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The contents in pieces."""
        ...


class LocalFile:
    """A file of this machine, as a service takes files. Its bytes are copied."""

    def __init__(self, path: Path, name: str) -> None:
        self.name: str | None = name
        self.size: int | None = path.stat().st_size
        self._path = path

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The contents in pieces."""
        with self._path.open("rb") as file:
            while piece := file.read(chunk_size or _CHUNK):
                yield piece


@dataclass(frozen=True)
class Stored:
    """An uploaded file in a folder of its own that is not part of the data yet."""

    directory: Path
    original: Path
    size: int
    sha256: str


def data_root() -> Path:
    """The directory of all data; `dataset_info.json` for use by hand lies in it."""
    return Path(settings.TRAINER_HOME) / "data"


def incoming_root() -> Path:
    """Where uploads are put together. What a killed process leaves there is swept away."""
    root = data_root() / INCOMING
    root.mkdir(parents=True, exist_ok=True)
    return root


@contextmanager
def incoming(upload: Uploaded) -> Iterator[Stored]:
    """The uploaded file in a locked folder, with its hash; the folder goes unless it was moved.

    `DiskFull` for what has no room, also of what is made of it meanwhile.
    """
    directory = incoming_root() / str(uuid.uuid4())
    with disk_full_told():
        directory.mkdir()
        with locked(directory, wait=True):
            try:
                original = directory / "original"
                size, digest = _take(upload, original)
                yield Stored(directory, original, size, digest)
            finally:
                shutil.rmtree(directory, ignore_errors=True)


def _take(upload: Uploaded, target: Path) -> tuple[int, str]:
    """Links Django's temporary file, or copies where that is impossible; size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    source = getattr(upload, "temporary_file_path", None)
    if source is not None and _link(Path(source()), target):
        with target.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    else:
        with target.open("wb") as file:
            for chunk in upload.chunks():
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
    sync(target)  # now, and not when the database's only writer waits for it
    target.chmod(0o444)
    return size, digest.hexdigest()


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def settle(source: Path, target: Path) -> None:
    """Makes a finished folder part of the data with one rename, safe against a power cut."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        sync(path)
    sync(source)
    source.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Asks the system to write a file or directory to the disk now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def stored_bytes(directory: Path) -> int:
    """Bytes of all files below a directory, each counted once however many names it has."""
    seen: dict[int, int] = {}
    for folder, _folders, names in os.walk(directory):
        for name in names:
            try:
                facts = Path(folder, name).stat()
            except FileNotFoundError:
                continue
            seen[facts.st_ino] = facts.st_size
    return sum(seen.values())


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for the same file; a copy where the file system has none."""
    if not _link(source, target):
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path, names: list[str]) -> None:
    """Second names for some files of a version in the folder of another."""
    for name in names:
        if (source / name).exists():
            link_or_copy(source / name, target / name)
