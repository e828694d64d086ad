"""The gateway's own way into Django, beside the one of the pages."""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response

from inference.openai import REQUEST_MAX_BYTES

Application = Callable[[Any, Any, Any], Awaitable[None]]
PREFIX = "/v1/"


class GatewayHandler(ASGIHandler):
    """Django without the middleware of pages, and without a thread for each request.

    The gateway has keys instead of sessions, no forms, no files and no translations, and its
    database work has threads of its own. What pages need would cost it several milliseconds.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """None of it."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        respond = self._get_response_async  # type: ignore[attr-defined]
        self._middleware_chain = convert_exception_to_response(respond)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request, and stops at once when the client is gone."""
        try:
            body = await _read(receive)
        except RequestAborted:
            return
        request, response = self.create_request(scope, body)
        answering = asyncio.create_task(self._answer(request, response, send))
        watching = asyncio.create_task(_gone(receive))
        await asyncio.wait([answering, watching], return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, watching):
            task.cancel()
        outcome, _end = await asyncio.gather(answering, watching, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _answer(self, request: Any, response: Any, send: Any) -> None:
        if request is not None:
            response = await self.get_response_async(request)
        try:
            await self.send_response(response, send)
        finally:
            response.close()


async def _read(receive: Any) -> BytesIO:
    """The body, up to a byte more than is allowed: the view refuses that. Never on disk."""
    body = BytesIO()
    while body.tell() <= REQUEST_MAX_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestAborted
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            break
    body.seek(0)
    return body


async def _gone(receive: Any) -> None:
    """Returns when the client is gone; what is left of too large a body is passed over."""
    while (await receive())["type"] != "http.disconnect":
        pass


def with_gateway(pages: Application) -> Application:
    """An application that answers below /v1/ itself and leaves the rest to the pages."""
    gateway: Any = GatewayHandler()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        chosen = gateway if scope["path"].startswith(PREFIX) else pages
        await chosen(scope, receive, send)

    return application
