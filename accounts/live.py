"""How live pages hear of changes.

Consumers join the group of each thing they watch and get `{"type": "live.changed", "subject",
"project"}`. With Redis the process that changed something sends to the group after its commit. The
in-memory channel layer reaches one process only, so there one poller per web process reads what
other processes wrote, while somebody listens, and sends to the groups of its own process.
"""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from channels.layers import InMemoryChannelLayer, get_channel_layer
from redis import RedisError

from accounts.models import Event, Pulse

POLL_SECONDS = 0.25
# Rows with smaller numbers may be committed later than rows with greater ones, so that many are
# read again.
LOOK_BACK = 200

logger = logging.getLogger(__name__)


def group_of(subject_id: uuid.UUID) -> str:
    """The channel group in which a thing's changes are told."""
    return f"live.{subject_id}"


def sends_directly() -> bool:
    """Whether a message to a group reaches every process, so that nobody needs to poll."""
    return not isinstance(get_channel_layer(), InMemoryChannelLayer)


def _message(subject_id: uuid.UUID, project_id: uuid.UUID | None) -> dict[str, str]:
    return {
        "type": "live.changed",
        "subject": str(subject_id),
        "project": str(project_id) if project_id else "",
    }


def send(subject_id: uuid.UUID, project_id: uuid.UUID | None) -> None:
    """Tells listeners in all processes that a thing changed. Needs a layer that reaches them.

    While that is away nobody is told: pages look again by themselves.
    """
    layer = get_channel_layer()
    try:
        async_to_sync(layer.group_send)(group_of(subject_id), _message(subject_id, project_id))
    except (OSError, RedisError) as error:
        logger.warning("Redis does not answer: %s", error)


class Poller:
    """Reads new events and pulses of the things that somebody in this process listens to."""

    def __init__(self) -> None:
        self._listeners: Counter[uuid.UUID] = Counter()
        self._seen: set[int] = set()
        self._pulses: dict[uuid.UUID, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def listen(self, topics: Iterable[uuid.UUID]) -> None:
        """Counts a listener in; returns when every later change will be noticed."""
        topics = list(topics)
        fresh = [topic for topic in topics if topic not in self._listeners]
        self._listeners.update(topics)
        async with self._starting:
            if self._task is None or self._task.done():
                self._seen = set(await self._events(set()))
                self._task = asyncio.create_task(self._run())
        self._pulses |= {row[0]: row[1] for row in await self._read_pulses(fresh)}

    def leave(self, topics: Iterable[uuid.UUID]) -> None:
        """Counts a listener out; nothing is read any more when it was the last."""
        self._listeners.subtract(topics)
        self._listeners = +self._listeners
        self._pulses = {key: n for key, n in self._pulses.items() if key in self._listeners}
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._tell(await self._news())
            except Exception:
                # A locked or restarting database is no reason to fall silent for good.
                logger.exception("reading news for live pages failed; trying again")
                await asyncio.sleep(1)

    async def _news(self) -> dict[uuid.UUID, uuid.UUID | None]:
        events = await self._events(self._seen)
        self._seen |= set(events)
        if len(self._seen) > 4 * LOOK_BACK:
            newest = max(self._seen)
            self._seen = {number for number in self._seen if number > newest - LOOK_BACK}
        changed = dict(events.values())
        for subject, counter, project in await self._read_pulses(list(self._listeners)):
            if self._pulses.get(subject) != counter:
                self._pulses[subject] = counter
                changed[subject] = project
        return {key: project for key, project in changed.items() if key in self._listeners}

    @staticmethod
    async def _tell(changed: dict[uuid.UUID, uuid.UUID | None]) -> None:
        layer = get_channel_layer()
        for subject, project in changed.items():
            await layer.group_send(group_of(subject), _message(subject, project))

    @staticmethod
    @database_sync_to_async  # type: ignore[untyped-decorator, unused-ignore]
    def _events(seen: set[int]) -> dict[int, tuple[uuid.UUID, uuid.UUID | None]]:
        """Unseen events by number, from the look-back window on."""
        rows = Event.objects.order_by("-id").values_list("id", "subject_id", "project_id")
        rows = rows.filter(id__gt=max(seen) - LOOK_BACK) if seen else rows[:LOOK_BACK]
        return {row[0]: (row[1], row[2]) for row in rows if row[0] not in seen}

    @staticmethod
    @database_sync_to_async  # type: ignore[untyped-decorator, unused-ignore]
    def _read_pulses(
        topics: list[uuid.UUID],
    ) -> list[tuple[uuid.UUID, int, uuid.UUID | None]]:
        """Counters of the watched things."""
        found: list[tuple[uuid.UUID, int, uuid.UUID | None]] = []
        for start in range(0, len(topics), 500):
            part = Pulse.objects.filter(subject_id__in=topics[start : start + 500])
            found += part.values_list("subject_id", "counter", "project_id")
        return found


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, Poller] = WeakKeyDictionary()


def poller() -> Poller:
    """The poller of this process's event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _pollers:
        _pollers[loop] = Poller()
    return _pollers[loop]
