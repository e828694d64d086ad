"""Archives: their files under numbers in a folder, their names in a list beside them.

Names are never used as paths here. `members.jsonl` holds `{"name": …, "file": …}` for each.
"""

import bz2
import contextlib
import gzip
import json
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from datasets.parsing.refusals import Refused

MEMBERS = "members.jsonl"
MEMBERS_MAX = 10_000
NAME_MAX = 250  # letters of a member's path
_PIECE = 1 << 20
_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open))
Readable = IO[bytes] | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
Member = tuple[str, Readable]


def zip_open(source: Path, target: Path, _name: str, size: int) -> None:
    """A zip file. What it would unpack to is known before anything is unpacked."""
    try:
        with zipfile.ZipFile(source) as archive:
            parts = [part for part in archive.infolist() if not part.is_dir()]
            if any(part.flag_bits & 1 for part in parts):
                raise Refused("encrypted")
            if sum(part.file_size for part in parts) > size:
                raise Refused("bomb", limit=size >> 20)
            _unpack(((_meant(part), archive.open(part)) for part in parts), target, size)
    except zipfile.BadZipFile as error:
        raise Refused("damaged", reason=str(error)) from error


def _meant(part: zipfile.ZipInfo) -> str:
    """The name as it was meant: older programs write Chinese names without saying in what."""
    if not part.flag_bits & 0x800:
        for encoding in ("utf-8", "gb18030"):
            with contextlib.suppress(UnicodeError):
                return part.filename.encode("cp437").decode(encoding)
    return part.filename


def tar_open(source: Path, target: Path, name: str, size: int) -> None:
    """A tar file without compression."""
    with source.open("rb") as file:
        _unpack(_tar(file), target, size)


def stream_open(source: Path, target: Path, name: str, size: int) -> None:
    """A compressed tar file, or a compressed file whose name is the archive's without its end."""
    with source.open("rb") as file:
        head = file.read(6)
    opener = next(opener for magic, opener in _OPENERS if head.startswith(magic))
    try:
        with opener(source, "rb") as file:
            begins = file.read(512)
            is_tar = begins[257:262] == b"ustar"
        with opener(source, "rb") as file:
            single = (PurePosixPath(name).stem, file)
            _unpack(_tar(file) if is_tar else iter([single]), target, size)
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise Refused("damaged", reason=str(error)) from error


def _tar(file: Readable) -> Iterator[Member]:
    """Plain files only: links and devices are no data, and could lead out of the archive."""
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            if member.isreg() and (opened := archive.extractfile(member)):
                yield member.name, opened
            # It would keep every member that it has passed.
            archive.members.clear()  # type: ignore[attr-defined]


def _unpack(members: Iterator[Member], target: Path, size: int) -> None:
    left = size
    with (target / MEMBERS).open("w", encoding="utf-8") as names:
        for number, (name, opened) in enumerate(members):
            if number >= MEMBERS_MAX:
                raise Refused("too_many_files", limit=MEMBERS_MAX)
            refuse_path(name)
            if _is_hidden(name):
                continue
            with opened, (target / str(number)).open("wb") as file:
                left -= _copy(opened, file, left, size)
            names.write(json.dumps({"name": name, "file": str(number)}) + "\n")


def _copy(opened: Readable, file: IO[bytes], left: int, size: int) -> int:
    taken = 0
    while piece := opened.read(_PIECE):
        taken += len(piece)
        if taken > left:
            raise Refused("bomb", limit=size >> 20)
        file.write(piece)
    return taken


def refuse_path(name: str) -> None:
    """`Refused` for names that lead out of the archive or cannot be shown."""
    parts = name.replace("\\", "/").split("/")
    bad = ".." in parts or name.startswith(("/", "\\")) or name[1:2] == ":"
    if bad or not name.isprintable() or len(name) > NAME_MAX:
        raise Refused("path", name=repr(name)[:NAME_MAX])


def _is_hidden(name: str) -> bool:
    """What systems leave in archives without being asked."""
    parts = PurePosixPath(name).parts
    return (
        "__MACOSX" in parts
        or any(part.startswith(".") for part in parts)
        or name.endswith("Thumbs.db")
    )
