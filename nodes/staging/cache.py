"""Inputs that a node keeps between workloads, by what is in them, and outputs that stayed here.

`blobs/` holds contents under their SHA-256, `parts/` what is still on its way, `trees/` whole
inputs made of second names for blobs, and `uses/` which workload reads which trees. `kept/` has
what workloads left that could not be brought home. The least recently used of trees and kept
outputs go when there is not room enough; what a workload reads never does.
"""

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from threading import Lock

from common.phrases import gettext as _
from nodes.runners import NoRoom
from nodes.staging.trees import Entry, identity, sha256_of

logger = logging.getLogger(__name__)
FILES = "files"
USED = "used"
KEPT_DAYS = 30


class InputCache:
    """The cache of one node: `limit` bytes at most, and `reserve` are left free on the disk.

    Threads take from it and make room in it one at a time: what was found here stays.
    """

    def __init__(self, root: Path, limit: int, reserve: int) -> None:
        self.root = root
        self.limit = limit
        self.reserve = reserve
        self._lock = Lock()
        for name in ("blobs", "parts", "trees", "uses", "kept"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for path in (root / "trees").glob(".*"):  # drafts of an agent that was killed
            shutil.rmtree(path, ignore_errors=True)

    def blob(self, sha256: str) -> Path:
        """Where contents lie."""
        return self.root / "blobs" / sha256[:2] / sha256

    def part(self, sha256: str) -> Path:
        """Where they lie while they are on their way."""
        return self.root / "parts" / sha256

    def missing(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those whose contents are not here, each contents once.

        The others stay here for whoever has said before that they are wanted: see `make_room`.
        """
        found = {entry.sha256: entry for entry in entries}
        with self._lock:
            return [entry for entry in found.values() if not self.blob(entry.sha256).exists()]

    def settle(self, entry: Entry) -> bool:
        """Checks what has come and keeps it; False, and away with it, when it is something else."""
        part = self.part(entry.sha256)
        if part.stat().st_size != entry.size or sha256_of(part) != entry.sha256:
            part.unlink()
            return False
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o444)
        blob = self.blob(entry.sha256)
        blob.parent.mkdir(exist_ok=True)
        part.replace(blob)
        return True

    def tree(self, workload: uuid.UUID, entries: Sequence[Entry]) -> Path:
        """The input made of these files, all of which are here, for a workload to read."""
        folder = self.root / "trees" / identity(entries)
        with self._lock:
            self._use(workload, folder.name)
            if not folder.exists():
                self._make_tree(folder, entries)
            os.utime(folder / USED)
        return folder / FILES

    def _make_tree(self, folder: Path, entries: Sequence[Entry]) -> None:
        draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
        draft.mkdir()
        if [entry.path for entry in entries] == [""]:
            os.link(self.blob(entries[0].sha256), draft / FILES)
        else:
            (draft / FILES).mkdir()
            for entry in entries:
                target = draft / FILES / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(self.blob(entry.sha256), target)
        (draft / USED).touch()
        draft.rename(folder)

    def note(self, workload: uuid.UUID) -> None:
        """The workload has its place here, whether it reads something or not."""
        self._use(workload)

    def _use(self, workload: uuid.UUID, *trees: str) -> None:
        path = self.root / "uses" / str(workload)
        names = {*self._names_of(path), *trees}
        draft = path.with_name(f".{workload}")
        draft.write_text(json.dumps(sorted(names)))
        draft.replace(path)

    def _names_of(self, path: Path) -> list[str]:
        try:
            return [str(name) for name in json.loads(path.read_text())]
        except (OSError, ValueError):
            return []

    def users(self) -> list[uuid.UUID]:
        """Workloads that had their place here and were not released."""
        found = []
        for path in (self.root / "uses").iterdir():
            with suppress(ValueError):
                found.append(uuid.UUID(path.name))
        return found

    def release(self, workload: uuid.UUID) -> None:
        """The workload reads nothing any more; what it read stays for others."""
        (self.root / "uses" / str(workload)).unlink(missing_ok=True)

    def keep(self, workload: uuid.UUID) -> Path:
        """Makes a place for what a workload leaves here that can not be brought home; where."""
        folder = self.root / "kept" / str(workload)
        folder.mkdir(exist_ok=True)
        return folder

    def take_kept(self, workload: uuid.UUID, left: Path) -> None:
        """Takes what an ended workload left, if a place was made for it."""
        folder = self.root / "kept" / str(workload)
        if not (folder.is_dir() and left.is_dir()):
            return
        shutil.rmtree(left / "inputs", ignore_errors=True)
        try:
            left.rename(folder)
            os.utime(folder)
        except OSError as error:
            logger.warning("workload %s: what it left cannot be kept: %s", workload, error)

    def forget_kept(self) -> None:
        """Lets outputs go that have been kept for long."""
        for folder in self._kept():
            if _changed_at(folder) < time.time() - KEPT_DAYS * 24 * 3600:
                shutil.rmtree(folder, ignore_errors=True)

    def _kept(self) -> list[Path]:
        """Those that have been taken."""
        return [path for path in (self.root / "kept").iterdir() if any(path.iterdir())]

    def size(self) -> int:
        """Bytes of everything here."""
        folders = (self.root / "blobs", self.root / "parts", self.root / "kept")
        return sum(_size(path) for folder in folders for path in _files(folder))

    def make_room(self, needed: int, keep: Callable[[], Set[str]] = set) -> None:
        """Lets the least recently used go until `needed` bytes fit.

        `keep` gives the SHA-256 of contents that are wanted, whoever else reads them or not; it is
        asked when nobody else is at work here. Raises `NoRoom` when the disk is too full, also
        without everything that could go.
        """
        with self._lock:
            self._make_room(needed, keep)

    def _make_room(self, needed: int, keep: Callable[[], Set[str]]) -> None:
        if self._fits(needed):
            return
        in_use = {name for path in (self.root / "uses").iterdir() for name in self._names_of(path)}
        unused = [
            path
            for path in (self.root / "trees").iterdir()
            if path.name not in in_use and not path.name.startswith(".")
        ]
        wanted = keep()
        for folder in sorted([*unused, *self._kept()], key=_used_at):
            shutil.rmtree(folder, ignore_errors=True)
            self._drop_blobs(wanted)
            if self._fits(needed):
                return
        self._drop_blobs(wanted)
        free = shutil.disk_usage(self.root).free
        if free < needed + self.reserve:
            facts = {"needed": needed >> 20, "free": free >> 20, "kept": self.reserve >> 20}
            raise NoRoom(
                _(
                    "%(needed)s MB are to come, and of the %(free)s MB free on its disk %(kept)s MB"
                    " have to stay so. Make room there."
                )
                % facts
            )

    def _fits(self, needed: int) -> bool:
        free = shutil.disk_usage(self.root).free
        return free >= needed + self.reserve and self.size() + needed <= self.limit

    def _drop_blobs(self, keep: Set[str]) -> None:
        """Contents and beginnings that no tree is made of."""
        for path in list(_files(self.root / "blobs")):
            if path.name not in keep and path.stat().st_nlink == 1:
                path.unlink()
        for path in list(_files(self.root / "parts")):
            if path.name not in keep:
                path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _used_at(folder: Path) -> float:
    """Of a tree or of kept outputs."""
    return _changed_at(folder / USED if folder.parent.name == "trees" else folder)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
