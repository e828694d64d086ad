"""Signed webhooks, as standardwebhooks.com describes them.

A target is looked up first, its addresses are checked, and the connection goes to exactly the
address that was checked, so that a name cannot lead into a private network behind our back.
"""

import base64
import hashlib
import hmac
import http.client
import secrets
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from common.addresses import is_public

SECONDS = 10
PREFIX = "whsec_"
_PORTS = {"http": 80, "https": 443}


class BadTarget(Exception):
    """The address is none to which a webhook may be sent; `code` says why."""

    def __init__(self, code: str, what: str = "") -> None:
        super().__init__(f"{code}: {what}")
        self.code = code
        self.what = what


class NotTaken(Exception):
    """The receiver could not be reached or did not answer with 2xx."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook goes; `addresses` are those that the name had when it was checked."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...] = ()


def secret_make() -> str:
    """A new secret, in the form in which receivers' libraries expect it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    text = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """All headers of one attempt; the id stays the same when it is tried again."""
    return {
        "content-type": "application/json",
        "user-agent": "llm-cloud-trainer",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }


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


class _Plain(http.client.HTTPConnection):
    """Connects to an address that was checked, whatever the name says by now."""

    def __init__(self, target: Target, address: str) -> None:
        super().__init__(target.host, target.port, timeout=SECONDS)
        self.address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), SECONDS)


class _Encrypted(_Plain):
    """The same with TLS: the certificate must be of the name."""

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def post(target: Target, body: bytes, fields: dict[str, str]) -> int:
    """Sends to a resolved target; the status of the answer, which is 2xx. Raises `NotTaken`.

    Redirects are not followed: the new place was not checked.
    """
    kind = _Encrypted if target.scheme == "https" else _Plain
    trouble = "no address"
    for address in target.addresses:
        connection = kind(target, address)
        try:
            connection.request("POST", target.path, body=body, headers=fields)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            trouble = f"{type(error).__name__}: {error}"
            continue
        finally:
            connection.close()
        if 200 <= status < 300:
            return status
        raise NotTaken(f"HTTP {status}")
    raise NotTaken(trouble)
