"""Keeps a deployment from being unloaded while somebody uses it.

There is no counter of open streams, because one that a crashed process leaves behind would keep a
deployment for ever. Instead `last_used_at` is written when a request begins, every few seconds
while it is open, and when it ends; at most once in `TOUCH_SECONDS` per process and deployment.
"""

import asyncio
import time
import uuid
from types import TracebackType
from typing import Self

from inference.services import Target, deployment_touch
from inference.threads import in_database

TOUCH_SECONDS = 5.0

_written: dict[uuid.UUID, float] = {}
_endings: set[asyncio.Task[bool]] = set()


async def _touch(deployment_id: uuid.UUID, *, older_than: float) -> bool:
    """Writes the use unless that was just done; False when the deployment is not ready any more."""
    now = time.monotonic()
    if now - _written.get(deployment_id, -TOUCH_SECONDS) < older_than:
        return True
    _written[deployment_id] = now
    alive = await in_database(deployment_touch, deployment_id)
    if not alive:
        _written.pop(deployment_id, None)
    return alive


class Use:
    """A use of a deployment, from `begin` to `end`. Both may be called in any loop, `end` twice."""

    def __init__(self, target: Target) -> None:
        self._id = target.deployment_id
        self._keeper: asyncio.Task[None] | None = None

    async def begin(self) -> bool:
        """False when the deployment was unloaded this moment: then nothing was begun."""
        if not await _touch(self._id, older_than=TOUCH_SECONDS):
            return False
        self._keeper = asyncio.create_task(self._keep())
        return True

    def end(self) -> None:
        """Notes the last use, without keeping the caller waiting."""
        if self._keeper is None:
            return
        self._keeper.cancel()
        self._keeper = None
        task = asyncio.create_task(_touch(self._id, older_than=1.0))
        _endings.add(task)
        task.add_done_callback(_ended)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_SECONDS)
            await _touch(self._id, older_than=TOUCH_SECONDS * 0.9)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


def _ended(task: asyncio.Task[bool]) -> None:
    """A failed note of the last use is no reason for a traceback: the next use writes it again."""
    _endings.discard(task)
    if not task.cancelled():
        task.exception()


async def settle() -> None:
    """Waits for the notes of this loop that are still being written, before the loop ends."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(
        *[task for task in _endings if task.get_loop() is loop], return_exceptions=True
    )
