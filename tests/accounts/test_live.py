"""The socket of live pages: real consumer, real poller, real session."""

import asyncio
import time
import uuid

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts import live, services
from accounts.consumers import MAX_TOPICS, topics_of
from accounts.models import Membership, Pulse, User
from accounts.routing import websocket_urlpatterns
from tests.sockets import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]
embedded = pytest.mark.skipif(live.sends_directly(), reason="with Redis nobody polls")
application = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))


def cookie(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


async def open_socket(user: User | None, *topics: object) -> tuple[Socket, bool]:
    headers = [(b"cookie", (await sync_to_async(cookie)(user)).encode())] if user else []
    query = ",".join(map(str, topics))
    socket = Socket(application, f"/ws/live/?topics={query}", headers)
    opened, _code = await socket.connect()
    return socket, opened


@sync_to_async
def record(people, **fields: object) -> None:
    services.event_record(
        people.team, **{"project": people.team, "actor": None, "verb": "tried", **fields}
    )


async def test_members_hear_of_a_change_and_strangers_do_not(people) -> None:
    member, _ = await open_socket(people.viewer, people.team.pk)
    stranger, _ = await open_socket(people.stranger, people.team.pk)
    await record(people)
    assert await member.receive_json_from() == {"changed": str(people.team.pk)}
    assert await stranger.receive_nothing(0.6)
    await member.disconnect()
    await stranger.disconnect()


async def test_the_right_to_see_is_asked_again_for_each_message(people) -> None:
    socket, _ = await open_socket(people.viewer, people.team.pk)
    await record(people)
    assert await socket.receive_json_from()
    await Membership.objects.filter(project=people.team, user=people.viewer).adelete()
    await record(people)
    assert await socket.receive_nothing(0.8)
    await socket.disconnect()


async def test_who_was_switched_off_hears_nothing(people) -> None:
    socket, _ = await open_socket(people.operator, people.team.pk)
    await User.objects.filter(pk=people.operator.pk).aupdate(is_active=False)
    await record(people)
    assert await socket.receive_nothing(0.8)
    await socket.disconnect()


async def test_changes_of_no_project_reach_everybody_who_is_signed_in(people) -> None:
    socket, _ = await open_socket(people.stranger, people.team.pk)
    await record(people, project=None)
    assert await socket.receive_json_from() == {"changed": str(people.team.pk)}
    await socket.disconnect()


async def test_a_change_just_before_the_socket_opened_is_told(people) -> None:
    await record(people)
    socket, _ = await open_socket(people.viewer, people.team.pk)
    assert await socket.receive_json_from() == {"changed": str(people.team.pk)}
    await socket.disconnect()


async def test_many_changes_at_once_are_told_at_most_four_times_a_second(people) -> None:
    socket, _ = await open_socket(people.viewer, people.team.pk)
    got, began = 0, time.monotonic()
    while got < 6:
        await record(people)
        while not await socket.receive_nothing(0.01):
            await socket.receive_json_from()
            got += 1
    assert got <= 4 * (time.monotonic() - began) + 2
    await socket.disconnect()


async def test_progress_is_told_without_an_event(people) -> None:
    subject = uuid.uuid4()
    socket, _ = await open_socket(people.viewer, f"job:{subject}")
    stranger, _ = await open_socket(people.stranger, subject)
    touch = sync_to_async(services.live_touch)
    await touch(subject, people.team.pk)
    assert await socket.receive_json_from() == {"changed": str(subject)}
    await asyncio.sleep(0.6)
    await touch(subject, people.team.pk)
    assert await socket.receive_json_from() == {"changed": str(subject)}
    assert await stranger.receive_nothing(0.6)
    await socket.disconnect()
    await stranger.disconnect()


@embedded
async def test_one_thing_is_touched_at_most_twice_a_second(people, monkeypatch) -> None:
    now, subject = timezone.now(), uuid.uuid4()
    monkeypatch.setattr(timezone, "now", lambda: now)
    touch = sync_to_async(services.live_touch)
    for _touch in range(5):
        await touch(subject, people.team.pk)
        services.events._touched.clear()  # as if each came from a process of its own
    assert (await Pulse.objects.aget(subject_id=subject)).counter == 1


@embedded
async def test_nobody_polls_when_nobody_listens(people) -> None:
    socket, _ = await open_socket(people.viewer, people.team.pk)
    assert live.poller()._task is not None
    await socket.disconnect()
    assert live.poller()._task is None


async def test_anonymous_visitors_and_bad_topics_are_turned_away(people) -> None:
    for user, topics in (
        (None, [people.team.pk]),
        (people.owner, []),
        (people.owner, ["nonsense"]),
        (people.owner, [uuid.uuid4() for _number in range(MAX_TOPICS + 1)]),
    ):
        _socket, opened = await open_socket(user, *topics)
        assert not opened


async def test_topics_are_taken_from_words_and_ids() -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    assert topics_of(f"topics=job:{one},{two},{one}") == [one, two]
