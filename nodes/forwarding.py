"""The agent's door for the gateway: passes requests on to the unix sockets of its node's services.

Containers publish no ports; whoever cannot prove to be the control plane gets nothing but a 401.
"""

import asyncio
import logging
import socket
import ssl
import uuid
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from django.conf import settings

from nodes.services.keys import forward_key
from nodes.services.reach import (
    ANSWER_HEADER,
    NONCE_HEADER,
    PROOF_HEADER,
    answer_proof,
    proof,
    same,
)

logger = logging.getLogger(__name__)
REQUEST_MAX_BYTES = 64 * 2**20
READ_SECONDS = 600
NONCES = 10_000
RETRY_SECONDS = 5.0
# Of one hop only, or about a body whose length we do not know.
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"}
OURS = {name.lower() for name in (NONCE_HEADER, PROOF_HEADER, ANSWER_HEADER)}
FAILED = (aiohttp.ClientError, TimeoutError, OSError)
Sockets = Callable[[uuid.UUID], Path | None]


class Door:
    """One node's. `sockets` says where a service of this node listens, None for all others."""

    def __init__(self, node: str, sockets: Sockets) -> None:
        self._key = forward_key(node)
        self._sockets = sockets
        self._seen: OrderedDict[str, None] = OrderedDict()

    def application(self) -> web.Application:
        """The HTTP application."""
        made = web.Application(client_max_size=REQUEST_MAX_BYTES)
        made.router.add_route("*", "/replicas/{workload}/{path:.*}", self.forward)
        return made

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """One request and its answer, passed on as it comes."""
        nonce = request.headers.get(NONCE_HEADER, "")
        body = await request.read()
        if not self._is_control(request, nonce, body):
            return web.Response(status=HTTPStatus.UNAUTHORIZED)
        path = self._socket_of(request.match_info["workload"])
        if path is not None:
            try:
                return await self._pass_on(request, nonce, body, path)
            except FAILED as error:
                logger.warning("service %s: %r", request.match_info["workload"], error)
        headers = {ANSWER_HEADER: answer_proof(self._key, nonce)}
        return web.Response(status=HTTPStatus.BAD_GATEWAY, headers=headers)

    def _is_control(self, request: web.Request, nonce: str, body: bytes) -> bool:
        given = request.headers.get(PROOF_HEADER, "")
        wanted = proof(self._key, nonce, request.method, request.raw_path, body)
        if len(nonce) != 32 or not same(given, wanted) or nonce in self._seen:
            return False
        self._seen[nonce] = None
        while len(self._seen) > NONCES:
            self._seen.popitem(last=False)
        return True

    def _socket_of(self, text: str) -> Path | None:
        try:
            return self._sockets(uuid.UUID(text))
        except ValueError:
            return None

    async def _pass_on(
        self, request: web.Request, nonce: str, body: bytes, path: Path
    ) -> web.StreamResponse:
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in HOP | OURS
        }
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(path)),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=READ_SECONDS),
                auto_decompress=False,
            ) as session,
            session.request(
                request.method,
                f"http://service/{request.match_info['path']}",
                params=request.query,
                data=body,
                headers=headers,
            ) as answer,
        ):
            response = web.StreamResponse(
                status=answer.status,
                headers={
                    **{
                        name: value
                        for name, value in answer.headers.items()
                        if name.lower() not in HOP
                    },
                    ANSWER_HEADER: answer_proof(self._key, nonce),
                },
            )
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            except FAILED:
                # Broken off there or here: the other side must not take it for a whole answer.
                if request.transport is not None:
                    request.transport.abort()
            return response


def listens_at() -> tuple[str, int] | None:
    """Host and port of TRAINER_AGENT_LISTEN; None when it names none."""
    if not settings.AGENT_LISTEN:
        return None
    host, _colon, port = settings.AGENT_LISTEN.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  the operator's own choice


def own_url() -> str:
    """The address at which the control plane reaches this agent; empty for none."""
    place = listens_at()
    if settings.AGENT_URL or place is None:
        return str(settings.AGENT_URL)
    scheme = "https" if settings.AGENT_CERTIFICATE else "http"
    host = place[0] if place[0] not in {"0.0.0.0", "::"} else socket.getfqdn()  # noqa: S104
    return urlsplit(f"{scheme}://{host}:{place[1]}").geturl()


async def listen(node: str, sockets: Sockets) -> None:
    """Opens the door until it is cancelled; tries again while its port is taken."""
    place = listens_at()
    if place is None:
        return
    context = None
    if settings.AGENT_CERTIFICATE:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.AGENT_CERTIFICATE, settings.AGENT_CERTIFICATE_KEY or None)
    # Without cancelling, an engine would go on writing for a client that is gone.
    runner = web.AppRunner(
        Door(node, sockets).application(), access_log=None, handler_cancellation=True
    )
    await runner.setup()
    try:
        while True:
            try:
                await web.TCPSite(runner, *place, ssl_context=context).start()
            except OSError as error:
                logger.warning("node %s: cannot listen at %s: %s", node, place, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
