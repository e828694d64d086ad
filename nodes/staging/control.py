"""A node's end of the wire to the control plane: requests that carry the node's key."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
from yarl import URL

from nodes.staging.trees import BadTree, Entry, entries_read

CONNECT_SECONDS = 5
ANSWER_SECONDS = 60  # until the next byte of an answer
LONG_SECONDS = 900  # for answers that need a whole file to be read first
TRANSIENT = frozenset({408, 425, 429, 502, 503, 504, HTTPStatus.INSUFFICIENT_STORAGE})
KEPT_SECONDS = 3.0  # an idle connection; the web process closes it after five
FAILED = (aiohttp.ClientError, TimeoutError, OSError)
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)


class Away(Exception):
    """The control plane does not answer now, or cannot take it now: worth another try later."""


class Refused(Exception):
    """The control plane said no; another try would bring the same. `code` names the rule."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Growth:
    """A piece of a file that grows. `file` is log or metrics."""

    workload: UUID
    epoch: int
    file: str
    offset: int
    data: bytes
    seal: bool = False

    def head(self) -> dict[str, Any]:
        """What stands before the bytes."""
        return {
            "workload": str(self.workload),
            "epoch": self.epoch,
            "file": self.file,
            "offset": self.offset,
            "size": len(self.data),
            "seal": self.seal,
        }


def home_of_control(url: str, key: str) -> str:
    """The mark of the control plane's directory. Raises `Away` or `Refused`."""
    request = urllib.request.Request(  # noqa: S310  the operator's own address
        f"{url}/api/v1/agent/", headers={"Authorization": f"Bearer {key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer:  # noqa: S310
            return str(json.load(answer)["home"])
    except urllib.error.HTTPError as error:
        raise _refusal(error.code, error.read()) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Away(str(error)) from error


def _refusal(status: int, text: bytes) -> Away | Refused:
    try:
        facts = json.loads(text)
        code, detail = str(facts.get("code", "")), str(facts.get("detail", ""))
    except (ValueError, AttributeError):
        code, detail = "", text.decode("utf-8", "replace")[:300]
    if status in TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Away(f"{status} {detail}")
    return Refused(status, code, detail)


class Control:
    """The control plane, for one event loop."""

    def __init__(self, url: str, key: str) -> None:
        self._url = f"{url}/api/v1/agent/"
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self._session: aiohttp.ClientSession | None = None
        self._bare: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(keepalive_timeout=KEPT_SECONDS)
            self._session = aiohttp.ClientSession(
                headers=self._headers, timeout=_TIMEOUT, connector=connector
            )
        return self._session

    async def close(self) -> None:
        """Closes the connections."""
        for session in (self._session, self._bare):
            if session is not None:
                await session.close()

    async def _ask(
        self, method: str, path: str, *, seconds: float = ANSWER_SECONDS, **kwargs: Any
    ) -> Any:
        """The JSON of the answer; None without one. Raises `Away` or `Refused`."""
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=seconds)
        try:
            async with self._opened().request(
                method, self._url + path, timeout=timeout, **kwargs
            ) as answer:
                text = await answer.read()
        except FAILED as error:
            raise Away(str(error) or type(error).__name__) from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(answer.status, text)
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise Away("the answer is not JSON") from error

    async def grow(self, pieces: Sequence[Growth]) -> list[dict[str, Any]]:
        """Sends pieces of growing files; for each what became of it, in the same order."""
        head = json.dumps({"parts": [piece.head() for piece in pieces]}).encode()
        body = b"".join((head, b"\n", *(piece.data for piece in pieces)))
        answer = await self._ask(
            "POST", "growth/", data=body, headers={"Content-Type": "application/octet-stream"}
        )
        parts = answer.get("parts") if isinstance(answer, dict) else None
        if not isinstance(parts, list) or len(parts) != len(pieces):
            raise Away("the answer does not fit the question")
        return parts

    async def input(
        self, workload: UUID, epoch: int, name: str
    ) -> tuple[list[Entry], dict[str, str]]:
        """The files of an input, and for some of their paths an address outside."""
        path = f"workloads/{workload}/{epoch}/inputs/{quote(name, safe='')}/"
        answer = await self._ask("GET", path, seconds=LONG_SECONDS)
        try:
            return entries_read(answer["files"]), dict(answer.get("links") or {})
        except (BadTree, KeyError, TypeError) as error:
            raise Away(f"the list of files cannot be read: {error}") from error

    @asynccontextmanager
    async def input_bytes(
        self, workload: UUID, epoch: int, name: str, path: str, offset: int
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of a file of an input from `offset` on."""
        url = f"{self._url}workloads/{workload}/{epoch}/inputs/{quote(name, safe='')}/file/"
        async with _bytes(self._opened(), URL(url) % {"path": path}, offset) as stream:
            yield stream

    @asynccontextmanager
    async def linked_bytes(self, link: str, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """The same by a link into the store, which must not see our key."""
        if self._bare is None or self._bare.closed:
            self._bare = aiohttp.ClientSession(timeout=_TIMEOUT)
        async with _bytes(self._bare, URL(link, encoded=True), offset) as stream:
            yield stream

    async def outputs_offer(
        self, workload: UUID, epoch: int, entries: Sequence[Entry]
    ) -> dict[str, int]:
        """SHA-256 → the byte from which on its contents are wanted."""
        body = {"files": [entry.as_json() for entry in entries]}
        answer = await self._ask(
            "POST", f"workloads/{workload}/{epoch}/outputs/", json=body, seconds=LONG_SECONDS
        )
        return {str(key): int(value) for key, value in answer["wanted"].items()}

    async def output_send(
        self, workload: UUID, epoch: int, entry: Entry, offset: int, data: bytes
    ) -> int:
        """Sends a piece of contents; the next offset wanted."""
        answer = await self._ask(
            "PUT",
            f"workloads/{workload}/{epoch}/outputs/{entry.sha256}/",
            params={"size": str(entry.size), "offset": str(offset)},
            data=data,
            headers={"Content-Type": "application/octet-stream"},
            seconds=LONG_SECONDS,
        )
        return int(answer["next"])

    async def outputs_keep(
        self,
        workload: UUID,
        epoch: int,
        below: str,
        entries: Sequence[Entry],
        folders: Sequence[str],
    ) -> None:
        """Says that all contents are there; they become the workload's files.

        `folders` are those that the output has here: others are gone.
        """
        body = {
            "files": [entry.as_json() for entry in entries],
            "below": below,
            "folders": list(folders),
        }
        await self._ask(
            "PUT", f"workloads/{workload}/{epoch}/outputs/", json=body, seconds=LONG_SECONDS
        )


@asynccontextmanager
async def _bytes(
    session: aiohttp.ClientSession, url: URL, offset: int
) -> AsyncIterator[AsyncIterator[bytes]]:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    try:
        async with session.get(url, headers=headers) as answer:
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise _refusal(answer.status, await answer.read())
            if (answer.status == HTTPStatus.PARTIAL_CONTENT) != bool(offset):
                raise Away(f"{answer.status} instead of the bytes asked for")
            yield answer.content.iter_chunked(2**20)
    except FAILED as error:
        raise Away(str(error) or type(error).__name__) from error


async def patiently_asleep(tries: int) -> None:
    """Waits between tries: a second at first, at most fifteen."""
    await asyncio.sleep(min(2.0**tries, 15.0))
