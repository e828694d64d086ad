"""The socket of live pages: it says which thing changed, the page then fetches its fragment."""

import asyncio
import time
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.utils import timezone

from accounts import live
from accounts.models import Event, Project, Pulse, User

MAX_TOPICS = 50
# A page that was loaded just before its socket opened may have missed a change.
MISSED_SECONDS = 5
PAUSE_SECONDS = 0.25


def topics_of(query: str) -> list[uuid.UUID]:
    """The things named in `topics=uuid,word:uuid,…`; ValueError when none, too many or others."""
    words = parse_qs(query).get("topics", [""])[0].split(",")
    topics = list(dict.fromkeys(uuid.UUID(word.rpartition(":")[2]) for word in words if word))
    if not 0 < len(topics) <= MAX_TOPICS:
        raise ValueError(len(topics))
    return topics


@database_sync_to_async  # type: ignore[untyped-decorator, unused-ignore]
def visible_projects(user_id: uuid.UUID, projects: set[str]) -> set[str]:
    """Those of the projects that the user may see now; asked again for each delivery.

    The empty string stands for things of no project, such as nodes: everybody who is signed in
    may hear that they changed.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return set()
    wanted = [project for project in projects if project]
    found = Project.objects.visible_to(user).filter(pk__in=wanted).values_list("pk", flat=True)
    return {"", *map(str, found)} if wanted else {""}


@database_sync_to_async  # type: ignore[untyped-decorator, unused-ignore]
def changed_lately(topics: list[uuid.UUID]) -> dict[str, str]:
    """The things that changed while the page was on its way, with their projects."""
    since = timezone.now() - timedelta(seconds=MISSED_SECONDS)
    rows = [
        row
        for model in (Event, Pulse)
        for row in model._default_manager.filter(subject_id__in=topics, at__gte=since).values_list(
            "subject_id", "project_id"
        )
    ]
    return {str(subject): "" if project is None else str(project) for subject, project in rows}


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """Sends `{"changed": "<uuid>"}` for the things of `?topics=`, each at most 4 times a second."""

    async def connect(self) -> None:
        """Joins the groups of the things; anonymous visitors and bad topics are turned away."""
        self.topics: list[uuid.UUID] = []
        self.pending: dict[str, str] = {}
        self.flushing: asyncio.Task[None] | None = None
        self.flushed_at = 0.0
        user = self.scope["user"]
        try:
            topics = topics_of(self.scope["query_string"].decode())
        except ValueError:
            await self.close(4400)
            return
        if not user.is_authenticated:
            await self.close(4401)
            return
        self.topics = topics
        for topic in topics:
            await self.channel_layer.group_add(live.group_of(topic), self.channel_name)
        if not live.sends_directly():
            await live.poller().listen(topics)
        await self.accept()
        self.pending |= await changed_lately(topics)
        self._flush_soon()

    async def disconnect(self, code: int) -> None:
        """Leaves the groups."""
        if self.flushing:
            self.flushing.cancel()
        if self.topics and not live.sends_directly():
            live.poller().leave(self.topics)
        for topic in self.topics:
            await self.channel_layer.group_discard(live.group_of(topic), self.channel_name)

    async def live_changed(self, message: dict[str, Any]) -> None:
        """Notes a change and sees to it that the page hears of it soon."""
        self.pending[message["subject"]] = message["project"]
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self.pending and (self.flushing is None or self.flushing.done()):
            self.flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Tells what is pending, at the pace of 4 a second, as far as the user may see it."""
        while self.pending:
            await asyncio.sleep(max(0.0, self.flushed_at + PAUSE_SECONDS - time.monotonic()))
            self.flushed_at = time.monotonic()
            batch, self.pending = self.pending, {}
            visible = await visible_projects(self.scope["user"].pk, set(batch.values()))
            for subject, project in batch.items():
                if project in visible:
                    await self.send_json({"changed": subject})
