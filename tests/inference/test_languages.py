"""Refusals of the gateway, of sockets and of deployments, in the language of whoever reads them."""

import json
from collections import Counter
from http.client import HTTPConnection
from urllib.parse import urlsplit

import openai
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client
from django.utils.translation import override
from rest_framework.test import APIClient

from accounts.services import api_key_create
from config.routing import sockets
from inference import gateway, services
from inference.models import Conversation, Deployment, Message
from inference.openai import model_not_found
from inference.services.lifecycle import deployment_sync
from inference.upstream import broken
from nodes.models import Workload
from tests.inference.parts import make_deployment, simulated_engine, web
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)
ENGLISH, CHINESE = "en", "zh-hans"
GONE = {
    ENGLISH: "The model “gone” does not exist or you do not have access to it.",
    CHINESE: "模型“gone”不存在，或你无权使用。",
}
GOOD = {"model": "helpdesk-v3", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def deployment(people) -> Deployment:
    return make_deployment(people.team, people.developer)


@pytest.fixture
def looked_up(monkeypatch) -> Counter:
    """How often a key was looked up."""
    found = Counter[str]()
    real = gateway.user_for_key

    def counting(key: str):
        found["keys"] += 1
        return real(key)

    monkeypatch.setattr(gateway, "user_for_key", counting)
    return found


@pytest.fixture
def ask(people, deployment):
    """Asks the gateway; gives the message of the refusal."""
    key = api_key_create(people.developer, name="test", scope="chat")[1]
    with web() as address:
        parts = urlsplit(address)

        def send(
            body: object, language: str | None = None, *, key: str = key, method: str = "POST"
        ) -> str:
            connection = HTTPConnection(parts.hostname, parts.port)
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            headers |= {"Accept-Language": language} if language else {}
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, "/v1/chat/completions", raw, headers)
            answer = json.loads(connection.getresponse().read())
            return answer["error"]["message"] if "error" in answer else ""

        send.address, send.key = address, key
        yield send


def speaks(user, language: str) -> None:
    user.language = language
    user.save()


def test_the_header_comes_first_then_the_owner_then_the_default(people, ask) -> None:
    gone = GOOD | {"model": "gone"}
    assert ask(gone) == GONE[ENGLISH]
    assert ask(gone, "zh-CN,zh;q=0.9,en;q=0.5") == GONE[CHINESE]
    speaks(people.developer, CHINESE)
    assert ask(gone) == GONE[CHINESE]
    assert ask(gone, "*") == GONE[CHINESE]
    assert ask(gone, "fr-FR") == GONE[CHINESE]
    assert ask(gone, "fr-FR, en;q=0.1") == GONE[ENGLISH]
    assert ask(gone, "nonsense;q=x") == GONE[CHINESE]


def test_what_is_refused_before_the_key_is_looked_up(people, ask) -> None:
    speaks(people.developer, CHINESE)
    assert ask(b"{").startswith("请求体不是有效的 JSON：")
    assert ask(GOOD | {"temperature": 3}) == "“temperature”必须在 0 到 2 之间。"
    assert ask({}, ENGLISH) == "“model” is missing: name one of GET /v1/models."
    assert ask(b"", method="GET").startswith("不允许：GET ")
    assert ask(GOOD, key="").startswith("You did not provide an API key.")
    assert ask(GOOD, CHINESE, key="").startswith("未提供 API 密钥。")
    assert ask(GOOD, key="lct_wrong").startswith("Incorrect API key")
    assert ask(GOOD, CHINESE, key="lct_wrong").startswith("API 密钥不正确")


def test_no_key_is_looked_up_twice(people, deployment, ask, looked_up) -> None:
    speaks(people.developer, CHINESE)
    with simulated_engine(deployment):
        assert ask(GOOD) == ""
    assert looked_up["keys"] == 1
    assert ask(GOOD | {"model": "gone"}) == GONE[CHINESE]
    assert looked_up["keys"] == 2
    assert ask(b"{", CHINESE)
    assert looked_up["keys"] == 2
    assert ask(b"{")
    assert looked_up["keys"] == 3


def test_the_reason_of_a_deployment_inside_a_refusal(people, deployment, ask) -> None:
    with override(ENGLISH):
        reason = services.lifecycle.failure_reason(Workload(outcome="lost"))
        Deployment.objects.update(state="failed", reason=reason)
    assert (
        ask(GOOD) == "“helpdesk-v3” failed: The node that served it fell silent. Deploy it again."
    )
    assert ask(GOOD, CHINESE) == "“helpdesk-v3”失败：提供服务的节点失去了响应。 请重新部署。"


def test_a_stream_that_breaks_off(people, deployment, ask) -> None:
    speaks(people.developer, CHINESE)
    with simulated_engine(deployment) as engine:
        engine.behaviour = "crash"
        with openai.OpenAI(base_url=f"{ask.address}/v1", api_key=ask.key, max_retries=0) as client:
            stream = client.chat.completions.create(**GOOD, stream=True)
            with pytest.raises(openai.APIError) as failed:
                list(stream)
    assert failed.value.message == "模型在回答途中停止了，请重新提问。"


def test_a_failure_of_the_platform(people, ask, monkeypatch) -> None:
    def breaks(*given: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(gateway, "read_chat_request", breaks)
    assert ask(GOOD).startswith("The platform failed. Tell an operator this number: req_")
    assert ask(GOOD, CHINESE).startswith("平台出错。请把这个编号告诉管理员：req_")


def test_a_refusal_is_said_in_the_language_of_its_telling() -> None:
    with override(ENGLISH):
        refusal = model_not_found("gone")
    with override(CHINESE):
        assert refusal.body["error"]["message"] == GONE[CHINESE]


@pytest.mark.parametrize("language", [ENGLISH, CHINESE])
def test_why_a_deployment_ended(client, people, deployment, language) -> None:
    Workload.objects.update(state="ended", outcome="oom")
    Deployment.objects.update(state="loading")
    with override(ENGLISH):
        deployment_sync(deployment.pk)
    wanted = {
        ENGLISH: "The model needs more memory than it can have there. Choose a smaller one.",
        CHINESE: "模型需要的内存超过它在节点上可用的内存。请选择更小的模型。",
    }[language]
    client.force_login(people.developer)
    headers = {"accept-language": language}
    page = client.get(f"/deployments/{deployment.pk}/", headers=headers).content.decode()
    assert wanted in page
    api = APIClient()
    api.force_authenticate(people.developer)
    row = api.get(f"/api/v1/deployments/{deployment.pk}/", headers=headers).json()
    assert row["reason"] == wanted


@pytest.fixture
def conversation(people, deployment) -> Conversation:
    return services.conversation_create(
        project=people.team, created_by=people.developer, deployment=deployment
    )


def session_of(user) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("cookie", "header", "preference", "starts"),
    [
        ("", "", "", "“helpdesk-v3” is loading"),
        (CHINESE, "en", "en", "“helpdesk-v3”正在加载"),
        ("", "zh-CN", "en", "“helpdesk-v3”正在加载"),
        ("", "", CHINESE, "“helpdesk-v3”正在加载"),
        ("xx", "yy", CHINESE, "“helpdesk-v3”正在加载"),
    ],
)
async def test_a_socket_speaks_like_the_page(
    people, conversation, cookie, header, preference, starts
) -> None:
    await Deployment.objects.aupdate(state="loading")
    await sync_to_async(speaks)(people.developer, preference)
    cookies = await sync_to_async(session_of)(people.developer)
    cookies += f"; {settings.LANGUAGE_COOKIE_NAME}={cookie}" if cookie else ""
    headers = [(b"cookie", cookies.encode()), (b"accept-language", header.encode())]
    socket = Socket(sockets, f"/ws/chat/{conversation.pk}/", headers)
    assert (await socket.connect())[0]
    await socket.send_json_to({"type": "ask", "text": "hi"})
    refused = await socket.receive_json_from()
    assert refused["message"].startswith(starts)
    await socket.disconnect()


def test_why_an_answer_failed_is_read_in_every_language(people, conversation) -> None:
    with override(ENGLISH):
        turn = services.turn_begin(conversation.pk, by=people.developer, text="hi")
        services.answer_finish(
            turn.answer.pk, text="", state="failed", usage={}, error=broken().message
        )
    with override(CHINESE):
        assert Message.objects.get(pk=turn.answer.pk).error == "模型在回答途中停止了，请重新提问。"
