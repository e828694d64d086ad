"""Connections to addresses that people typed.

A name is looked up first, its addresses are checked, and the connection goes to exactly the address
that was checked, so that a name cannot lead into a private network behind our back.
"""

import base64
import http.client
import socket
import ssl
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from common.addresses import is_public

_PORTS = {"http": 80, "https": 443}


class BadTarget(Exception):
    """The address is none to which anything may be sent; `code` says why."""

    def __init__(self, code: str, what: str = "") -> None:
        super().__init__(f"{code}: {what}")
        self.code = code
        self.what = what


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes; `addresses` are those that the name had when it was checked."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...] = ()
    proxy: str = ""  # the operator's way out, where there is one; it looks the name up itself

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must be the same for secrets to be sent there, too."""
        return (self.scheme, self.host, self.port)


def target_read(url: str) -> Target:
    """The parts of an address. Raises `BadTarget` for what is no plain http(s) address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadTarget("address", url) from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.fragment:
        raise BadTarget("address", url)
    if parts.username is not None or parts.password is not None:
        raise BadTarget("credentials")
    if any(ord(sign) < 33 or ord(sign) > 126 for sign in url):
        raise BadTarget("address", url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)


def target_resolve(target: Target, *, allows_private: bool) -> Target:
    """With the addresses of its name. Raises `BadTarget` when one of them is not allowed."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadTarget("unknown", target.host) from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allows_private:
        for address in addresses:
            if not is_public(address):
                raise BadTarget("private", address)
    return replace(target, addresses=addresses)


def target_by_proxy(target: Target) -> Target:
    """By way of the proxy that the environment names for it; as it is where there is none.

    For addresses of the operator's own choice only: a proxy does not know our rules.
    """
    proxy = getproxies().get(target.scheme, "")
    if not proxy or proxy_bypass(target.host):
        return target
    whole = proxy if "://" in proxy else f"http://{proxy}"
    return replace(target, proxy=whole, addresses=(urlsplit(whole).hostname or "",))


class _Plain(http.client.HTTPConnection):
    """Connects to an address that was checked, whatever the name says by now."""

    def __init__(self, target: Target, address: str, seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self.place = (address, target.port)
        if target.proxy:
            parts = urlsplit(target.proxy)
            self.place = (address, parts.port or 3128)
            headers = _proxy_headers(parts.username, parts.password)
            self.set_tunnel(target.host, target.port, headers)

    def connect(self) -> None:
        self.sock = socket.create_connection(self.place, self.timeout)
        if self._tunnel_host:  # type: ignore[attr-defined]
            self._tunnel()  # type: ignore[attr-defined]


def _proxy_headers(name: str | None, password: str | None) -> dict[str, str]:
    if name is None:
        return {}
    words = f"{unquote(name)}:{unquote(password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(words).decode()}"}


class _Encrypted(_Plain):
    """The same with TLS: the certificate must be of the name."""

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def connection(target: Target, address: str, *, seconds: float) -> http.client.HTTPConnection:
    """A connection to one of the addresses of a resolved target; `seconds` for each wait."""
    return (_Encrypted if target.scheme == "https" else _Plain)(target, address, seconds)
