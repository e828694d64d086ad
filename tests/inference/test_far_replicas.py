"""A replica on another machine: the gateway, the door of its node's agent, the unix socket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import openai
import pytest
from aiohttp import web as http

from accounts.services import api_key_create
from nodes.forwarding import Door
from nodes.models import Node
from nodes.services import route_to
from nodes.services.keys import forward_key
from nodes.services.reach import NONCE_HEADER, PROOF_HEADER, nonce, proof
from tests.inference.parts import make_deployment, simulated_engine, until, web, workload_of
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)
ASK = [{"role": "user", "content": "hi"}]


@contextmanager
def served(application: http.Application, port: int) -> Iterator[None]:
    """An aiohttp application in a thread, as the agent opens it."""
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def start() -> None:
        runner = http.AppRunner(application, access_log=None, handler_cancellation=True)
        await runner.setup()
        await http.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(180)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(180)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def deployment(people, port):
    """Served on a node that shares nothing with this machine."""
    made = make_deployment(people.team, people.developer)
    Node.objects.update(shares_home=False, agent_url=f"http://127.0.0.1:{port}", boot_id="other")
    return made


@pytest.fixture
def engine(deployment):
    with simulated_engine(deployment) as engine:
        yield engine


@pytest.fixture
def door(deployment, engine, port):
    """The node's own door, which knows the one service."""
    workload = workload_of(deployment)

    def sockets(pk):
        return workload.socket_path if pk == workload.pk else None

    with served(Door("local", sockets).application(), port):
        yield port


@pytest.fixture
def client(people):
    key = api_key_create(people.developer, name="test", scope="chat")[1]
    with web() as address:
        yield openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=180)


def test_a_whole_answer(client, door, engine) -> None:
    answer = client.chat.completions.create(model="helpdesk-v3", messages=ASK)
    assert answer.choices[0].message.content == "Hello, world."
    assert len(engine.requests) == 1


def test_a_stream_comes_as_it_is_made(client, door, engine) -> None:
    engine.may_end.clear()
    stream = iter(client.chat.completions.create(model="helpdesk-v3", messages=ASK, stream=True))
    next(stream)
    engine.may_end.set()
    assert len(list(stream)) > 2


def test_a_client_that_leaves_stops_the_engine(client, door, engine) -> None:
    engine.may_end.clear()
    stream = client.chat.completions.create(model="helpdesk-v3", messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    assert engine.gone.wait(180)


def test_an_engine_that_breaks_off_is_no_whole_answer(client, door, engine) -> None:
    engine.behaviour = "crash"
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="helpdesk-v3", messages=ASK, stream=True))


def test_a_refusal_of_the_engine_comes_through(client, door, engine) -> None:
    engine.behaviour = "refuse"
    with pytest.raises(openai.BadRequestError, match="bad …"):
        client.chat.completions.create(model="helpdesk-v3", messages=ASK)


def test_nobody_is_there(client, deployment) -> None:
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="helpdesk-v3", messages=ASK)
    assert refused.value.status_code == 503
    assert "127.0.0.1" not in str(refused.value)


def test_an_impostor_gets_no_word_through(client, deployment, port) -> None:
    """Whoever answers must prove to be the node: another's words are not passed on."""

    async def lie(request: http.Request) -> http.Response:
        return http.json_response({"choices": [{"message": {"content": "lies"}}]})

    made = http.Application()
    made.router.add_route("*", "/{path:.*}", lie)
    with served(made, port), pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="helpdesk-v3", messages=ASK)
    assert refused.value.status_code == 503
    assert "lies" not in str(refused.value)


def test_who_cannot_prove_to_be_the_control_plane(deployment, engine, door) -> None:
    import aiohttp

    workload = workload_of(deployment)
    path, body = f"/replicas/{workload.pk}/v1/chat/completions", b'{"model": "m", "messages": []}'
    key = forward_key("local")

    async def ask(headers: dict, path: str = path, body: bytes = body) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{door}{path}", data=body, headers=headers) as answer,
        ):
            return answer.status

    def signed(**more) -> dict:
        words = {"key": key, "method": "POST", "path": path, "body": body, **more}
        mark = nonce()
        given = proof(words["key"], mark, words["method"], words["path"], words["body"])
        return {NONCE_HEADER: mark, PROOF_HEADER: given}

    for headers in (
        {},
        {NONCE_HEADER: nonce(), PROOF_HEADER: "0" * 64},
        signed(key=forward_key("another")),
        signed(method="GET"),
        signed(path="/replicas/other/v1/chat/completions"),
        signed(body=b"something else"),
    ):
        assert asyncio.run(ask(headers)) == 401
    assert engine.requests == []
    good = signed()
    bearer = {"Authorization": f"Bearer {engine.key}"}
    assert asyncio.run(ask({**good, **bearer})) == 200
    assert asyncio.run(ask({**good, **bearer})) == 401  # a request works once
    for other in (
        "/replicas/nonsense/v1/x",
        "/replicas/" + "0" * 8 + "-0000-0000-0000-" + "0" * 12 + "/v1/x",
    ):
        assert asyncio.run(ask(signed(path=other), path=other)) == 502
    until(lambda: len(engine.requests) == 1)


def test_the_way_depends_on_where_the_node_is(deployment) -> None:
    workload = workload_of(deployment)
    node = workload.node
    assert route_to(workload).url.endswith(f"/replicas/{workload.pk}")
    node.shares_home, node.boot_id = True, ""
    assert route_to(workload).socket == str(workload.socket_path)
    node.boot_id = "another machine"
    assert route_to(workload).socket == ""
    node.agent_url = ""
    assert (route_to(workload).socket, route_to(workload).url) == ("", "")
