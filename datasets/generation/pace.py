"""How many questions at once and in a minute: one pace for all processes that share a folder.

What is taken there are locks of the system: they go with a process, however it ends.
"""

import asyncio
import fcntl
import os
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

LOOK_SECONDS = 0.05
AHEAD_MOST = 600.0  # seconds; a later moment was written before the clock was set back
_MOMENT = struct.Struct("=d")


class Pace:
    """So many questions at once, and in a minute, of all who use the folder together."""

    def __init__(self, folder: Path, *, parallel: int, per_minute: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._door = folder / "door"
        self._moment = folder / "moment"
        self._places = [folder / f"place-{number}" for number in range(parallel)]
        self._gap = 60 / per_minute
        # One process wants no more than there are, so that the others come to the door.
        self._wanted = asyncio.Semaphore(parallel)
        self._entering = asyncio.Lock()
        self._turning = asyncio.Lock()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place, as soon as one is free: whoever waits at the door gets the next one."""
        async with self._wanted:
            async with self._entering:
                with await _taken([self._door]):
                    place = await _taken(self._places)
            with place:
                yield

    async def turn(self) -> None:
        """Waits until the next question may be put."""
        async with self._turning:  # one moment ahead: a killed process takes no more with it
            await asyncio.sleep(self._booked(0, self._gap) - time.time())

    def hold(self, seconds: float) -> None:
        """No question before so many seconds have passed."""
        self._booked(seconds, 0)

    def _booked(self, wait: float, gap: float) -> float:
        """The first free moment after `wait` seconds; the next one is `gap` seconds later."""
        handle = os.open(self._moment, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # for no longer than these lines
            kept = os.pread(handle, _MOMENT.size, 0)
            free = _MOMENT.unpack(kept)[0] if kept else 0.0
            now = time.time()
            at: float = max(min(free, now + AHEAD_MOST), now + wait)
            os.pwrite(handle, _MOMENT.pack(at + gap), 0)
        finally:
            os.close(handle)
        return at


async def _taken(paths: Sequence[Path]) -> BinaryIO:
    """The first of the files that nobody holds, once there is one; closing it gives it back."""
    while True:
        for path in paths:
            file = path.open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return file
        await asyncio.sleep(LOOK_SECONDS)
