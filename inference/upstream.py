"""The engine's side of the gateway: requests to a replica over its unix socket.

On another machine the agent of the replica's node passes them on; both prove who they are. One HTTP
session per event loop and replica is kept, so that connections are reused. Errors come out as
`ApiError` without addresses, keys or paths.
"""

import asyncio
import logging
import re
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

import aiohttp
import orjson
from django.conf import settings
from yarl import URL

from common.phrases import gettext as _
from inference.openai import ApiError, ChatRequest
from inference.services import Target
from nodes.services import Route, reach

SESSIONS_MAX = 64  # of one process; the least used one is closed
READ_SECONDS = 600  # between two bytes; a request may wait for others at the engine
REFUSAL_MAX_BYTES = 64 * 1024
MESSAGE_MAX = 500
EAGER_DELIVERIES = 4  # at the beginning of an answer everything is passed on at once
GATHER_SECONDS = 0.02  # later, words that follow each other faster than this go out together
UNAVAILABLE = (aiohttp.ClientError, TimeoutError, OSError)
_PATHS = re.compile(r"(?:/[\w.@~+-]+){2,}")
_ERROR_EVENT = b'data: {"error"'
logger = logging.getLogger(__name__)

Sessions = OrderedDict[str, aiohttp.ClientSession]
_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, Sessions] = WeakKeyDictionary()
_private: ContextVar[Sessions | None] = ContextVar("private_sessions", default=None)
_closing: set[asyncio.Task[None]] = set()


def _session(route: Route) -> aiohttp.ClientSession:
    """The session of this loop for a replica."""
    place = route.socket or route.url
    sessions = _private.get()
    if sessions is None:
        sessions = _sessions.setdefault(asyncio.get_running_loop(), OrderedDict())
    session = sessions.get(place)
    if session is None or session.closed:
        session = sessions[place] = aiohttp.ClientSession(
            connector=_connector(route),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=READ_SECONDS),
            auto_decompress=False,
        )
    sessions.move_to_end(place)
    while len(sessions) > SESSIONS_MAX:
        _path, old = sessions.popitem(last=False)
        task = asyncio.create_task(old.close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)
    return session


def _connector(route: Route) -> aiohttp.BaseConnector:
    if route.socket:
        return aiohttp.UnixConnector(route.socket, limit=0, keepalive_timeout=60)
    trusted = ssl.create_default_context(cafile=settings.AGENT_CA or None)
    # Shorter than the agent's own patience, or a request would go into a closing connection.
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ssl=trusted)


@asynccontextmanager
async def private_sessions() -> AsyncIterator[None]:
    """Sessions that are closed at the end, for code whose event loop may not live on."""
    sessions: Sessions = OrderedDict()
    before = _private.set(sessions)
    try:
        yield
    finally:
        _private.reset(before)
        await _close(sessions)


async def sessions_close() -> None:
    """Closes what the running loop has opened, before it ends."""
    await _close(_sessions.pop(asyncio.get_running_loop(), OrderedDict()))


async def _close(sessions: Sessions) -> None:
    for session in sessions.values():
        await session.close()


def unavailable() -> ApiError:
    """The replica cannot be reached; it may be about to be found dead and started again."""
    return ApiError(
        _("The model does not answer at the moment. Try again in a few seconds."),
        status=503,
        kind="server_error",
        code="model_unavailable",
        retry_after=2,
    )


def broken() -> ApiError:
    """The replica failed in the middle of an answer."""
    return ApiError(
        _("The model stopped in the middle of its answer. Ask again."),
        status=500,
        kind="server_error",
        code="answer_interrupted",
    )


class Answer:
    """An opened answer of a replica. Closing it before its end stops the generation at once.

    Use `async with`, or call `close`; both may be done twice.
    """

    def __init__(self, target: Target, request: ChatRequest) -> None:
        self._target = target
        self._request = request
        self._response: aiohttp.ClientResponse | None = None

    async def open(self) -> Self:
        """Sends the request; ApiError when the replica refuses it or is not there."""
        try:
            self._response = await self._send()
            if self._response.status == HTTPStatus.BAD_GATEWAY:
                raise aiohttp.ClientConnectionError("the node's agent cannot reach it")
            if self._response.status != HTTPStatus.OK:
                raw = await self._response.content.read(REFUSAL_MAX_BYTES)
                raise _refusal(self._response.status, raw)
        except UNAVAILABLE as error:
            self.close()
            logger.warning("deployment %s: %r", self._target.deployment_id, error)
            raise unavailable() from None
        except BaseException:
            self.close()
            raise
        return self

    async def _send(self) -> aiohttp.ClientResponse:
        route, path = self._target.route, "/v1/chat/completions"
        if not route.socket and not route.url:
            raise aiohttp.ClientConnectionError("its node tells no address of its agent")
        data = orjson.dumps(self._request.upstream_body(self._target.name))
        headers = {
            "Authorization": f"Bearer {self._target.key}",
            "Content-Type": "application/json",
        }
        if route.socket:
            address = URL(f"http://replica{path}")
            return await _session(route).post(address, data=data, headers=headers)
        address, nonce = URL(f"{route.url}{path}"), reach.nonce()
        proof = reach.proof(route.key, nonce, "POST", address.raw_path, data)
        headers |= {reach.NONCE_HEADER: nonce, reach.PROOF_HEADER: proof}
        answer = await _session(route).post(address, data=data, headers=headers)
        given = answer.headers.get(reach.ANSWER_HEADER, "")
        if not reach.same(given, reach.answer_proof(route.key, nonce)):
            answer.close()
            raise aiohttp.ClientConnectionError("who answers is not the node's agent")
        return answer

    async def whole(self) -> bytes:
        """The answer of a request that does not stream, as JSON text."""
        try:
            return await self._opened().read()
        except UNAVAILABLE as error:
            logger.warning("deployment %s: %r", self._target.deployment_id, error)
            raise broken() from None
        finally:
            self.close()

    def events(self) -> "EventStream":
        """The answer of a streaming request."""
        return EventStream(self._opened(), self._target)

    def close(self) -> None:
        """Ends it; an unfinished answer loses its connection, which the engine notices."""
        if self._response is not None:
            if self._response.content.at_eof():
                self._response.release()
            else:
                self._response.close()

    def _opened(self) -> aiohttp.ClientResponse:
        if self._response is None:
            raise RuntimeError("the answer was not opened")
        return self._response

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class EventStream:
    """Whole server-sent events as they come, several at once when they came at once.

    Nothing but whole events is passed on, so that an error can follow at any point. A model that
    writes faster than people see is read and passed on in fewer, larger pieces: each piece costs
    the web process, and all its other users, some 0.3 ms.
    """

    def __init__(self, response: aiohttp.ClientResponse, target: Target) -> None:
        self._response = response
        self._content = response.content
        self._target = target
        self._rest = b""
        self._deliveries = 0
        self._delivered_at = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """One or more events; ApiError when the replica breaks off."""
        while True:
            try:
                await self._gather()
                arrived = await self._content.readany()
            except UNAVAILABLE as error:
                logger.warning("deployment %s: %r", self._target.deployment_id, error)
                raise broken() from None
            if not arrived:
                if self._rest.strip():
                    raise broken()
                raise StopAsyncIteration
            chunk = self._rest + arrived
            end = chunk.rfind(b"\n\n") + 2
            if end < 2:
                self._rest = chunk
                continue
            self._rest = chunk[end:]
            if _ERROR_EVENT in chunk:
                raise broken()
            self._deliveries += 1
            self._delivered_at = asyncio.get_running_loop().time()
            return chunk[:end]

    async def _gather(self) -> None:
        """Leaves the words with the system until the last delivery is `GATHER_SECONDS` old."""
        if self._deliveries < EAGER_DELIVERIES or self._response.connection is None:
            return
        rest = self._delivered_at + GATHER_SECONDS - asyncio.get_running_loop().time()
        transport = self._response.connection.transport
        if rest <= 0 or transport is None:
            return
        with suppress(RuntimeError):  # it was closed
            transport.pause_reading()
        try:
            await asyncio.sleep(rest)
        finally:
            with suppress(RuntimeError):
                transport.resume_reading()


def _refusal(status: int, raw: bytes) -> ApiError:
    """What the engine refused, as far as it is the client's business."""
    if not 400 <= status < 500 or status in {401, 403, 408, 409, 429}:
        return ApiError(
            _("The model failed while answering. The deployment's log says more."),
            status=500,
            kind="server_error",
            code="engine_failed",
        )
    try:
        error: Any = orjson.loads(raw)["error"]
        message = _PATHS.sub("…", str(error["message"]))[:MESSAGE_MAX]
        param, code = error.get("param"), error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, param, code = _("The model refused the request."), None, None
    return ApiError(
        message,
        status=400,
        param=str(param) if param else None,
        code=str(code) if code else None,
    )
