"""Where the control plane sends requests on somebody's behalf: an address is read, looked up and
checked before, so that a name cannot lead into a private network behind our back.
"""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from common.addresses import is_public

_PORTS = {"http": 80, "https": 443}


class BadTarget(Exception):
    """Nothing may be sent to the address; `code` says why."""

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
    return Target(target.scheme, target.host, target.port, target.path, addresses)
