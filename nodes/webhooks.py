"""Signed webhooks, as standardwebhooks.com describes them."""

import base64
import hashlib
import hmac
import http.client
import secrets

from common.outbound import Target, connection

SECONDS = 10
PREFIX = "whsec_"


class NotTaken(Exception):
    """The receiver could not be reached or did not answer with 2xx."""


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


def post(target: Target, body: bytes, fields: dict[str, str]) -> int:
    """Sends to a resolved target; the status of the answer, which is 2xx. Raises `NotTaken`.

    Redirects are not followed: the new place was not checked.
    """
    trouble = "no address"
    for address in target.addresses:
        line = connection(target, address, seconds=SECONDS)
        try:
            line.request("POST", target.path, body=body, headers=fields)
            status = line.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            trouble = f"{type(error).__name__}: {error}"
            continue
        finally:
            line.close()
        if 200 <= status < 300:
            return status
        raise NotTaken(f"HTTP {status}")
    raise NotTaken(trouble)
