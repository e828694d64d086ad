"""Where the files of datasets lie, and how they get there in one piece."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson
from django.conf import settings
from zipstream import ZIP_STORED, ZipStream

from common.disks import disk_full_told
from datasets.reading.locks import locked

INCOMING = ".incoming"
PARTS = "parts"  # folder of the files of an archive that is to be written yet
_NAMES = "names.json"
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
    """An uploaded file in a folder of its own that is not part of the data yet.

    One whose bytes were not read has no hash, and of several files there is no archive, but
    `PARTS`: `original_finish` does the rest.
    """

    directory: Path
    original: Path
    size: int
    sha256: str = ""


def data_root() -> Path:
    """The directory of all data; `dataset_info.json` for use by hand lies in it."""
    return Path(settings.TRAINER_HOME) / "data"


def incoming_root() -> Path:
    """Where uploads are put together. What a killed process leaves there is swept away."""
    root = data_root() / INCOMING
    root.mkdir(parents=True, exist_ok=True)
    return root


@contextmanager
def incoming(upload: Uploaded, *, later: bool) -> Iterator[Stored]:
    """The uploaded file in a locked folder, which goes unless it was moved.

    With `later` the file's bytes are not read now where that is possible, however many they are.
    `DiskFull` for what has no room, also of what is made of it meanwhile.
    """
    directory = incoming_root() / str(uuid.uuid4())
    with disk_full_told():
        directory.mkdir()
        with locked(directory, wait=True):
            try:
                original = directory / "original"
                if later and _lay(upload, directory):
                    yield Stored(directory, original, upload.size or 0)
                else:
                    size, digest = _take(upload, original)
                    yield Stored(directory, original, size, digest)
            finally:
                shutil.rmtree(directory, ignore_errors=True)


def _lay(upload: Uploaded, directory: Path) -> bool:
    """Links the file, or all files of an archive, into the folder; whether that is possible."""
    files: list[tuple[str, Uploaded]] | None = getattr(upload, "parts", None)
    if files is None:
        return _linked(upload, directory / "original")
    parts = directory / PARTS
    parts.mkdir()
    for number, (_name, file) in enumerate(files):
        if not _linked(file, parts / str(number)):
            shutil.rmtree(parts)
            return False
    (parts / _NAMES).write_bytes(orjson.dumps([name for name, _file in files]))
    sync(parts / _NAMES)
    sync(parts)
    return True


def _linked(upload: Uploaded, target: Path) -> bool:
    """Links a temporary file, Django's or our own; False where that is impossible."""
    source = getattr(upload, "temporary_file_path", None)
    if source is None or not _link(Path(source()), target):
        return False
    sync(target)  # now, and not when the database's only writer waits for it
    target.chmod(0o444)
    return True


def _take(upload: Uploaded, target: Path) -> tuple[int, str]:
    """Links a temporary file, or copies where that is impossible; size and SHA-256."""
    if _linked(upload, target):
        return _read(LocalFile(target, "").chunks())
    with target.open("wb") as file:
        size, digest = _read(upload.chunks(), file.write)
    sync(target)
    target.chmod(0o444)
    return size, digest


def _read(
    pieces: Iterable[bytes], each: Callable[[bytes], object] = lambda _piece: None
) -> tuple[int, str]:
    """Size and SHA-256 of what comes, while `each` gets every piece of it."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        each(piece)
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def original_finish(directory: Path, told: Callable[[int], None]) -> tuple[int, str]:
    """What `incoming` left for later: size and SHA-256 of the file, once it is put together.

    May be killed at any moment and begun again. `told` gets the bytes read, again and again.
    """
    original, parts = directory / "original", directory / PARTS
    done = 0

    def tell(piece: bytes) -> None:
        nonlocal done
        done += len(piece)
        told(done)

    if original.exists():
        found = _read(LocalFile(original, "").chunks(), tell)
    else:
        names = orjson.loads((parts / _NAMES).read_bytes())
        files = [LocalFile(parts / str(number), name) for number, name in enumerate(names)]
        archive = parts / "archive"
        with archive.open("wb") as file:

            def write(piece: bytes) -> None:
                file.write(piece)
                tell(piece)

            found = _read(zipped(zip(names, files, strict=True)), write)
        sync(archive)
        archive.chmod(0o444)
        archive.rename(original)
    shutil.rmtree(parts, ignore_errors=True)
    return found


def zipped(files: Iterable[tuple[str, Uploaded]]) -> Iterator[bytes]:
    """Files under their names as an archive without compression, written while it is read."""
    stream = ZipStream(compress_type=ZIP_STORED)
    for name, file in files:
        stream.add(file.chunks(_CHUNK), name)
    yield from stream


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
    """Bytes of all files below a directory, each counted once however many names it has; but of
    none in hidden folders, which are drafts.
    """
    seen: dict[int, int] = {}
    for folder, folders, names in os.walk(directory):
        folders[:] = [one for one in folders if not one.startswith(".")]
        for name in names:
            try:
                facts = Path(folder, name).stat()
            except FileNotFoundError:
                continue
            seen[facts.st_ino] = facts.st_size
    return sum(seen.values())


def folders_remove(directory: Path) -> None:
    """Removes the folders in a directory, which a try left there; files stay."""
    for left in directory.iterdir():
        if left.is_dir():
            shutil.rmtree(left)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for the same file; a copy where the file system has none."""
    if not _link(source, target):
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path, names: list[str]) -> None:
    """Second names for some files of a version in the folder of another."""
    for name in names:
        if (source / name).exists():
            link_or_copy(source / name, target / name)
