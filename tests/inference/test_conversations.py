"""Conversations: settings, turns, the socket, and the way without scripts."""

import asyncio
import json
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership
from common.errors import Conflict, DomainError
from inference import services
from inference.chat import answer_now
from inference.models import Conversation, Deployment, Message
from inference.routing import websocket_urlpatterns
from inference.services import NotReady
from inference.upstream import sessions_close
from tests.inference.parts import make_deployment, simulated_engine, until
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)
application = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))


@pytest.fixture
def deployment(people) -> Deployment:
    return make_deployment(people.team, people.developer)


@pytest.fixture
def engine(deployment):
    with simulated_engine(deployment) as engine:
        yield engine


@pytest.fixture
def conversation(people, deployment) -> Conversation:
    return services.conversation_create(
        project=people.team, created_by=people.developer, deployment=deployment
    )


def cookie(user) -> bytes:
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}; django_language=en".encode()


async def open_socket(user, conversation) -> Socket:
    headers = [(b"cookie", await sync_to_async(cookie)(user))] if user else []
    return Socket(application, f"/ws/chat/{conversation.pk}/", headers)


async def hear(socket, kind: str) -> list[dict]:
    """Messages up to the first of this kind."""
    heard = []
    while not heard or heard[-1]["type"] != kind:
        heard.append(await socket.receive_json_from())
    return heard


def enter(client, user, project) -> None:
    """Signs in and works in the project."""
    client.force_login(user)
    session = client.session
    session["project"] = str(project.pk)
    session.save()


def rows(conversation) -> list[tuple[str, str, str]]:
    return list(conversation.messages.values_list("role", "content", "state"))


@pytest.mark.asyncio
async def test_an_answer_comes_in_pieces_and_stays(people, conversation, engine) -> None:
    socket = await open_socket(people.developer, conversation)
    assert (await socket.connect())[0]
    await socket.send_json_to({"type": "ask", "text": " What now? "})
    heard = await hear(socket, "end")
    assert heard[0]["type"] == "begin"
    assert heard[0]["question"]["content"] == "What now?"
    assert "".join(m["text"] for m in heard if m["type"] == "piece") == "Hello, world."
    end = heard[-1]
    assert end["answer"]["state"] == "done"
    assert end["answer"]["usage"]["tokens"] == 4
    assert end["answer"]["usage"]["first_ms"] >= 0
    assert end["unloads_at"]
    await socket.disconnect()
    await conversation.arefresh_from_db()
    assert conversation.title == "What now?"
    assert await sync_to_async(rows)(conversation) == [
        ("user", "What now?", "done"),
        ("assistant", "Hello, world.", "done"),
    ]
    await sessions_close()


@pytest.mark.asyncio
async def test_stop_keeps_what_was_written(people, conversation, engine) -> None:
    engine.words = ["x "] * 100
    engine.may_end.clear()
    socket = await open_socket(people.developer, conversation)
    await socket.connect()
    await socket.send_json_to({"type": "ask", "text": "go on"})
    await hear(socket, "piece")
    await socket.send_json_to({"type": "stop"})
    end = (await hear(socket, "end"))[-1]
    assert end["answer"]["state"] == "stopped"
    assert end["answer"]["content"].startswith("x ")
    assert await asyncio.to_thread(engine.gone.wait, 180)
    await socket.disconnect()
    await sessions_close()


@pytest.mark.asyncio
async def test_a_browser_that_closes_stops_the_model_and_keeps_the_text(
    people, conversation, engine
) -> None:
    engine.words = ["x "] * 100
    engine.may_end.clear()
    socket = await open_socket(people.developer, conversation)
    await socket.connect()
    await socket.send_json_to({"type": "ask", "text": "go on"})
    await hear(socket, "piece")
    await socket.disconnect()
    assert await asyncio.to_thread(engine.gone.wait, 180)
    role, content, state = (await sync_to_async(rows)(conversation))[-1]
    assert (role, state) == ("assistant", "stopped")
    assert content
    await sessions_close()


@pytest.mark.asyncio
async def test_answering_again_and_editing_replace_the_last_turn(
    people, conversation, engine
) -> None:
    socket = await open_socket(people.developer, conversation)
    await socket.connect()
    await socket.send_json_to({"type": "ask", "text": "first"})
    await hear(socket, "end")
    await socket.send_json_to({"type": "again"})
    await hear(socket, "end")
    await socket.send_json_to({"type": "edit", "text": "better"})
    await hear(socket, "end")
    assert await sync_to_async(rows)(conversation) == [
        ("user", "better", "done"),
        ("assistant", "Hello, world.", "done"),
    ]
    said = [request["messages"] for request in engine.requests]
    assert said[0] == said[1] == [{"role": "user", "content": "first"}]
    assert said[2] == [{"role": "user", "content": "better"}]
    await socket.send_json_to({"type": "ask", "text": "second"})
    await hear(socket, "end")
    assert [m["role"] for m in engine.requests[-1]["messages"]] == ["user", "assistant", "user"]
    await socket.disconnect()
    await sessions_close()


@pytest.mark.asyncio
async def test_a_model_that_breaks_off_leaves_a_failed_answer(people, conversation, engine) -> None:
    engine.behaviour = "crash"
    socket = await open_socket(people.developer, conversation)
    await socket.connect()
    await socket.send_json_to({"type": "ask", "text": "hm"})
    end = (await hear(socket, "end"))[-1]
    assert end["answer"]["state"] == "failed"
    assert "Ask again" in end["answer"]["error"]
    await socket.disconnect()
    await sessions_close()


@pytest.mark.asyncio
async def test_nonsense_on_the_socket_is_ignored(people, conversation, engine) -> None:
    socket = await open_socket(people.developer, conversation)
    await socket.connect()
    for nonsense in ("{", "[]", '"x"', '{"type": "ask"}', '{"type": "ask", "text": 1}', "{}"):
        await socket.send_to(text_data=nonsense)
    await socket.send_json_to({"type": "stop"})
    assert await socket.receive_nothing(0.3)
    await socket.send_json_to({"type": "ask", "text": "  "})
    assert (await socket.receive_json_from())["code"] == "empty"
    await socket.send_json_to({"type": "ask", "text": " \0 "})
    assert (await socket.receive_json_from())["code"] == "empty"
    await socket.disconnect()


@pytest.mark.asyncio
async def test_an_unloaded_model_is_refused_with_the_way_out(people, conversation) -> None:
    await Deployment.objects.aupdate(state="stopped")
    socket = await open_socket(people.developer, conversation)
    await socket.connect()
    await socket.send_json_to({"type": "ask", "text": "hm"})
    refused = await socket.receive_json_from()
    assert (refused["type"], refused["code"], refused["deploy"]) == ("refused", "stopped", True)
    assert not await conversation.messages.aexists()
    await socket.disconnect()


@pytest.mark.asyncio
async def test_the_socket_is_the_owners_alone(people, conversation) -> None:
    for who in (None, people.stranger, people.owner, people.operator):
        socket = await open_socket(who, conversation)
        await socket.connect()
        closed = await socket.receive_output()
        assert (closed["type"], closed["code"]) == ("websocket.close", 4404)
    await Membership.objects.filter(user=people.developer, project=people.team).adelete()
    socket = await open_socket(people.developer, conversation)
    await socket.connect()
    assert (await socket.receive_output())["code"] == 4404


def test_one_answer_at_a_time_and_abandoned_ones_are_settled(people, conversation) -> None:
    services.turn_begin(conversation.pk, by=people.developer, text="a")
    with pytest.raises(Conflict) as refused:
        services.turn_begin(conversation.pk, by=people.developer, text="b")
    assert refused.value.code == "being_written"
    silent = timezone.now() - timedelta(seconds=60)
    Message.objects.filter(state="writing").update(saved_at=silent, content="half")
    services.turn_begin(conversation.pk, by=people.developer, text="b")
    assert rows(conversation)[1] == ("assistant", "half", "stopped")


def test_settings_reach_the_model(people, conversation) -> None:
    services.conversation_update(
        conversation.pk,
        by=people.developer,
        system_prompt="Be brief.",
        sampling={"temperature": 0, "seed": 7, "top_p": None},
    )
    turn = services.turn_begin(conversation.pk, by=people.developer, text="hi")
    assert turn.request.upstream_body("m") == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
        ],
        "temperature": 0,
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    "sampling",
    [{"temperature": 3}, {"max_tokens": 0}, {"seed": 1.5}, {"top_p": True}, {"min_p": 0.1}],
)
def test_settings_out_of_bounds(people, conversation, sampling) -> None:
    with pytest.raises(DomainError):
        services.conversation_update(conversation.pk, by=people.developer, sampling=sampling)


def test_a_deployment_out_of_reach_cannot_be_chosen(people, conversation) -> None:
    foreign = make_deployment(people.stranger.personal_project, people.stranger)
    with pytest.raises(DomainError):
        services.conversation_update(conversation.pk, by=people.developer, deployment=foreign)
    # A role that became too small ends the access of old conversations, too.
    Membership.objects.filter(user=people.developer, project=people.team).update(role=10)
    with pytest.raises(DomainError) as refused:
        services.turn_begin(conversation.pk, by=people.developer, text="hi")
    assert refused.value.code == "no_model"
    Deployment.objects.update(state="loading")
    Membership.objects.filter(user=people.developer, project=people.team).update(role=20)
    with pytest.raises(NotReady):
        services.turn_begin(conversation.pk, by=people.developer, text="hi")


def test_the_page_asks_without_scripts(people, conversation, engine, client) -> None:
    client.force_login(people.developer)
    page = reverse("inference:conversation_detail", args=[conversation.pk])
    answer = client.post(
        reverse("inference:conversation_ask", args=[conversation.pk]), {"text": "hello"}
    )
    assert answer.status_code == 302
    assert answer.url == page
    text = client.get(page).content.decode()
    assert "Hello, world." in text
    Deployment.objects.update(state="stopped")
    refused = client.post(
        reverse("inference:conversation_ask", args=[conversation.pk]), {"text": "more"}
    )
    assert refused.status_code == 422
    assert "Deploy again" in refused.content.decode()
    assert "more" in refused.content.decode()


def test_the_pages_of_a_conversation(people, conversation, client) -> None:
    enter(client, people.developer, people.team)
    assert client.get(reverse("inference:playground")).url.endswith(f"{conversation.pk}/")
    page = reverse("inference:conversation_detail", args=[conversation.pk])
    for part in ("", "?part=state", "?part=messages"):
        assert client.get(page + part, headers={"hx-request": "true"}).status_code == 200
    settings_url = reverse("inference:conversation_settings", args=[conversation.pk])
    saved = client.post(
        settings_url,
        {"system_prompt": "x", "temperature": "0.2", "max_tokens": ""},
        headers={"hx-request": "true"},
    )
    assert saved.status_code == 200
    conversation.refresh_from_db()
    assert conversation.sampling == {"temperature": 0.2}
    bad = client.post(settings_url, {"temperature": "9"}, headers={"hx-request": "true"})
    assert bad.status_code == 422
    client.post(
        reverse("inference:conversation_rename", args=[conversation.pk]), {"title": "Ωmega"}
    )
    found = client.get(reverse("inference:conversation_list") + "?q=mega").content.decode()
    assert "Ωmega" in found
    nothing = client.get(reverse("inference:conversation_list") + "?q=zzz").content.decode()
    assert "Ωmega" not in nothing
    client.post(reverse("inference:conversation_delete", args=[conversation.pk]))
    assert not Conversation.objects.exists()


def test_the_empty_playground_says_what_to_do(people, client) -> None:
    client.force_login(people.viewer)
    assert "Deploy a model version first" in client.get("/playground/").content.decode()
    client.force_login(people.developer)
    made = client.post(reverse("inference:conversation_create"))
    assert Conversation.objects.get().deployment is None
    again = client.post(reverse("inference:conversation_create"))
    assert made.url == again.url
    assert client.get(made.url).status_code == 200


def test_conversations_over_the_api(people, deployment, engine, client) -> None:
    client.force_login(people.developer)

    def call(method: str, path: str, body=None):
        answer = getattr(client, method)(
            f"/api/v1/conversations/{path}",
            json.dumps(body) if body is not None else None,
            content_type="application/json",
        )
        return answer.status_code, answer.json() if answer.content else None

    body = {
        "project": str(people.team.pk),
        "deployment": str(deployment.pk),
        "sampling": {"temperature": 0},
    }
    status, made = call("post", "", body)
    assert (status, made["deployment_state"]) == (201, "ready")
    own = f"{made['id']}/"
    status, answer = call("post", f"{own}messages/", {"text": "hi"})
    assert (status, answer["content"], answer["state"]) == (201, "Hello, world.", "done")
    assert call("post", f"{own}messages/", {"again": True})[0] == 201
    assert [row["role"] for row in client.get(f"/api/v1/conversations/{own}messages/").json()] == [
        "user",
        "assistant",
    ]
    assert call("post", f"{own}messages/", {})[0] == 422
    engine.behaviour = "crash"
    engine.sent = 0
    status, refused = call("post", f"{own}messages/", {"text": "hi"})
    assert (status, refused["code"]) == (502, "answer_failed")
    assert call("patch", own, {"title": "t", "sampling": {"seed": 3}})[1]["title"] == "t"
    assert call("patch", own, {"sampling": {"heat": 3}})[0] == 422
    client.force_login(people.owner)
    assert client.get(f"/api/v1/conversations/{own}").status_code == 404
    client.force_login(people.developer)
    assert call("delete", own)[0] == 204


def test_what_no_database_keeps_is_left_out(people, conversation, engine) -> None:
    engine.words = ["a\0b", "\0", "c"]
    turn = services.turn_begin(conversation.pk, by=people.developer, text="why\0 \ud800?")
    answer_now(turn)
    assert rows(conversation) == [("user", "why ??", "done"), ("assistant", "abc", "done")]


def test_a_long_answer_is_kept_while_it_is_written(people, conversation, engine, client) -> None:
    import threading

    engine.words, engine.pause = ["x "] * 30, 0.1
    engine.may_end.clear()
    client.force_login(people.developer)
    url = reverse("inference:conversation_ask", args=[conversation.pk])
    asking = threading.Thread(target=client.post, args=(url, {"text": "long"}))
    asking.start()
    until(lambda: Message.objects.filter(state="writing", content__startswith="x ").exists())
    engine.may_end.set()
    asking.join(180)
    assert Message.objects.get(role="assistant").state == "done"


def test_what_people_and_models_write_is_never_markup(people, conversation, client) -> None:
    evil = '"><script>alert(1)</script>{{ 7 }}'
    services.conversation_update(
        conversation.pk, by=people.developer, title=evil, system_prompt=evil
    )
    for role in Message.Role.values:
        conversation.messages.create(role=role, content=evil, error=evil, state="failed")
    client.force_login(people.developer)
    text = client.get(reverse("inference:conversation_detail", args=[conversation.pk]))
    assert "<script>alert" not in text.content.decode()
    assert "{{ 7 }}" in text.content.decode()
