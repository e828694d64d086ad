"""Reading logs by byte offset: they only grow, so an offset means the same for ever."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 64 * 1024
BATCH_BYTES = 256 * 1024
LINE_BYTES = 64 * 1024  # a line longer than that is sent in parts
DOWNLOAD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a log: from byte `offset` up to byte `next`."""

    offset: int
    next: int
    text: str

    def as_json(self) -> dict[str, str | int]:
        """For sockets and pages."""
        return {"offset": self.offset, "next": self.next, "text": self.text}


def size_of(path: Path) -> int:
    """Bytes written so far; 0 before the first."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def read(path: Path, offset: int, limit: int) -> bytes:
    """At most `limit` bytes from `offset` on; empty when there are none."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except OSError:
        return b""


def whole_characters(data: bytes) -> int:
    """How many bytes from the start do not end in the middle of a character."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue  # a following byte: look further back for the first one
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if length > back else len(data)
    return len(data)  # no character begins here: not UTF-8, and shown as such


def whole_lines(data: bytes, *, hurry: bool) -> int:
    """How many bytes to show now.

    Whole lines, and in a hurry or after very much text the last, unfinished one as well.
    """
    end = data.rfind(b"\n") + 1
    if hurry or len(data) - end >= LINE_BYTES:
        return whole_characters(data)
    return end


def tail_start(path: Path) -> int:
    """Where the last lines begin."""
    size = size_of(path)
    start = max(0, size - TAIL_BYTES)
    return start + _to_line_start(read(path, start, size - start)) if start else 0


def _to_line_start(data: bytes) -> int:
    """Bytes to skip when reading began somewhere in a line."""
    newline = data.find(b"\n") + 1
    if newline:
        return newline
    skipped = 0
    while skipped < min(3, len(data)) and data[skipped] & 0xC0 == 0x80:
        skipped += 1
    return skipped


def piece_from(path: Path, offset: int) -> Piece:
    """What follows `offset`, up to a batch; unfinished lines as well."""
    data = read(path, offset, BATCH_BYTES)
    end = whole_characters(data)
    return Piece(offset, offset + end, data[:end].decode("utf-8", "replace"))


def piece_before(path: Path, offset: int) -> Piece:
    """What stands before `offset`, up to a batch, from the start of a line."""
    offset = min(offset, size_of(path))
    start = max(0, offset - BATCH_BYTES)
    data = read(path, start, offset - start)
    skip = _to_line_start(data) if start else 0
    if skip == len(data):  # one long line: better its end than nothing
        skip = 0
    return Piece(start + skip, offset, data[skip:].decode("utf-8", "replace"))


async def stream(path: Path, size: int) -> AsyncIterator[bytes]:
    """The first `size` bytes in parts, read beside the event loop."""
    offset = 0
    while offset < size:
        part = await asyncio.to_thread(read, path, offset, min(DOWNLOAD_BYTES, size - offset))
        if not part:
            return
        offset += len(part)
        yield part
