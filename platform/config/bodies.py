"""How much a request may bring: what comes is kept in a file before anybody looks who sent it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import Resolver404, resolve
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from common.api import refusal
from common.disks import DiskFull, disk_full_told
from common.errors import DomainError
from common.languages import accepted, spoken
from common.texts import whole

Application = Callable[[Any, Any, Any], Awaitable[None]]
# Forms and JSON have half of it at most, and so have a node's messages: their views say more.
ORDINARY_BYTES = 2 * settings.DATA_UPLOAD_MAX_MEMORY_SIZE
# What arrives of a piece that is cut off is lost, so that no file should come as one.
PIECE_BYTES = 64 * 2**20
PIECES = "api-upload-detail"
FILES = frozenset(  # addresses that take files
    {
        "api-dataset-list",
        "api-dataset-version-list",
        PIECES,
        "datasets:dataset_create",
        "datasets:version_list",
        "admin:datasets_dataset_add",
    }
)
LINGER_SECONDS = 2  # in which a client may read why it is cut off
_TOO_MUCH = _("The request has more than %(limit)s MB. Send less at once.")
_TOO_MUCH_UNKNOWN = _(
    "Without a log-in or an API key a request may have %(limit)s MB. Log in, or send your key."
)
_PIECE_TOO_LARGE = _(
    "A piece of an upload may have %(limit)s MB: what arrives of a piece that is cut off is lost."
    " Set your client's chunk size to %(limit)s MB or less."
)


class _TooMuch(Exception):
    pass


def bounded(application: Application) -> Application:
    """The application behind a limit: 413 for a body that says or shows that it is larger, and 507
    for one that finds no room on the disk.
    """

    async def within(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        said = headers.get(b"content-length", b"").decode("latin-1")
        limit = cache(partial(_limit, scope))
        came = 0

        def check(size: int) -> None:
            if size > ORDINARY_BYTES and size > limit()[0]:
                raise _TooMuch

        async def counted() -> Any:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            check(came)
            return message

        try:
            check(whole(said, 18) or 0)
            with disk_full_told():
                await application(scope, counted, send)
        except (_TooMuch, DiskFull) as error:
            wish = headers.get(b"accept-language", b"").decode("latin-1")
            with override(spoken(accepted(wish))):
                refused = DiskFull() if isinstance(error, DiskFull) else _too_large(*limit())
                answer = _answer(refused, path=scope["path"], by_htmx=b"hx-request" in headers)
            await _refuse(answer, receive=receive, send=send)

    return within


def _limit(scope: Any) -> tuple[int, Any]:
    """The most bytes that the address takes, and what is said of more."""
    name = ""
    with suppress(Resolver404):
        name = resolve(scope["path"]).view_name
    if name not in FILES:
        return ORDINARY_BYTES, _TOO_MUCH
    if not _is_known(scope["headers"]):
        return ORDINARY_BYTES, _TOO_MUCH_UNKNOWN
    if name == PIECES:
        return PIECE_BYTES, _PIECE_TOO_LARGE
    return ORDINARY_BYTES + int(settings.UPLOAD_MAX_BYTES), _TOO_MUCH


def _is_known(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether somebody says who sends it. The view finds out whether that is true."""
    cookie = f"{settings.SESSION_COOKIE_NAME}=".encode()
    return any(
        name == b"authorization" or (name == b"cookie" and cookie in value)
        for name, value in headers
    )


def _too_large(limit: int, why: Any) -> DomainError:
    return DomainError(str(why) % {"limit": limit >> 20}, code="too_large")


def _answer(refused: DomainError, *, path: str, by_htmx: bool) -> HttpResponse:
    """JSON for the API, the words alone for a page that shows them itself, else a page."""
    status, title = (507, _("No room")) if isinstance(refused, DiskFull) else (413, _("Too much"))
    if path.startswith("/api/"):
        return JsonResponse(refusal(refused), status=status)
    if by_htmx:
        return HttpResponse(
            refused.message, status=status, content_type="text/plain; charset=utf-8"
        )
    facts = {"status": status, "title": title, "text": refused.message}
    return HttpResponse(render_to_string("refused.html", facts), status=status)


async def _refuse(answer: HttpResponse, *, receive: Any, send: Any) -> None:
    """Says why, and ends the connection: nobody may go on sending."""
    fields = [
        (b"content-type", answer["Content-Type"].encode()),
        (b"content-length", str(len(answer.content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": fields})
    await send({"type": "http.response.body", "body": answer.content, "more_body": True})
    # Closed at once, a client that still sends would lose the answer. What it sends is not kept.
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b""})
