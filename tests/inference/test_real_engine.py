"""The real engine behind the gateway of a really started platform, with the official client."""

import os
import signal

import openai
import psutil
import pytest

from tests.e2e.running import Platform
from tests.inference.parts import until

pytestmark = pytest.mark.engine
ASK = [{"role": "user", "content": "怎么重置密码？"}]


@pytest.fixture(scope="module")
def key(platform: Platform) -> str:
    return platform.keys.get("chatter") or platform.register("chatter")


@pytest.fixture(scope="module")
def deployment(platform: Platform, key: str) -> dict:
    base = platform.call("GET", "/api/v1/model-versions/?kind=base&source=demo", key=key)
    row = platform.call("POST", "/api/v1/deployments/", {"version": base["results"][0]["id"]}, key)
    return platform.until(f"/api/v1/deployments/{row['id']}/", key, {"ready"})


@pytest.fixture
def client(platform: Platform, key: str):
    with openai.OpenAI(
        base_url=f"{platform.url}/v1", api_key=key, max_retries=0, timeout=60
    ) as client:
        yield client


def test_plain_streaming_and_refused_requests(client, deployment) -> None:
    name = deployment["name"]
    assert [row.id for row in client.models.list()] == [name]
    assert client.models.retrieve(name).id == name
    plain = client.chat.completions.create(model=name, messages=ASK, max_tokens=8, seed=3)
    assert plain.usage.completion_tokens <= 8
    assert plain.choices[0].finish_reason in {"stop", "length"}
    chunks = list(
        client.chat.completions.create(
            model=name,
            messages=ASK,
            max_tokens=8,
            seed=3,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=name, messages=ASK, max_tokens=100_000)
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=name, messages=ASK, temperature=9)
    assert refused.value.param == "temperature"


def test_a_conversation_over_the_api(platform, key, deployment) -> None:
    body = {"deployment": deployment["id"], "sampling": {"temperature": 0, "max_tokens": 12}}
    talk = platform.call("POST", "/api/v1/conversations/", body, key)
    path = f"/api/v1/conversations/{talk['id']}/messages/"
    answer = platform.call("POST", path, {"text": "hello"}, key)
    assert (answer["state"], answer["model_name"]) == ("done", deployment["name"])
    assert answer["usage"]["tokens"] >= 1
    assert [row["role"] for row in platform.call("GET", path, key=key)] == ["user", "assistant"]


def test_a_killed_engine_is_started_again_once(platform, key, client, deployment) -> None:
    path = f"/api/v1/deployments/{deployment['id']}/"
    before = platform.call("GET", path, key=key)["ready_at"]
    served = _serving(platform)
    for process in served:
        os.kill(process.pid, signal.SIGKILL)

    def again() -> bool:
        row = platform.call("GET", path, key=key)
        assert row["state"] not in {"failed", "stopped"}, row
        return row["state"] == "ready" and row["ready_at"] != before

    until(again)
    assert client.chat.completions.create(
        model=deployment["name"], messages=ASK, max_tokens=2
    ).choices


def _serving(platform: Platform) -> list:
    """The engine's processes: their environment is closed, so the socket's name tells whose."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "serve" in (process.info["cmdline"] or []) and "trainer_runtime" in " ".join(
            process.info["cmdline"]
        ):
            socket = process.environ().get("TRAINER_SOCKET", "")
            if socket.startswith(str(platform.home)):
                found.append(process)
    return found


def test_a_stopped_model_says_deploy_again(platform, key, client, deployment) -> None:
    path = f"/api/v1/deployments/{deployment['id']}/"
    others = len(_serving(platform)) - 1  # other tests may have models in service
    platform.call("POST", f"{path}stop/", key=key)
    platform.until(path, key, {"stopped"})
    with pytest.raises(openai.ConflictError) as refused:
        client.chat.completions.create(model=deployment["name"], messages=ASK)
    assert refused.value.code == "model_not_deployed"
    assert "Deploy it again" in refused.value.message
    assert len(_serving(platform)) == others
