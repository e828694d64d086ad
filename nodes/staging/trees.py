"""Files below a directory, each with its size and SHA-256: what both ends compare."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

READ_BYTES = 1024 * 1024
FILES_MAX = 100_000
PATH_MAX = 1000
SIZE_MAX = 2**50


class BadTree(ValueError):
    """A description of files that cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its path relative to the tree's root (empty when the root is the file), in bytes."""

    path: str
    size: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """For the wire."""
        return asdict(self)


Digest = Callable[[Path], str]


def sha256_of(path: Path) -> str:
    """The file's SHA-256; reads it once, in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(root: Path) -> Iterator[tuple[str, Path]]:
    """Relative path and place of every file. Links are left out: they could lead anywhere."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(root).as_posix(), path


def entries_of(files: Iterable[tuple[str, Path]], digest: Digest) -> list[Entry]:
    """The files with their size and what `digest` says of them."""
    return [Entry(name, path.stat().st_size, digest(path)) for name, path in sorted(files)]


def entries_read(rows: object) -> list[Entry]:
    """The entries of a message. Raises `BadTree` for anything that is not a clean list of files."""
    if not isinstance(rows, list) or len(rows) > FILES_MAX:
        raise BadTree(f"a list of at most {FILES_MAX} files is expected")
    found = [_entry(row) for row in rows]
    if len({entry.path for entry in found}) != len(found):
        raise BadTree("a path is named twice")
    return found


def _entry(row: object) -> Entry:
    if not isinstance(row, dict):
        raise BadTree("a file is described by path, size and sha256")
    path, size, sha256 = row.get("path"), row.get("size"), row.get("sha256")
    if not isinstance(path, str) or (path and not is_inside(path)):
        raise BadTree(f"{str(path)[:200]!r} is not a path inside the workload's directory")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= SIZE_MAX:
        raise BadTree(f"{path}: a size is a number of bytes")
    if not is_sha256(sha256):
        raise BadTree(f"{path}: a SHA-256 is 64 lower-case hexadecimal digits")
    return Entry(path, size, str(sha256))


def is_inside(path: str) -> bool:
    """Whether it is a clean relative path that leads nowhere else."""
    pure = PurePosixPath(path)
    clean = path == pure.as_posix() and not pure.is_absolute() and 0 < len(path) <= PATH_MAX
    return clean and ".." not in pure.parts and "\0" not in path and path != "."


def is_sha256(text: object) -> bool:
    """Whether it is a SHA-256 as we write it."""
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


def identity(entries: Iterable[Entry]) -> str:
    """One name for a whole tree: the same files at the same places give the same."""
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.path):
        digest.update(f"{entry.sha256} {entry.size} {entry.path}\n".encode())
    return digest.hexdigest()
