"""Doors to models that answer in the way of OpenAI's chat completions."""

import asyncio
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult

from common.errors import DomainError
from common.outbound import BadTarget, Target, target_read, target_resolve
from common.phrases import gettext as _
from datasets.generation.parameters import not_taken, put_without

CONNECT_SECONDS = 10
REFUSAL_BYTES = 64 * 1024
REFUSAL_SHOWN = 300
RETRY_AFTER_MOST = 300.0
_BUSY = frozenset({408, 409, 425, 429})
_REFUSES = frozenset({400, 413, 415, 422, 451})
_MALFORMED = frozenset({400, 422})


class Busy(Exception):
    """No answer this time; the same question may be put again, after so many seconds if told."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.after = after


class Reworded(Busy):
    """The server does not take parameters of the question, which is put without them from now on.

    `names` are those that nobody was told about before. The question may be put again at once.
    """

    def __init__(self, message: str, names: Collection[str]) -> None:
        super().__init__(message, 0.0)
        self.names = names


class Refused(Exception):
    """This question will not be answered; others may be."""

    reason = "refused"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class Terms:
    """How a model may be asked, and what it costs per million tokens.

    All who are given the same folder as `pace` count together; without one each counts alone.
    """

    parallel: int = 4
    per_minute: int = 60
    price_in: Decimal = Decimal(0)
    price_out: Decimal = Decimal(0)
    currency: str = ""
    pace: Path | None = None


class Door(Protocol):
    """The way to one model. `label` names it for people."""

    label: str
    terms: Terms

    def ask(
        self, question: dict[str, Any], key: str
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Puts a streaming question; the bytes of the answer's events.

        The same `key` names the same question, however often it is put. Raises `Busy`, `Refused`,
        or DomainError where no question will be answered any more.
        """

    async def close(self) -> None:
        """Nothing more is asked."""


@dataclass(frozen=True)
class Server:
    """A model behind an address."""

    base_url: str
    model: str
    label: str
    terms: Terms
    key: str = field(default="", repr=False)
    timeout: int = 120  # seconds that one answer may take
    allows_private: bool = False


def target_trouble(bad: BadTarget) -> str:
    """Why a model cannot be asked at an address."""
    if bad.code == "private":
        return _(
            "%(address)s lies in a private network. Only operators allow that for a provider."
        ) % {"address": bad.what}
    if bad.code == "unknown":
        return _("The name %(host)s is not known here, or there is no way out to the network.") % {
            "host": bad.what
        }
    if bad.code == "credentials":
        return _("Leave name and password out of the address; the key has a field of its own.")
    return _("An address begins with https:// or http:// and names a host.")


class HttpDoor:
    """The way to a model behind an address. The address is checked at each connection.

    Parameters that the server refuses are left out, or called otherwise, as long as the door lives.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._not_taken: frozenset[str] = frozenset()
        self._session: aiohttp.ClientSession | None = None
        self.label = server.label
        self.terms = server.terms

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            server = self._server
            # A bare IP address never comes to the resolver; of a name this tells early.
            self._checked(target_read(server.base_url))
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_Resolver(allows_private=server.allows_private),
                    use_dns_cache=False,
                    limit=0,
                ),
                timeout=aiohttp.ClientTimeout(total=server.timeout, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _checked(self, target: Target) -> None:
        try:
            target_resolve(target, allows_private=self._server.allows_private)
        except BadTarget as bad:
            if bad.code == "unknown":
                raise Busy(target_trouble(bad)) from None
            raise DomainError(target_trouble(bad), code=f"target_{bad.code}") from None

    @asynccontextmanager
    async def ask(self, question: dict[str, Any], key: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `Door`."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "llm-cloud-trainer",
            "Idempotency-Key": key,
        }
        if self._server.key:
            headers["Authorization"] = f"Bearer {self._server.key}"
        url = f"{self._server.base_url.rstrip('/')}/chat/completions"
        put = put_without(question, self._not_taken)
        body = orjson.dumps({"model": self._server.model, **put})
        try:
            async with self._opened().post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    await self._refuse(response, put)
                yield response.content.iter_any()
        except TimeoutError:
            raise Busy(
                _("no answer within %(seconds)s seconds") % {"seconds": self._server.timeout}
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            bad = getattr(error, "os_error", error).__cause__
            if isinstance(bad, BadTarget) and bad.code == "private":
                raise DomainError(target_trouble(bad), code="target_private") from None
            raise Busy(
                _("the connection failed (%(error)s)") % {"error": type(error).__name__}
            ) from None

    async def _refuse(self, response: aiohttp.ClientResponse, put: dict[str, Any]) -> None:
        status, values = response.status, {"label": self.label, "status": response.status}
        if status in _BUSY or status >= 500:
            raise Busy(_("HTTP %(status)s") % values, _after(response.headers.get("Retry-After")))
        if status in {401, 403}:
            raise DomainError(
                _(
                    "%(label)s refuses the key (HTTP %(status)s). Write a valid one into the"
                    " provider, then go on."
                )
                % values,
                code="key_refused",
            )
        if status == 402:
            raise DomainError(
                _("%(label)s wants to be paid first (HTTP 402). Top up the account, then go on.")
                % values,
                code="unpaid",
            )
        said = self._said(await response.content.read(REFUSAL_BYTES))
        if status in _REFUSES:
            why = _("HTTP %(status)s: %(said)s") % {"status": status, "said": said[:REFUSAL_SHOWN]}
            if status in _MALFORMED and (names := not_taken(said, put)):
                untold, self._not_taken = names - self._not_taken, self._not_taken | names
                raise Reworded(why, sorted(untold))
            raise Refused(why)
        raise DomainError(
            _(
                "%(label)s cannot be asked there (HTTP %(status)s). Check the address and the"
                " model's name in the provider, then go on."
            )
            % values,
            code="not_there",
        )

    def _said(self, raw: bytes) -> str:
        """The server's own words, without the key."""
        try:
            text = str(orjson.loads(raw)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            text = raw.decode("utf-8", "replace")
        if self._server.key:
            text = text.replace(self._server.key, "…")
        return " ".join(text.split())

    async def close(self) -> None:
        """See `Door`."""
        if self._session is not None:
            await self._session.close()


def _after(header: str | None) -> float | None:
    """Seconds that a server asks to be left alone; dates are not read."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MOST) if seconds == seconds else None


class _Resolver(AbstractResolver):
    """Names as addresses that are allowed: the connection goes to exactly those."""

    def __init__(self, *, allows_private: bool) -> None:
        self._allows_private = allows_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of the name; OSError when one of them is not allowed."""
        try:
            target = await asyncio.to_thread(
                target_resolve,
                Target("https", host, port, "/"),
                allows_private=self._allows_private,
            )
        except BadTarget as bad:
            raise OSError(str(bad)) from bad
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in target.addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""
