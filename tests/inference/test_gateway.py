"""The gateway behind a real server, with the official client, over a real unix socket."""

import http.client
import json
import threading
from urllib.parse import urlsplit

import openai
import pytest
from django.utils import timezone

from accounts.services import api_key_create
from inference.models import Deployment
from nodes.models import Workload
from tests.inference.parts import (
    make_deployment,
    make_version,
    simulated_engine,
    until,
    web,
    workload_of,
)

pytestmark = pytest.mark.django_db(transaction=True)
ASK = [{"role": "user", "content": "hi"}]


@pytest.fixture
def deployment(people) -> Deployment:
    return make_deployment(people.team, people.developer)


@pytest.fixture
def engine(deployment):
    with simulated_engine(deployment) as engine:
        yield engine


@pytest.fixture
def address():
    with web() as address:
        yield address


def key_of(user, scope: str = "chat") -> str:
    return api_key_create(user, name="test", scope=scope)[1]


def client_of(address: str, key: str, retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=retries, timeout=180)


@pytest.fixture
def client(people, address):
    with client_of(address, key_of(people.developer)) as client:
        yield client


def test_a_whole_answer(client, engine, deployment) -> None:
    answer = client.chat.completions.create(
        model="helpdesk-v3", messages=ASK, temperature=0, extra_body={"odd": 1}
    )
    assert answer.choices[0].message.content == "Hello, world."
    assert answer.usage.total_tokens == 9
    assert engine.requests == [{"model": "helpdesk-v3", "messages": ASK, "temperature": 0.0}]
    by_id = client.chat.completions.create(model=str(deployment.pk), messages=ASK)
    assert by_id.model == "helpdesk-v3"


def test_a_stream_with_usage(client, engine) -> None:
    stream = client.chat.completions.create(
        model="helpdesk-v3", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    assert stream.response.headers["x-accel-buffering"] == "no"
    assert stream.response.headers["x-request-id"].startswith("req_")
    chunks = list(stream)
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "Hello, world."
    assert chunks[-1].usage.completion_tokens == 4
    assert engine.requests[0]["stream_options"] == {"include_usage": True}


def test_a_stream_comes_as_it_is_made(client, engine) -> None:
    engine.may_end.clear()
    stream = iter(client.chat.completions.create(model="helpdesk-v3", messages=ASK, stream=True))
    next(stream)
    engine.may_end.set()
    assert len(list(stream)) > 2


def test_a_client_that_leaves_stops_the_engine(client, engine) -> None:
    engine.may_end.clear()
    stream = client.chat.completions.create(model="helpdesk-v3", messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    assert engine.gone.wait(180)


def test_a_client_that_leaves_before_a_whole_answer_stops_the_engine(
    people, address, engine
) -> None:
    engine.behaviour = "slow"
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    body = json.dumps({"model": "helpdesk-v3", "messages": ASK})
    headers = {"Authorization": f"Bearer {key_of(people.developer)}"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    until(lambda: engine.requests)
    connection.close()
    assert engine.gone.wait(180)


def test_an_engine_that_dies_in_the_middle_is_told_in_the_stream(client, engine) -> None:
    engine.behaviour = "crash"
    stream = client.chat.completions.create(model="helpdesk-v3", messages=ASK, stream=True)
    said = []
    with pytest.raises(openai.APIError) as failed:
        said.extend(chunk.choices[0].delta.content for chunk in stream)
    assert failed.value.code == "answer_interrupted"


def test_an_engine_that_is_not_there(client, deployment) -> None:
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="helpdesk-v3", messages=ASK)
    assert failed.value.status_code == 503
    assert failed.value.response.headers["retry-after"] == "2"
    assert ".sock" not in failed.value.message


def test_refusals_of_the_engine_show_no_paths(client, engine) -> None:
    engine.behaviour = "refuse"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="helpdesk-v3", messages=ASK)
    assert (refused.value.param, refused.value.code) == ("max_tokens", "too_many")
    assert "secret" not in refused.value.message
    engine.behaviour = "fail"
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="helpdesk-v3", messages=ASK)
    assert "secret" not in str(failed.value.body)


def test_who_may_ask(people, address, engine) -> None:
    def ask(key: str):
        return client_of(address, key).chat.completions.create(model="helpdesk-v3", messages=ASK)

    assert ask(key_of(people.member)).choices
    assert ask(key_of(people.operator, "all")).choices
    with pytest.raises(openai.AuthenticationError) as refused:
        ask("lct_wrong")
    assert refused.value.type == "authentication_error"
    with pytest.raises(openai.PermissionDeniedError):
        ask(key_of(people.developer, "read"))
    for nobody in (people.stranger, people.viewer):
        with pytest.raises(openai.NotFoundError) as hidden:
            ask(key_of(nobody))
        assert hidden.value.code == "model_not_found"
    assert len(engine.requests) == 2


def test_the_list_of_models(people, address, client, deployment) -> None:
    make_deployment(
        people.team, people.owner, state="stopped", name="old-v1", version=deployment.version
    )
    assert [row.id for row in client.models.list()] == ["helpdesk-v3"]
    assert client.models.retrieve("old-v1").x_state == "stopped"
    assert client.models.retrieve(str(deployment.pk)).id == "helpdesk-v3"
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("some/one:else")
    assert missing.value.code == "model_not_found"
    assert not list(client_of(address, key_of(people.stranger)).models.list())
    assert [row.id for row in client_of(address, key_of(people.owner, "read")).models.list()]


@pytest.mark.parametrize(
    ("state", "status", "code", "retry"),
    [
        ("waiting", 503, "model_waiting", "true"),
        ("loading", 503, "model_loading", "true"),
        ("stopping", 409, "model_not_deployed", "false"),
        ("stopped", 409, "model_not_deployed", "false"),
        ("failed", 409, "model_not_deployed", "false"),
    ],
)
def test_a_deployment_that_is_not_ready(client, deployment, state, status, code, retry) -> None:
    Deployment.objects.update(state=state)
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="helpdesk-v3", messages=ASK)
    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert refused.value.response.headers["x-should-retry"] == retry


def test_the_client_waits_by_itself_while_a_model_loads(
    people, address, engine, deployment, monkeypatch
) -> None:
    monkeypatch.setattr("inference.gateway.LOADING_RETRY_SECONDS", 1)
    Deployment.objects.update(state="loading")
    timer = threading.Timer(0.4, lambda: Deployment.objects.update(state="ready"))
    timer.start()
    client = client_of(address, key_of(people.developer), retries=2)
    assert client.chat.completions.create(model="helpdesk-v3", messages=ASK).choices
    timer.join()


def test_every_refusal_has_the_shape(people, address) -> None:
    parts = urlsplit(address)
    key = key_of(people.developer)

    def ask(method: str, path: str, body: bytes | None = None, headers=None):
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
        headers = {"Authorization": f"Bearer {key}"} if headers is None else headers
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        error = json.loads(answer.read())["error"]
        assert answer.getheader("x-request-id").startswith("req_")
        assert set(error) == {"message", "type", "param", "code"}
        return answer.status, error["code"]

    assert ask("POST", "/v1/chat/completions", b"{", None) == (400, "invalid_json")
    assert ask("POST", "/v1/chat/completions", b"{}", {}) == (401, "missing_api_key")
    assert ask("GET", "/v1/chat/completions") == (405, "method_not_allowed")
    assert ask("POST", "/v1/completions", b"{}") == (404, "unknown_url")
    odd = b'{"model": "a\\u0000b", "messages": [{"role": "user", "content": "x"}]}'
    assert ask("POST", "/v1/chat/completions", odd) == (404, "model_not_found")
    large = b'{"x": "' + b"x" * (2 * 2**20) + b'"}'
    assert ask("POST", "/v1/chat/completions", large) == (413, "request_too_large")


def test_the_own_deployment_wins_among_equal_names(people, client, deployment) -> None:
    mine = people.developer.personal_project
    other = make_deployment(mine, people.developer, version=make_version(mine))
    Deployment.objects.filter(pk=deployment.pk).update(created_by=people.owner)
    assert client.models.retrieve("helpdesk-v3").x_deployment == str(other.pk)


def test_a_stream_keeps_the_deployment_in_use(client, engine, deployment, monkeypatch) -> None:
    monkeypatch.setattr("inference.activity.TOUCH_SECONDS", 0.2)
    Deployment.objects.update(last_used_at=timezone.now() - timezone.timedelta(hours=1))
    engine.words, engine.pause = ["x"] * 10_000, 0.1
    stream = client.chat.completions.create(model="helpdesk-v3", messages=ASK, stream=True)
    seen = set()
    while len(seen) < 3:
        next(iter(stream))
        deployment.refresh_from_db()
        seen.add(deployment.last_used_at)
    stream.close()


def test_a_request_does_not_begin_on_what_was_just_unloaded(client, engine, deployment) -> None:
    # Between the look-up and the first byte the sweep may win; the same row decides.
    from inference.services import deployment_touch

    assert deployment_touch(deployment.pk)
    Deployment.objects.update(state="stopping")
    assert not deployment_touch(deployment.pk)
    with pytest.raises(openai.ConflictError):
        client.chat.completions.create(model="helpdesk-v3", messages=ASK)
    assert not engine.requests
    assert workload_of(deployment).state == Workload.State.RUNNING
