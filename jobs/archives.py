"""A job's files as one zip, made while it is being sent: no copy on disk, bounded memory."""

import asyncio
from collections.abc import AsyncIterator

from zipstream import ZIP_STORED, ZipStream

from jobs.models import Attempt
from jobs.services.reading import files_of

PIECE = 256 * 1024


def _pieces(attempt: Attempt, with_checkpoints: bool) -> ZipStream:
    archive = ZipStream(compress_type=ZIP_STORED, sized=False)
    for file in files_of(attempt):
        if with_checkpoints or not file.path.startswith("output/checkpoint-"):
            archive.add_path(attempt.workload.directory / file.path, file.path)
    return archive


async def archive_stream(
    attempt: Attempt, *, with_checkpoints: bool = False
) -> AsyncIterator[bytes]:
    """The zip in pieces of about 256 KB; files are read in a thread, a piece at a time."""
    pieces = iter(await asyncio.to_thread(_pieces, attempt, with_checkpoints))
    while chunk := await asyncio.to_thread(_next, pieces):
        yield chunk


def _next(pieces: "object") -> bytes:
    """Joins small pieces, so that a hop to the thread is paid once for many."""
    buffer = bytearray()
    for piece in pieces:  # type: ignore[attr-defined]
        buffer += piece
        if len(buffer) >= PIECE:
            break
    return bytes(buffer)
