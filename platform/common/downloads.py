"""Downloads in pieces, whatever their size: nothing is held in memory as a whole."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from django.http import FileResponse

PIECE_BYTES = 256 * 1024


async def in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, each made in a thread: a plain iterator would be read whole before it is sent."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


class Download(FileResponse):
    """A file as it is when the download begins.

    Django's own response reads a file into memory before an ASGI server gets its first byte. What
    is written to the file meanwhile is left out: it would come after the announced length.
    """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.block_size = PIECE_BYTES  # each piece costs a change of threads
        left = int(self.headers["Content-Length"])
        async for piece in in_thread(iter(self)):
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return
