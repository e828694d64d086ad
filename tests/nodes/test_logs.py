"""Logs by byte offset: over the socket, by page and by API."""

import asyncio
import json

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from nodes import logs
from nodes.models import Workload
from nodes.routing import websocket_urlpatterns
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workload(people) -> Workload:
    return Workload.objects.create(
        project=people.team, name="one", engine="small", verb="train", state="running"
    )


def socket(workload, user, query="") -> Socket:
    path = f"/ws/workloads/{workload.pk}/log/{query}"
    made = Socket(URLRouter(websocket_urlpatterns), path)
    made.scope["user"] = user
    return made


async def receive(connection, count: int) -> tuple[str, int]:
    """Text until so many bytes have come, checking that offsets join without gap or overlap."""
    text, next_offset = "", None
    while len(text.encode()) < count:
        message = json.loads(await connection.receive_from())
        if "start" in message:
            continue
        assert next_offset in (None, message["offset"])
        assert message["next"] - message["offset"] == len(message["text"].encode())
        text, next_offset = text + message["text"], message["next"]
    return text, next_offset


def append(workload, data: bytes) -> None:
    with workload.log_path.open("ab") as log:
        log.write(data)


async def finish(workload) -> None:
    await Workload.objects.filter(pk=workload.pk).aupdate(state="ended")


@pytest.mark.asyncio
async def test_follows_a_growing_log_to_its_end(workload, people) -> None:
    connection = socket(workload, people.viewer)
    assert (await connection.connect())[0]
    assert json.loads(await connection.receive_from())["start"] == 0
    append(workload, b"one\ntwo\n")
    assert await receive(connection, 8) == ("one\ntwo\n", 8)
    append(workload, "三\n".encode())
    assert await receive(connection, 4) == ("三\n", 12)
    await finish(workload)
    assert json.loads(await connection.receive_from()) == {"end": True, "next": 12}
    await connection.disconnect()


@pytest.mark.asyncio
async def test_goes_on_after_a_break(workload, people) -> None:
    append(workload, b"".join(b"line %d\n" % number for number in range(50_000)))
    whole = workload.log_path.read_text()
    connection = socket(workload, people.owner, "?offset=0")
    await connection.connect()
    first, offset = await receive(connection, 1)
    await connection.disconnect()
    connection = socket(workload, people.owner, f"?offset={offset}")
    await connection.connect()
    rest, end = await receive(connection, len(whole) - offset)
    assert first + rest == whole
    assert end == len(whole)
    await connection.disconnect()


@pytest.mark.asyncio
async def test_opens_at_the_end_of_a_big_log(workload, people) -> None:
    with workload.log_path.open("wb") as log:
        log.truncate(200 * 2**20)
        log.seek(0, 2)
        log.write(b"\n" + b"".join(b"line %d\n" % number for number in range(20_000)))
    size = workload.log_path.stat().st_size
    connection = socket(workload, people.owner)
    await connection.connect()
    start = json.loads(await connection.receive_from())["start"]
    assert size - logs.TAIL_BYTES <= start < size
    text, end = await receive(connection, size - start)
    assert end == size
    assert text.splitlines()[0].startswith("line ")
    assert text.endswith("line 19999\n")
    await connection.disconnect()


@pytest.mark.asyncio
async def test_an_unfinished_line_is_held_back_only_shortly(workload, people) -> None:
    connection = socket(workload, people.owner, "?offset=0")
    await connection.connect()
    append(workload, "done\nhalf 训".encode()[:-1])
    text = ""
    while len(text) < len("done\nhalf "):  # in one piece where this comes late to it
        text += json.loads(await connection.receive_from())["text"]
    assert text == "done\nhalf "
    append(workload, "训".encode()[-1:] + b"\n")
    message = json.loads(await connection.receive_from())
    assert message["text"] == "训\n"
    await connection.disconnect()


@pytest.mark.asyncio
async def test_what_is_not_utf8_is_shown_and_skipped(workload, people) -> None:
    append(workload, b"a\xff\xfe\xfdb" * 10 + b"\xe8\xae")
    await finish(workload)
    connection = socket(workload, people.owner, "?offset=0")
    await connection.connect()
    messages = []
    while not (messages and messages[-1].get("end")):
        messages.append(json.loads(await connection.receive_from()))
    text = "".join(message.get("text", "") for message in messages)
    assert text.count("a") == 10
    await connection.disconnect()


@pytest.mark.parametrize("who", ["stranger", None])
@pytest.mark.asyncio
async def test_is_closed_to_strangers(workload, people, who) -> None:
    user = getattr(people, who) if who else AnonymousUser()
    connection = socket(workload, user)
    connected, code = await connection.connect()
    assert (connected, code) == (False, 4404)


@pytest.mark.parametrize("query", ["?offset=-1", "?offset=x", "?offset=99999999999999999999999x"])
@pytest.mark.asyncio
async def test_bad_offsets_are_refused(workload, people, query) -> None:
    assert not (await socket(workload, people.owner, query).connect())[0]


@pytest.mark.parametrize("text", ["-1", "x", "٣", "²", "9" * 19, ""])
@pytest.mark.parametrize("name", ["offset", "before"])
def test_offsets_of_the_api_are_plain_numbers(workload, people, client, name, text) -> None:
    client.force_login(people.viewer)
    append(workload, b"one\ntwo\n")
    path = f"/api/v1/workloads/{workload.pk}/log/"
    refused = client.get(path, {name: text})
    assert (refused.status_code, refused.json()["field"]) == (422, name)
    assert client.get(path, {"offset": "4"}).json()["text"] == "two\n"


@pytest.mark.asyncio
async def test_an_offset_behind_the_end_begins_anew(workload, people) -> None:
    append(workload, b"short\n")
    connection = socket(workload, people.owner, "?offset=999999")
    await connection.connect()
    assert json.loads(await connection.receive_from())["start"] == 0
    assert await receive(connection, 6) == ("short\n", 6)
    await connection.disconnect()


@pytest.mark.asyncio
async def test_a_slow_reader_holds_up_the_reading(workload, people) -> None:
    append(workload, b"x" * 99 + b"\n")
    connection = socket(workload, people.owner, "?offset=0")
    await connection.connect()
    await receive(connection, 100)
    for _part in range(4):
        append(workload, (b"y" * 99 + b"\n") * 10_000)
        await asyncio.sleep(0.1)
    text, _end = await receive(connection, 4_000_000)
    assert len(text) == 4_000_000
    await connection.disconnect()


def test_earlier_pieces_join_to_the_whole(workload, people, client) -> None:
    append(workload, "".join(f"第 {number} 行\n" for number in range(60_000)).encode())
    client.force_login(people.viewer)
    url = reverse("nodes:workload_log", args=[workload.pk])
    answer = client.get(url).json()
    assert answer["next"] == workload.log_path.stat().st_size
    text, offset = answer["text"], answer["offset"]
    while offset:
        answer = client.get(url, {"before": offset}).json()
        assert answer["next"] == offset
        assert answer["offset"] < offset
        text, offset = answer["text"] + text, answer["offset"]
    assert text == workload.log_path.read_text()


def test_without_sockets(workload, people, client) -> None:
    append(workload, b"one\n")
    client.force_login(people.viewer)
    url = reverse("nodes:workload_log", args=[workload.pk])
    assert client.get(url, {"offset": 0}).json() == {"offset": 0, "next": 4, "text": "one\n"}
    Workload.objects.update(state="ended")
    assert client.get(url, {"offset": 4}).json() == {
        "offset": 4,
        "next": 4,
        "text": "",
        "end": True,
    }
    client.force_login(people.stranger)
    assert client.get(url).status_code == 404


@pytest.mark.asyncio
async def test_download_is_streamed(workload, people, async_client) -> None:
    append(workload, b"line\n" * 500_000)
    await sync_to_async(async_client.force_login)(people.viewer)
    answer = await async_client.get(reverse("nodes:workload_log_download", args=[workload.pk]))
    assert answer["Content-Length"] == str(2_500_000)
    assert "attachment" in answer["Content-Disposition"]
    parts = [part async for part in answer]
    assert max(map(len, parts)) <= logs.DOWNLOAD_BYTES
    assert sum(map(len, parts)) == 2_500_000


def test_a_log_that_is_not_there_yet(workload, people, client) -> None:
    client.force_login(people.viewer)
    url = reverse("nodes:workload_log", args=[workload.pk])
    assert client.get(url).json() == {"offset": 0, "next": 0, "text": ""}


@given(st.text(max_size=40), st.integers(0, 200))
def test_cuts_fall_between_characters(text, cut) -> None:
    data = text.encode()[:cut]
    count = logs.whole_characters(data)
    assert text.encode().startswith(data[:count])
    data[:count].decode()
    assert len(data) - count < 4
