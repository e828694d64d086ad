"""What workloads on nodes without the shared directory bring back: the control plane's side.

Contents come first, piece by piece under their SHA-256 into a folder of the workload's own; a
finished one has been read again and compared. Then a list of paths is kept: all its files appear in
the workload's directory, the folder of a checkpoint in one step. Everything may be repeated.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from common.errors import Conflict, DomainError
from common.texts import id_of
from nodes.models import Workload
from nodes.staging.digests import digest_note, digest_of
from nodes.staging.growth import grow
from nodes.staging.trees import BadTree, Entry, files_below, sha256_of

# Written by the platform or by growth; a node has no say in them.
OWN = ("inputs", "metrics.jsonl")
RESERVE_BYTES = 256 * 2**20  # left free on the disk


class DiskFull(DomainError):
    """There is no room for what a node wants to bring."""

    http_status = 507
    code = "disk_full"


class Missing(Conflict):
    """Contents that were not brought yet; `data["missing"]` names them."""

    code = "missing"


def incoming_root() -> Path:
    """Where contents lie until they are kept."""
    return Path(settings.TRAINER_HOME) / "temp" / "incoming"


def _folder(workload: Workload) -> Path:
    return incoming_root() / str(workload.pk)


def refuse_own(entries: Sequence[Entry]) -> None:
    """Raises `BadTree` for paths that are not the node's to write."""
    for entry in entries:
        first = entry.path.partition("/")[0]
        if not entry.path or first in OWN or first.startswith("."):
            raise BadTree(f"{entry.path!r} is not a workload's output")


def outputs_wanted(workload: Workload, entries: Sequence[Entry]) -> dict[str, int]:
    """From which byte on the contents of these files are wanted; what is here is left out."""
    wanted: dict[str, int] = {}
    for entry in entries:
        if entry.sha256 not in wanted and not _is_here(workload, entry):
            wanted[entry.sha256] = _size(_part(workload, entry.sha256))
    sizes = {entry.sha256: entry.size for entry in entries}
    needed = sum(sizes[sha256] - offset for sha256, offset in wanted.items())
    incoming_root().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(incoming_root()).free
    if wanted and needed + RESERVE_BYTES > free:
        raise DiskFull(
            f"The control plane has {free >> 20} MB of disk left, and {needed >> 20} MB are to"
            " come. Make room in its directory; the node tries again by itself."
        )
    return wanted


def output_take(workload: Workload, sha256: str, *, size: int, offset: int, data: bytes) -> int:
    """Adds a piece of a file's contents; the next offset wanted, `size` when it is complete.

    Contents that turn out to be others than their SHA-256 says are thrown away: 0 is wanted again.
    """
    ready = _ready(workload, sha256)
    if ready.exists():
        return size
    part = _part(workload, sha256)
    if offset + len(data) > size:
        raise BadTree("more bytes than the file has")
    have = grow(part, offset, data)
    if have < size:
        return have
    with _only(workload):
        if ready.exists():
            return size
        if have > size or sha256_of(part) != sha256:
            part.unlink(missing_ok=True)
            return 0
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(ready)
    return size


def outputs_keep(
    workload: Workload, below: str, entries: Sequence[Entry], *, folders: Set[str] = frozenset()
) -> None:
    """Puts the files into the workload's directory. Raises `Missing` when contents are not here.

    Afterwards exactly these files lie below `below`, a folder of the output that is replaced as a
    whole, and of the output's other folders those that are not among `folders` go: the engine keeps
    only some checkpoints. With an empty `below` the files are the whole output.
    """
    with _only(workload):
        missing = [entry.sha256 for entry in entries if not _is_here(workload, entry)]
        if missing:
            raise Missing(
                f"{len(missing)} files have not been brought yet.", data={"missing": missing}
            )
        if below:
            _replace_folder(workload, below, entries)
            for path in (workload.directory / "output").iterdir():
                if path.is_dir() and path.name not in folders:
                    shutil.rmtree(path, ignore_errors=True)
        else:
            _replace_all(workload, entries)


def _replace_folder(workload: Workload, below: str, entries: Sequence[Entry]) -> None:
    target = workload.directory / below
    draft = target.with_name(f".{target.name}.coming")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for entry in entries:
        _place(workload, entry, draft / Path(entry.path).relative_to(below))
    old = target.with_name(f".{target.name}.going")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    for entry in entries:
        digest_note(workload.directory / entry.path, entry.sha256)


def _replace_all(workload: Workload, entries: Sequence[Entry]) -> None:
    directory = workload.directory
    for entry in entries:
        target = directory / entry.path
        if _lies_there(target, entry):
            continue
        draft = target.with_name(f".{target.name}.coming")
        draft.unlink(missing_ok=True)
        _place(workload, entry, draft)
        draft.replace(target)
        digest_note(target, entry.sha256)
    wanted = {entry.path for entry in entries}
    for name, path in list(files_below(directory / "output")):
        if f"output/{name}" not in wanted:
            path.unlink()
    for folder in sorted((directory / "output").rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _place(workload: Workload, entry: Entry, target: Path) -> None:
    """A second name for the contents, which came or lie in the directory already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = _ready(workload, entry.sha256)
    if not source.exists():
        source = workload.directory / entry.path
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def outputs_forget(workload_id: uuid.UUID) -> None:
    """Removes what was brought and not kept."""
    shutil.rmtree(incoming_root() / str(workload_id), ignore_errors=True)


def incoming_sweep() -> int:
    """Removes what workloads that have ended left behind; how many folders went."""
    removed = 0
    folders = list(incoming_root().iterdir()) if incoming_root().is_dir() else []
    for folder in folders:
        active = Workload.objects.active().filter(pk=folder.name) if id_of(folder.name) else None
        if active is None or not active.exists():
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _is_here(workload: Workload, entry: Entry) -> bool:
    return _ready(workload, entry.sha256).exists() or _lies_there(
        workload.directory / entry.path, entry
    )


def _lies_there(path: Path, entry: Entry) -> bool:
    return _size(path) == entry.size and path.is_file() and digest_of(path) == entry.sha256


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _part(workload: Workload, sha256: str) -> Path:
    return _folder(workload) / f"{sha256}.part"


def _ready(workload: Workload, sha256: str) -> Path:
    return _folder(workload) / sha256


@contextmanager
def _only(workload: Workload) -> Iterator[None]:
    """One at a time for a workload, over all web processes."""
    folder = _folder(workload)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
