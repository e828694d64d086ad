"""Archives: their files under numbers in a folder, their names in a list beside them.

Names are never used as paths here. `members.jsonl` holds `{"name": …, "file": …}` for each, and
`{"name": …, "refused": {"code": …, "values": …}}` for one that is locked, damaged or cannot be
named: the others are good without it. A compressed file is opened and named without its end, as it
would be alone; archives are not.
"""

import bz2
import contextlib
import gzip
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from backports import zstd

from datasets.parsing.names import NAME_MAX, is_showable, meant, shown
from datasets.parsing.refusals import Refused

MEMBERS = "members.jsonl"
MEMBERS_MAX = 10_000
_PIECE = 1 << 20
Readable = IO[bytes] | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile | zstd.ZstdFile
_OPENERS: dict[bytes, Callable[[Path, Literal["rb"]], Readable]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x28\xb5\x2f\xfd": zstd.open,
    **{bytes([number]) + b"\x2a\x4d\x18": zstd.open for number in range(0x50, 0x60)},  # to skip
}
_DAMAGES = (  # as each reader says that it cannot go on
    EOFError,
    NotImplementedError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
    zstd.ZstdError,
)
_ENDS = frozenset({".gz", ".bz2", ".xz", ".zst"})  # of compressed files
Opening = contextlib.AbstractContextManager[Readable]
Member = tuple[str, Opening]


class MemberRefused(Refused):
    """One file of an archive is not taken; the others are."""


def zip_open(source: Path, target: Path, _name: str, size: int) -> None:
    """A zip file. What it would unpack to is known before anything is unpacked."""
    try:
        with zipfile.ZipFile(source) as archive:
            parts = [part for part in archive.infolist() if not part.is_dir()]
            if sum(part.file_size for part in parts) > size:
                raise Refused("bomb", limit=size >> 20)
            _unpack(((_zip_name(part), _zipped(archive, part)) for part in parts), target, size)
    except zipfile.BadZipFile as error:
        raise Refused("damaged", reason=str(error)) from error


@contextlib.contextmanager
def _zipped(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[Readable]:
    """One file of a zip file, which is whole or damaged whatever the others are."""
    if part.flag_bits & 1:
        raise MemberRefused("encrypted")
    with _damage_told(MemberRefused), archive.open(part) as opened:
        yield opened


def _zip_name(part: zipfile.ZipInfo) -> str:
    return part.filename if part.flag_bits & 0x800 else meant(part.filename, "cp437")


def tar_open(source: Path, target: Path, name: str, size: int) -> None:
    """A tar file without compression."""
    with source.open("rb") as file:
        _unpack(_tar(file), target, size)


def stream_open(source: Path, target: Path, name: str, size: int) -> None:
    """A compressed tar file, or a compressed file whose name is the archive's without its end."""
    with _damage_told(Refused), _decompressed(source) as file:
        single = (PurePosixPath(name).stem, file)
        _unpack(_tar(file) if _holds_tar(source) else iter([single]), target, size)


@contextlib.contextmanager
def _damage_told(refusal: type[Refused]) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGES, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk, not of what is read
            raise
        raise refusal("damaged", reason=str(error) or type(error).__name__) from error


def _decompressed(source: Path) -> Readable:
    return _OPENERS[_head(source)](source, "rb")


def _head(source: Path) -> bytes:
    """The bytes by which a compressed file is known; nothing for any other."""
    with source.open("rb") as file:
        head = file.read(6)
    return next((magic for magic in _OPENERS if head.startswith(magic)), b"")


def _holds_tar(source: Path) -> bool:
    with _decompressed(source) as file:
        return bool(file.read(512)[257:262] == b"ustar")


def _tar(file: Readable) -> Iterator[Member]:
    """Plain files only: links and devices are no data, and could lead out of the archive."""
    with tarfile.open(fileobj=file, mode="r|", encoding="utf-8") as archive:
        for member in archive:
            if member.isreg() and (opened := archive.extractfile(member)):
                yield meant(member.name, "utf-8"), opened
            # It would keep every member that it has passed.
            archive.members.clear()  # type: ignore[attr-defined]


def _unpack(members: Iterator[Member], target: Path, size: int) -> None:
    left = size
    with (target / MEMBERS).open("w", encoding="utf-8") as names:
        for number, (name, opening) in enumerate(members):
            if number >= MEMBERS_MAX:
                raise Refused("too_many_files", limit=MEMBERS_MAX)
            _refuse_escape(name)
            if _is_hidden(name):
                continue
            path = target / str(number)
            try:
                name, taken = _taken(name, opening, path, left, size)
                told: dict[str, Any] = {"name": name, "file": path.name}
                left -= taken
            except MemberRefused as refused:
                path.unlink(missing_ok=True)
                name = shown(name, NAME_MAX)
                told = {"name": name, "refused": {"code": refused.code, "values": refused.values}}
            names.write(json.dumps(told) + "\n")


def _taken(name: str, opening: Opening, path: Path, left: int, size: int) -> tuple[str, int]:
    """Unpacks one file to `path`; its name there, and how many bytes it has."""
    if len(name) > NAME_MAX:
        raise MemberRefused("long_name", limit=NAME_MAX)
    if not is_showable(name):
        raise MemberRefused("odd_name")
    with opening as opened, path.open("wb") as file:
        taken = _copy(opened, file, left, size)
    if PurePosixPath(name.lower()).suffix in _ENDS and _head(path):
        with _damage_told(MemberRefused):
            if not _holds_tar(path):
                taken = _decompress(path, left, size)
                name = str(PurePosixPath(name).with_suffix(""))
    return name, taken


def _decompress(path: Path, left: int, size: int) -> int:
    """Puts what is in a compressed file into its place; how many bytes that are."""
    target = path.with_suffix(".new")
    try:
        with _decompressed(path) as opened, target.open("wb") as file:
            taken = _copy(opened, file, left, size)
        target.replace(path)
    finally:
        target.unlink(missing_ok=True)
    return taken


def _copy(opened: Readable, file: IO[bytes], left: int, size: int) -> int:
    taken = 0
    while piece := opened.read(_PIECE):
        taken += len(piece)
        if taken > left:
            raise Refused("bomb", limit=size >> 20)
        file.write(piece)
    return taken


def _refuse_escape(name: str) -> None:
    """`Refused` for names that lead out of the archive."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or name[1:2] == ":":
        raise Refused("path", name=shown(name, NAME_MAX))


def _is_hidden(name: str) -> bool:
    """What systems leave in archives without being asked."""
    parts = PurePosixPath(name).parts
    return (
        "__MACOSX" in parts
        or any(part.startswith(".") for part in parts)
        or name.endswith("Thumbs.db")
    )
