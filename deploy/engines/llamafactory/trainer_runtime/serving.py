"""The verb ``serve``: a model behind an OpenAI-shaped HTTP interface on a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .batching import Batcher, OnEnd, can_batch
from .chat import ChatRequest, Defaults, RequestError, read_request
from .generation import Answer, Sampling, generate
from .models import Loaded, context_length, engine_arguments, load
from .workload import ConfigError, StopRequested, Workload

SOCKET_NAME = "serve.sock"
SOCKET_PATH_LIMIT = 107
SECONDS_TO_FINISH = 15


@dataclass(frozen=True)
class _End:
    """The last thing that a generation sends."""

    answer: Answer | None
    tokens: int
    error: Exception | None = None


class Single:
    """Runs each generation in a thread: for models whose past cannot be shared in a batch."""

    def __init__(self, loaded: Loaded, size: int) -> None:
        self.loaded = loaded
        self.pool = ThreadPoolExecutor(size, thread_name_prefix="generate")

    def submit(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        on_text: Callable[[str], None],
        on_end: OnEnd,
        cancelled: threading.Event,
    ) -> None:
        """Queue a request; both callbacks come from the thread that runs it."""

        def work() -> None:
            if cancelled.is_set():
                on_end(None, 0, None)
                return
            try:
                answer, tokens = generate(self.loaded, prompt, sampling, on_text, cancelled)
            except Exception as error:  # noqa: BLE001 - a request may fail, the server not
                on_end(None, 0, error)
            else:
                on_end(answer, tokens, None)

        self.pool.submit(work)


class Worker:
    """Brings requests to the model and its words back; counts what was done."""

    def __init__(self, loaded: Loaded, size: int) -> None:
        self.loaded = loaded
        self.size = size
        self.batches = can_batch(loaded)
        self.runner = Batcher(loaded, size) if self.batches else Single(loaded, size)
        self.served = 0
        self.active = 0
        self.tokens = 0

    async def run(self, request: ChatRequest, cancelled: threading.Event) -> AsyncIterator[Any]:
        """Yield pieces of text and at the end an ``_End``."""
        loop = asyncio.get_running_loop()
        news: asyncio.Queue[Any] = asyncio.Queue()

        def tell(item: Any) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(news.put_nowait, item)

        def end(answer: Answer | None, tokens: int, error: Exception | None) -> None:
            tell(_End(answer, tokens, error))

        self.active += 1
        self.runner.submit(request.prompt, request.sampling, tell, end, cancelled)
        try:
            while True:
                item = await news.get()
                yield item
                if isinstance(item, _End):
                    self.served += 1
                    self.tokens += item.tokens
                    return
        finally:
            cancelled.set()
            self.active -= 1


async def _watch_client(receive: Receive, cancelled: threading.Event) -> None:
    """Wait until the client is gone."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            cancelled.set()
            return


def _server_error(error: Exception) -> dict[str, Any]:
    print(f"trainer: a request failed: {error!r}", file=sys.stderr, flush=True)
    text = "The model server failed while answering."
    return {"error": {"message": text, "type": "server_error", "param": None, "code": None}}


class Completion(Response):
    """Answers one chat completion request, whole or in a stream, and watches the client."""

    def __init__(self, worker: Worker, request: ChatRequest, model: str) -> None:
        super().__init__()
        self.worker = worker
        self.request = request
        self.head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time())}
        self.model = model
        self.cancelled = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watcher = asyncio.create_task(_watch_client(receive, self.cancelled))
        pieces = self.worker.run(self.request, self.cancelled)
        try:
            if self.request.stream:
                await self._send_stream(send, pieces)
            else:
                await self._send_whole(scope, receive, send, pieces)
        finally:
            self.cancelled.set()
            watcher.cancel()
            await pieces.aclose()

    def _usage(self, made: int) -> dict[str, int]:
        prompt = len(self.request.prompt)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": made,
            "total_tokens": prompt + made,
        }

    async def _send_whole(
        self, scope: Scope, receive: Receive, send: Send, pieces: AsyncIterator[Any]
    ) -> None:
        end: Any = None
        async for item in pieces:
            end = item
        if end.error is not None:
            await JSONResponse(_server_error(end.error), 500)(scope, receive, send)
            return
        answer = end.answer or Answer()
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": answer.finish,
        }
        body = {
            "id": self.head["id"],
            "object": "chat.completion",
            "created": self.head["created"],
            "model": self.model,
            "choices": [choice],
            "usage": self._usage(end.tokens),
        }
        await JSONResponse(body)(scope, receive, send)

    def _chunk(self, delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {
            "id": self.head["id"],
            "object": "chat.completion.chunk",
            "created": self.head["created"],
            "model": self.model,
            "choices": [choice],
        }
        return chunk | {"usage": None} if self.request.include_usage else chunk

    async def _send_stream(self, send: Send, pieces: AsyncIterator[Any]) -> None:
        async def event(body: dict[str, Any] | str, more: bool = True) -> None:
            text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
            data = f"data: {text}\n\n".encode()
            await send({"type": "http.response.body", "body": data, "more_body": more})

        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await event(self._chunk({"role": "assistant", "content": ""}))
        async for item in pieces:
            if self.cancelled.is_set():
                return
            if isinstance(item, str):
                await event(self._chunk({"content": item}))
                continue
            if item.error is not None:
                await event(_server_error(item.error))
                break
            await event(self._chunk({}, item.answer.finish if item.answer else "stop"))
            if self.request.include_usage:
                usage = {**self._chunk({}), "choices": [], "usage": self._usage(item.tokens)}
                await event(usage)
        await event("[DONE]", more=False)


def make_app(worker: Worker, defaults: Defaults, key: str | None) -> Starlette:
    """Return the web application."""
    created = int(time.time())
    model = {
        "id": defaults.model_name,
        "object": "model",
        "created": created,
        "owned_by": "llm-cloud-trainer",
        "max_model_len": defaults.max_model_len,
    }

    def check_key(request: Request) -> None:
        if key is None:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
            text = "The key is missing or wrong."
            raise RequestError(
                text, code="invalid_api_key", status=401, kind="authentication_error"
            )

    async def health(request: Request) -> Response:
        counts = {
            "active": min(worker.active, worker.size),
            "waiting": max(worker.active - worker.size, 0),
            "served": worker.served,
            "tokens": worker.tokens,
        }
        return JSONResponse({"status": "ok", "model": defaults.model_name, **counts})

    async def list_models(request: Request) -> Response:
        check_key(request)
        return JSONResponse({"object": "list", "data": [model]})

    async def one_model(request: Request) -> Response:
        check_key(request)
        name = request.path_params["name"]
        if name != defaults.model_name:
            text = f"The model '{name}' does not exist here."
            raise RequestError(text, param="model", code="model_not_found", status=404)
        return JSONResponse(model)

    async def complete(request: Request) -> Response:
        check_key(request)
        try:
            body = json.loads(await request.body())
        except ValueError as broken:
            raise RequestError(
                f"The body is no valid JSON: {broken}", code="invalid_json"
            ) from None
        chat = await asyncio.to_thread(read_request, body, worker.loaded, defaults)
        return Completion(worker, chat, defaults.model_name)

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return JSONResponse(error.body, error.status)

    async def unknown(request: Request, error: Exception) -> Response:
        status = int(getattr(error, "status_code", 404))
        text = f"Unknown request: {request.method} {request.url.path}"
        return JSONResponse(RequestError(text, code="unknown_url").body, status)

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse(_server_error(error), 500)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/models", list_models),
            Route("/v1/models/{name:path}", one_model),
            Route("/v1/chat/completions", complete, methods=["POST"]),
        ],
        exception_handlers={
            RequestError: refuse,
            ClientDisconnect: gone,
            404: unknown,
            405: unknown,
            Exception: failed,
        },
    )


def _sockets() -> tuple[list[socket.socket], Path]:
    """Open the unix socket, and a local TCP port where one was asked for."""
    path = Path(os.environ.get("TRAINER_SOCKET") or SOCKET_NAME)
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise ConfigError(f"The socket path {path} is longer than {SOCKET_PATH_LIMIT} bytes.")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o600)
    sockets = [listening]
    port = os.environ.get("TRAINER_SERVE_PORT")
    if port:
        # asyncio switches off the delay of small packets only where the protocol is named.
        local = socket.socket(proto=socket.IPPROTO_TCP)
        local.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        local.bind(("127.0.0.1", int(port)))
        sockets.append(local)
    return sockets, path


class Server(uvicorn.Server):
    """Tells when it accepts requests and leaves the signals to us."""

    workload: Workload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.workload.phase("ready")

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            self.workload.stop_requested = True
            self.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        yield


def _defaults(config: dict[str, Any], loaded: Loaded) -> Defaults:
    """Return what holds where a request is silent."""
    given = config.get("sampling") or {}
    return Defaults(
        model_name=str(config.get("model_name") or "model"),
        max_model_len=context_length(loaded, config.get("max_model_len")),
        temperature=float(given.get("temperature", 1.0)),
        top_p=float(given.get("top_p", 1.0)),
        max_tokens=given.get("max_tokens"),
    )


def serve(workload: Workload, config: dict[str, Any]) -> dict[str, Any]:
    """Serve until a stop is asked for; this verb never ends by itself."""
    workload.phase("loading")
    loaded = load(engine_arguments(config))
    defaults = _defaults(config, loaded)
    warm_up = Sampling(max_tokens=2, temperature=0)
    generate(loaded, loaded.tokenizer.encode("1"), warm_up, lambda text: None, threading.Event())
    worker = Worker(loaded, max(int(config.get("max_concurrent") or 8), 1))
    app = make_app(worker, defaults, os.environ.get("TRAINER_SERVE_KEY") or None)
    workload.stop_only_at_safe_points()
    sockets, path = _sockets()
    server = Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
            timeout_keep_alive=75,
        )
    )
    server.workload = workload
    server.run(sockets=sockets)
    path.unlink(missing_ok=True)
    facts = {"requests": worker.served, "tokens": worker.tokens}
    if not server.started:
        raise RuntimeError("The server could not start; the lines above say why.")
    raise StopRequested(facts)
