"""What a run says while it works: the latest lines, kept with the run."""

import threading
from collections import deque
from datetime import datetime
from typing import Any

from django.utils import timezone

from common.phrases import dump, load

LINES = 200


class RunLog:
    """Lines with their moments; several threads write them."""

    def __init__(self, stored: list[dict[str, Any]]) -> None:
        self._lines = deque(stored, maxlen=LINES)
        self._guard = threading.Lock()

    def say(self, text: str) -> None:
        """One more line."""
        line = {"at": timezone.now().isoformat(), "text": dump(text)}
        with self._guard:
            self._lines.append(line)

    def stored(self) -> list[dict[str, Any]]:
        """As JSON."""
        with self._guard:
            return list(self._lines)


def log_lines(stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Moments and texts in the reader's language, the newest first."""
    return [
        {"at": datetime.fromisoformat(line["at"]), "text": load(line["text"])}
        for line in reversed(stored)
    ]
