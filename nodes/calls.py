"""What a node asks the control plane over HTTP. Knows nothing of the database."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from common.version import VERSION

SECONDS = 30


class Refused(Exception):
    """The control plane said no; the text says why."""


class Unanswered(Exception):
    """The control plane cannot be reached, or is none."""


def call(url: str, message: dict[str, Any], *, key: str = "") -> dict[str, Any]:
    """The answer to a message, both JSON. Raises `Refused` and `Unanswered`."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if not url.startswith(("http://", "https://")):
        raise Unanswered("an address begins with https:// or http://")
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        raise _refusal(error) from None
    except (OSError, ValueError) as error:
        raise Unanswered(str(getattr(error, "reason", error))) from None
    if not isinstance(found, dict):
        raise Unanswered("it answers with something else")
    return found


def _refusal(error: urllib.error.HTTPError) -> Exception:
    """What the answer says, where it is one of the platform's."""
    try:
        content = json.load(error)
    except (OSError, ValueError):
        content = None
    if isinstance(content, dict) and "detail" in content:
        return Refused(str(content["detail"]))
    return Unanswered(f"HTTP {error.code}")


def hello(url: str, key: str) -> dict[str, Any]:
    """Asks whether this node may start: key, version and clock are looked at."""
    message = {"version": VERSION, "clock": time.time()}
    return call(f"{url}/api/v1/agent/hello/", message, key=key)
