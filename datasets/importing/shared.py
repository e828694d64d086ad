"""Directories on the shared storage that operators opened for reading.

Nothing below such a directory is followed that is a link, and the platform's own directory is never
entered: a path is walked folder by folder, each opened inside the one before.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.importing.listing import FOUND_MAX, Listed, Listing
from datasets.parsing.names import is_showable

SHOWN_MAX = 500  # entries of a folder on a page
_PIECE = 1 << 20
_BLOCKS = 64 << 20  # bytes that the system copies at once
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder or a file; `size` in bytes is of files only."""

    name: str
    is_folder: bool
    size: int


class _Stream:
    """A file from `start` on, as it was when it was listed."""

    def __init__(self, descriptor: int, file: Listed, start: int) -> None:
        self.start = start
        self.total = file.size
        self._file = file
        self._descriptor = descriptor

    def into(self, sink: BinaryIO) -> Iterator[None]:
        """See `listing.Stream`. The system does it: where the file system can, as a second name for
        the same blocks that later changes of either file leave alone, or within the file server.
        What it does not copy, for two file systems of different kinds or whatever mounts from
        elsewhere say, is read and written.
        """
        place = self.start
        with os.fdopen(self._descriptor, "rb") as file:
            try:
                while count := os.copy_file_range(
                    file.fileno(), sink.fileno(), _BLOCKS, place, place
                ):
                    place += count
                    sink.seek(place)
                    yield
            except OSError as error:
                if error.errno in _FULL:
                    raise
            file.seek(place)
            while piece := file.read(_PIECE):
                sink.write(piece)
                yield
            _refuse_changed(self._file, os.fstat(file.fileno()))


class Shared:
    """A folder, or a file, at `path` below `root`. `home` is the platform's own directory."""

    def __init__(self, root: Path, path: str, *, home: Path) -> None:
        self._root = root
        self._path = path_read(path)
        self._home = _identity(home.stat())

    def listing(self) -> Listing:
        """All files below, with their sizes and times. See `Place`."""
        with self._opened(self._path) as descriptor:
            facts = os.fstat(descriptor)
            if stat.S_ISREG(facts.st_mode):
                return Listing([_listed(PurePosixPath(self._path).name, facts)])
            return Listing(list(self._below(descriptor)))

    def entries(self) -> list[Entry]:
        """What lies in the folder, folders first. DomainError when it is none."""
        with self._opened(self._path) as descriptor:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                return []
            found = []
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    facts = entry.stat(follow_symlinks=False)
                    is_folder = stat.S_ISDIR(facts.st_mode)
                    if entry.name.startswith(".") or _identity(facts) == self._home:
                        continue
                    if is_folder or stat.S_ISREG(facts.st_mode):
                        found.append(
                            Entry(entry.name, is_folder, 0 if is_folder else facts.st_size)
                        )
                    if len(found) == SHOWN_MAX:
                        break
            return sorted(found, key=lambda one: (not one.is_folder, one.name))

    def stream(self, file: Listed, start: int) -> _Stream:
        """See `Place`. A file that changed since it was listed is refused."""
        is_itself = PurePosixPath(self._path).name == file.path and self._is_file()
        path = self._path if is_itself else str(PurePosixPath(self._path, file.path))
        with self._opened(path) as descriptor:
            facts = os.fstat(descriptor)
            _refuse_changed(file, facts)
            return _Stream(os.dup(descriptor), file, start)

    def _is_file(self) -> bool:
        with self._opened(self._path) as descriptor:
            return stat.S_ISREG(os.fstat(descriptor).st_mode)

    def _below(self, descriptor: int) -> Iterator[Listed]:
        seen = 0
        for folder, folders, names, opened in os.fwalk(".", dir_fd=descriptor):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and _identity(os.stat(name, dir_fd=opened, follow_symlinks=False)) != self._home
            )
            for name in sorted(names):
                facts = os.stat(name, dir_fd=opened, follow_symlinks=False)
                seen += 1
                if seen > FOUND_MAX:
                    raise DomainError(
                        _("There are more than %(limit)s files. Choose a folder further down.")
                        % {"limit": FOUND_MAX},
                        field="path",
                        code="too_many_files",
                    )
                if stat.S_ISREG(facts.st_mode):
                    yield _listed(str(PurePosixPath(folder) / name), facts)

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        """The folder or file at a path below the root, open for reading."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = -1
        try:
            descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for part in PurePosixPath(path).parts:
                inner = os.open(part, flags, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
                if _identity(os.fstat(descriptor)) == self._home:
                    raise PermissionError
            yield descriptor
        except OSError as error:
            raise DomainError(
                _(
                    "“%(path)s” cannot be read: it is not there, is a link, or the platform may"
                    " not read it."
                )
                % {"path": path or "/"},
                field="path",
                code="not_found",
            ) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def path_read(path: str) -> str:
    """The path without signs at its ends. DomainError for one that could lead elsewhere."""
    whole = PurePosixPath(path.strip().strip("/"))
    if ".." in whole.parts or not is_showable(path) or len(path) > 1000:
        raise DomainError(
            _("Name a folder or file below the directory, without “..”."),
            field="path",
            code="path",
        )
    return "" if str(whole) == "." else str(whole)


def _refuse_changed(file: Listed, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode) or _listed(file.path, facts) != file:
        raise DomainError(
            _("“%(name)s” changed while it was read. Import it again.") % {"name": file.path},
            code="changed",
        )


def _listed(path: str, facts: os.stat_result) -> Listed:
    return Listed(path, facts.st_size, mark=str(facts.st_mtime_ns))


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return (facts.st_dev, facts.st_ino)
