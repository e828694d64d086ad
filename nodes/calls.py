"""What a node asks the control plane over HTTP. Knows nothing of the database."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from common.version import VERSION

SECONDS = 30
HELLO_SECONDS = 5  # a node that starts has work to look after


class Refused(Exception):
    """The control plane said no; the text says why, and `code` in a word."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class Unanswered(Exception):
    """The control plane cannot be reached, or is none."""


def call(
    url: str, message: dict[str, Any], *, key: str = "", seconds: float = SECONDS
) -> dict[str, Any]:
    """The answer to a message, both JSON. Raises `Refused` and `Unanswered`."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if not url.startswith(("http://", "https://")):
        raise Unanswered("an address begins with https:// or http://")
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        raise _refusal(error) from None
    except (OSError, ValueError) as error:
        raise Unanswered(str(getattr(error, "reason", error))) from None
    if not isinstance(found, dict):
        raise Unanswered("it answers with something else")
    return found


def _refusal(error: urllib.error.HTTPError) -> Exception:
    """What the answer says, where it is the platform's and not its trouble."""
    try:
        content = json.load(error)
    except (OSError, ValueError):
        content = None
    if error.code < 500 and isinstance(content, dict) and "detail" in content:
        return Refused(str(content["detail"]), str(content.get("code", "")))
    return Unanswered(f"HTTP {error.code}")


def hello(url: str, key: str) -> dict[str, Any]:
    """Asks whether this node may start: key, version and clock are looked at."""
    message = {"version": VERSION, "clock": time.time()}
    return call(f"{url}/api/v1/agent/hello/", message, key=key, seconds=HELLO_SECONDS)
