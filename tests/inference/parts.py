"""A deployment in service without an engine, and the stand-in that answers for it.

`SimulatedEngine` is a small OpenAI-shaped server on the workload's real unix socket. It is used
for what a real engine does not do on demand: breaking off, failing, answering slowly. Tests marked
`engine` use the real one.
"""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from django.utils import timezone

from config.asgi import application
from inference.models import Deployment, Replica
from inference.upstream import sessions_close
from nodes.models import Node, Workload
from nodes.services import serve_key
from registry.models import Model, ModelVersion

State = Deployment.State


def make_version(project, *, name="helpdesk", number=3, kind="full", **fields) -> ModelVersion:
    """A version of the project's model, or a base model where the project is None."""
    model, _made = Model.objects.get_or_create(project=project, name=name)
    fields = {"source": "job", "template": "chatml", "path": f"models/{name}", **fields}
    return ModelVersion.objects.create(model=model, number=number, kind=kind, **fields)


def make_node() -> Node:
    """A node that takes work."""
    node, _made = Node.objects.get_or_create(
        name="local", defaults={"cpu_count": 2, "memory_bytes": 8 * 2**30}
    )
    return node


def make_deployment(
    project, user, *, state=State.READY, version=None, name="helpdesk-v3", workload_state="running"
) -> Deployment:
    """A deployment with its replica, as if an engine ran."""
    now = timezone.now()
    version = version or make_version(project)
    deployment = Deployment.objects.create(
        project=project,
        created_by=user,
        version=version,
        name=name,
        state=state,
        ready_at=now if state == State.READY else None,
        last_used_at=now if state == State.READY else None,
        ended_at=now if state in Deployment.FINAL else None,
    )
    workload = Workload.objects.create(
        project=project,
        created_by=user,
        name=name,
        engine="llamafactory",
        verb="serve",
        is_service=True,
        state=workload_state,
        node=make_node(),
        started_at=now,
    )
    Replica.objects.create(deployment=deployment, workload=workload)
    return deployment


def workload_of(deployment: Deployment) -> Workload:
    """The process that serves it."""
    replica = deployment.replica
    assert replica is not None
    return replica.workload


class SimulatedEngine:
    """Says `words`, one a chunk; the last one only when it `may_end`.

    `behaviour` is ok, slow, crash (mid-stream), refuse or fail.
    """

    def __init__(self, deployment: Deployment) -> None:
        workload = workload_of(deployment)
        self.path = str(workload.socket_path)
        self.key = serve_key(workload)
        self.words = ["Hello", ",", " world", "."]
        self.behaviour = "ok"
        self.pause = 0.0
        self.requests: list[dict[str, Any]] = []
        self.sent = 0
        self.may_end = threading.Event()
        self.may_end.set()
        self.gone = threading.Event()  # the client left before the end

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        raw, more = b"", True
        while more:
            message = await receive()
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        headers = dict(scope["headers"])
        assert headers[b"authorization"].decode() == f"Bearer {self.key}"
        body = json.loads(raw)
        self.requests.append(body)
        if self.behaviour == "refuse":
            error = {"message": "bad /etc/secret/path", "param": "max_tokens", "code": "too_many"}
            await self._json(send, 400, {"error": error})
        elif self.behaviour == "fail":
            await self._json(send, 500, {"detail": "Traceback /root/secret"})
        elif self.behaviour == "slow":
            await self._watch(receive)
        elif body.get("stream"):
            await self._stream(body, receive, send)
        else:
            await self._json(send, 200, self._whole(body))

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(self.words)}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
        }

    async def _json(self, send: Any, status: int, body: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    async def _watch(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()

    async def _stream(self, body: dict[str, Any], receive: Any, send: Any) -> None:
        watcher = asyncio.create_task(self._watch(receive))
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}

        async def event(data: Any, more: bool = True) -> None:
            text = data if isinstance(data, str) else json.dumps(data)
            raw = f"data: {text}\n\n".encode()
            await send({"type": "http.response.body", "body": raw, "more_body": more})

        for place, word in enumerate(self.words, start=1):
            ends = place == len(self.words)
            while ends and not (self.may_end.is_set() or self.gone.is_set()):
                await asyncio.sleep(0.01)
            if self.gone.is_set():
                return
            delta = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            await event({**head, "choices": [delta]})
            self.sent += 1
            await asyncio.sleep(self.pause)
            if self.behaviour == "crash" and self.sent == 2:
                half = {"type": "http.response.body", "body": b'data: {"id": "c', "more_body": True}
                await send(half)
                watcher.cancel()
                raise ConnectionError("the engine dies here, in the middle of an event")
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        await event({**head, "choices": [end]})
        usage = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
        await event({**head, "choices": [], "usage": usage})
        watcher.cancel()
        await event("[DONE]", more=False)


class Server(uvicorn.Server):
    """Closes the gateway's connections in its loop before that ends."""

    async def shutdown(self, sockets: Any = None) -> None:
        await super().shutdown(sockets)
        await sessions_close()


@contextlib.contextmanager
def serving(application: Any, *, sock: socket.socket) -> Iterator[None]:
    """A real uvicorn server in a thread."""
    config = uvicorn.Config(application, log_level="critical", lifespan="off", ws="none")
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join(180)
        sock.close()


@contextlib.contextmanager
def simulated_engine(deployment: Deployment) -> Iterator[SimulatedEngine]:
    """The stand-in, listening on the deployment's own socket."""
    engine = SimulatedEngine(deployment)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(engine.path)
    with serving(engine, sock=listening):
        yield engine


@contextlib.contextmanager
def web() -> Iterator[str]:
    """The platform's pages and API behind a real server; gives its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    with serving(application, sock=listening):
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def until(true: Callable[[], Any], seconds: float = 180) -> Any:
    """Waits for something to become true and gives it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")
