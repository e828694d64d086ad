"""The socket of a log."""

import asyncio
import contextlib
import json
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from nodes import logs
from nodes.models import Workload

POLL_SECONDS = 0.05
CALM_POLL_SECONDS = 0.2  # when nothing was written for a while
CALM_AFTER_SECONDS = 3.0
HOLD_SECONDS = 0.25  # how long an unfinished line is held back
STATE_SECONDS = 1.0  # how often it asks whether the workload has ended


@database_sync_to_async  # type: ignore[untyped-decorator, unused-ignore]
def find_log(user: User | AnonymousUser, workload_id: uuid.UUID) -> Path | None:
    """The log's file, None for what the user may not see."""
    workload = Workload.objects.visible_to(user).filter(pk=workload_id).first()
    return workload.log_path if workload else None


@database_sync_to_async  # type: ignore[untyped-decorator, unused-ignore]
def is_over(user: User | AnonymousUser, workload_id: uuid.UUID) -> bool:
    """Whether nothing will be written any more, or the user may not read it any more."""
    state = Workload.objects.visible_to(user).filter(pk=workload_id).values_list("state", flat=True)
    return state.first() in {None, Workload.State.ENDED}


class LogConsumer(AsyncWebsocketConsumer):
    """Sends a log as it grows: `{"offset", "next", "text"}`, offsets in bytes.

    `?offset=N` goes on at N after a break. Without it the last 64 KB come first, and `{"start": N}`
    says where they begin. `{"end": true}` is the last message. One message is under way at a time,
    so a slow reader slows down the reading and nothing piles up.
    """

    follower: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Only for those who may see the workload."""
        self.workload_id = self.scope["url_route"]["kwargs"]["workload_id"]
        path = await find_log(self.scope["user"], self.workload_id)
        try:
            offset = self._wanted_offset()
        except ValueError:
            path = None
        if path is None:
            await self.close(4404)
            return
        await self.accept()
        self.follower = asyncio.create_task(self._follow(path, offset))

    def _wanted_offset(self) -> int | None:
        words = parse_qs(self.scope["query_string"].decode("latin-1")).get("offset")
        if not words:
            return None
        offset = int(words[0])
        if offset < 0:
            raise ValueError(offset)
        return offset

    async def disconnect(self, code: int) -> None:
        """Stops reading."""
        if self.follower is not None:
            self.follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.follower

    async def _say(self, message: dict[str, object]) -> None:
        await self.send(text_data=json.dumps(message, ensure_ascii=False))

    async def _follow(self, path: Path, offset: int | None) -> None:
        if offset is None or offset > logs.size_of(path):
            offset = logs.tail_start(path)
            await self._say({"start": offset, "offset": offset, "next": offset, "text": ""})
        grown_at = asked_at = time.monotonic()
        held_since: float | None = None
        over = False
        while True:
            # A read is a copy from the page cache, far shorter than a change of threads.
            data = logs.read(path, offset, logs.BATCH_BYTES)
            now = time.monotonic()
            held_since = (held_since or now) if data else None
            held = held_since is not None and now - held_since > HOLD_SECONDS
            count = logs.whole_lines(data, hurry=over or held)
            if count == 0 and data and (over or held) and len(data) > 3:
                count = len(data)
            if count:
                text = data[:count].decode("utf-8", "replace")
                await self._say({"offset": offset, "next": offset + count, "text": text})
                offset += count
                grown_at, held_since = time.monotonic(), None
                if len(data) == logs.BATCH_BYTES:
                    continue
            elif over:
                await self._say({"end": True, "next": offset})
                return
            elif now - asked_at > STATE_SECONDS:
                asked_at = now
                over = await is_over(self.scope["user"], self.workload_id)
                continue
            calm = now - grown_at > CALM_AFTER_SECONDS
            await asyncio.sleep(CALM_POLL_SECONDS if calm else POLL_SECONDS)
