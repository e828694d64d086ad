"""Downloads in pieces, whatever their size: nothing is held in memory as a whole."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from django.http import FileResponse, HttpResponseBase, HttpResponseRedirect

from common import store

logger = logging.getLogger(__name__)

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


def download(path: Path, *, filename: str, content_type: str | None = None) -> HttpResponseBase:
    """A file below TRAINER_HOME: by a link into the store where the same lies there.

    What is not stored, still grows or cannot be asked for comes from the disk. Raises
    FileNotFoundError where it is nowhere.
    """
    if store.is_remote():
        try:
            stored = store.found(store.key_of(path))
        except store.Failed as error:
            logger.warning("the store does not answer: %s", error)
            stored = None
        if stored is not None and (not path.exists() or path.stat().st_size == stored.size):
            return HttpResponseRedirect(store.link(stored.key, filename=filename))
    return Download(
        path.open("rb"), as_attachment=True, filename=filename, content_type=content_type
    )
