"""An answer put together from the events in which it streams."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from common.phrases import gettext as _
from datasets.generation.doors import Busy, Refused
from datasets.generation.journal import Answered

ANSWER_BYTES = 8 << 20  # of one answer with all that stands around its words
_THOUGHTS = re.compile(r"<think>.*?</think>\s*", re.DOTALL)


class _Answer:
    def __init__(self) -> None:
        self.words: list[str] = []
        self.usage: dict[str, Any] = {}
        self.ended = False

    def take(self, data: bytes) -> None:
        """One event's data, or a whole answer."""
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise Busy(_("the answer is damaged")) from None
        if not isinstance(event, dict) or event.get("error"):
            raise Busy(_("the model broke off"))
        if isinstance(event.get("usage"), dict):
            self.usage = event["usage"]
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, dict) and isinstance(said.get("content"), str):
            self.words.append(said["content"])
        self.ended |= bool(choice.get("finish_reason"))


async def answer_read(chunks: AsyncIterator[bytes], question: Sequence[str]) -> Answered:
    """The whole answer; also one that comes in one piece. `Busy` when it was cut off or damaged.

    Thoughts before it are left out. Where the server does not count tokens, they are estimated.
    """
    answer, rest, size, streams = _Answer(), b"", 0, None
    async for chunk in chunks:
        size += len(chunk)
        if size > ANSWER_BYTES:
            raise Refused(_("the answer is too long"))
        rest += chunk
        if streams is None and rest.strip():
            streams = not rest.lstrip().startswith(b"{")
        if not streams:
            continue
        *lines, rest = rest.split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                answer.take(line[5:].strip())
    if rest.strip():
        answer.take(rest.strip().removeprefix(b"data:").strip())
    if not answer.ended:
        raise Busy(_("the answer was cut off"))
    text = _THOUGHTS.sub("", "".join(answer.words)).strip()
    told = [answer.usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if all(isinstance(number, int) and 0 <= number < 2**40 for number in told):
        return Answered(text, *told)  # type: ignore[arg-type]
    said = "".join(answer.words)
    return Answered(text, sum(map(tokens_guess, question)), tokens_guess(said), estimated=True)


def tokens_guess(text: str) -> int:
    """About as many tokens as a text has, rather too many: a Chinese sign, or three letters."""
    return len(text.encode("utf-8", "replace")) // 3 + 1
