"""Reading from servers: redirects, pieces, and one clear sentence for what goes wrong."""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from common.errors import DomainError
from common.outbound import (
    BadTarget,
    Target,
    connection,
    target_by_proxy,
    target_read,
    target_resolve,
)
from common.phrases import gettext as _
from common.texts import whole

SECONDS = 30  # that a server may be silent
PIECE = 256 * 1024
TEXT_MAX = 32 * 2**20  # bytes of a listing
_REDIRECTS = 5
_MOVED = {301, 302, 303, 307, 308}
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Broken(DomainError):
    """The connection failed or the server is busy; trying again may help."""

    code = "unreachable"


class Answered(Exception):
    """The server says no: its status and the headers of its answer."""

    def __init__(self, status: int, headers: http.client.HTTPMessage) -> None:
        super().__init__(str(status))
        self.status = status
        self.headers = headers


class Stream:
    """The body of an answer, in pieces, from byte `start` of the file on.

    `total` is the size of the whole file where the server tells it.
    """

    def __init__(
        self, line: http.client.HTTPConnection, answer: http.client.HTTPResponse, start: int
    ) -> None:
        self._line = line
        self._answer = answer
        self.start = start if answer.status == 206 else 0
        length = whole(answer.headers.get("Content-Length", ""), 18)
        self.total = None if length is None else self.start + length

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self._answer.read(PIECE):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise _broken(self._line.host, error) from error
        finally:
            self._line.close()

    def into(self, sink: BinaryIO) -> Iterator[None]:
        """See `listing.Stream`."""
        for piece in self:
            sink.write(piece)
            yield

    def text(self) -> bytes:
        """All of a short answer. DomainError when it is none."""
        found = bytearray()
        for piece in self:
            found += piece
            if len(found) > TEXT_MAX:
                raise DomainError(
                    _("The list of files is longer than %(limit)s MB. Name what you need.")
                    % {"limit": TEXT_MAX >> 20},
                    code="too_many_files",
                )
        if self.total is not None and len(found) < self.total:
            raise _broken(self._line.host, OSError("the answer was cut"))
        return bytes(found)

    def json(self) -> Any:
        """The answer as JSON. DomainError when it is none."""
        try:
            return json.loads(self.text())
        except (ValueError, RecursionError) as error:
            raise DomainError(
                _("%(host)s does not answer as it should. Is its address right?")
                % {"host": self._line.host},
                code="not_understood",
            ) from error


def opened(
    url: str,
    *,
    trusted: bool,
    headers: Mapping[str, str] | None = None,
    secret: Mapping[str, str] | None = None,
    start: int = 0,
) -> Stream:
    """The answer of a server to GET, from byte `start` on where the server can do that.

    `trusted` addresses are the operator's own choice: they may lie in a private network, be reached
    by a proxy, and send us elsewhere. `secret` headers go to the first server alone. Raises
    `Answered` for a refusal, `Broken` when there is no answer, DomainError for a forbidden address.
    """
    first: tuple[str, str, int] | None = None
    for _turn in range(_REDIRECTS + 1):
        target = _target(url, trusted=trusted)
        first = first or target.origin
        fields = {"User-Agent": "llm-cloud-trainer", "Accept-Encoding": "identity"}
        fields |= dict(headers or {})
        if target.origin == first:
            fields |= dict(secret or {})
        if start:
            fields["Range"] = f"bytes={start}-"
        line, answer = _ask(target, fields)
        if answer.status in _MOVED and trusted and (place := answer.headers.get("Location")):
            line.close()
            moved = urljoin(url, place)
            if urlsplit(url).scheme == "https" and urlsplit(moved).scheme != "https":
                raise _forbidden(BadTarget("address"), moved)
            url = moved
            continue
        if 200 <= answer.status < 300:
            return Stream(line, answer, start)
        line.close()
        if answer.status in _AGAIN:
            raise Broken(
                _("%(host)s is busy or in trouble (status %(status)s). Try again later.")
                % {"host": target.host, "status": answer.status},
                code="busy",
            )
        raise Answered(answer.status, answer.headers)
    raise Broken(_("%(host)s sends us in circles.") % {"host": urlsplit(url).hostname})


def _target(url: str, *, trusted: bool) -> Target:
    try:
        target = target_read(url)
        target = target_by_proxy(target) if trusted else target
        return target if target.proxy else target_resolve(target, allows_private=trusted)
    except BadTarget as bad:
        raise _forbidden(bad, url) from None


def _forbidden(bad: BadTarget, url: str) -> DomainError:
    host = urlsplit(url).hostname or url
    if bad.code == "unknown":
        return Broken(
            _(
                "The name %(host)s is not known here: the network is closed, or the address is"
                " wrong. Ask an operator, or upload the files instead."
            )
            % {"host": host},
            code="unknown_host",
        )
    if bad.code == "private":
        return DomainError(
            _(
                "%(host)s lies in a private network. Ask an operator to allow it"
                " (TRAINER_IMPORT_HOSTS)."
            )
            % {"host": host},
            field="endpoint",
            code="private",
        )
    return DomainError(
        _("An address begins with https:// or http:// and names a host, nothing else."),
        field="endpoint",
        code="address",
    )


def _ask(
    target: Target, fields: Mapping[str, str]
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    trouble: Exception = OSError("no address")
    for address in target.addresses:
        line = connection(target, address, seconds=SECONDS)
        try:
            line.request("GET", target.path, headers=dict(fields))
            return line, line.getresponse()
        except (OSError, http.client.HTTPException) as error:
            line.close()
            trouble = error
    raise _broken(target.host, trouble) from trouble


def _broken(host: str, error: Exception) -> Broken:
    values = {"host": host}
    if isinstance(error, TimeoutError):
        return Broken(
            _(
                "%(host)s does not answer in time: the network is slow or closed. Try again later,"
                " or upload the files instead."
            )
            % values,
            code="timeout",
        )
    if isinstance(error, ssl.SSLError):
        return Broken(
            _("%(host)s cannot prove who it is (TLS: %(reason)s). Ask an operator.")
            % {**values, "reason": error.reason or type(error).__name__},
            code="tls",
        )
    return Broken(
        _(
            "%(host)s cannot be reached from here (%(reason)s): the network may be closed. Ask an"
            " operator, or upload the files instead."
        )
        % {**values, "reason": getattr(error, "strerror", None) or str(error)[:120]},
    )
