"""An answer put together from the events in which it streams."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from common.phrases import gettext as _
from datasets.generation.doors import Busy, Refused
from datasets.generation.journal import Answered

ANSWER_BYTES = 8 << 20  # of one answer with all that stands around its words
FINISH_REASON_MAX = 40


class Answer:
    """The answer to a question, as it arrives."""

    def __init__(self, question: Sequence[str]) -> None:
        self._tokens_in = sum(map(tokens_guess, question))
        self._words: list[str] = []
        self._thoughts: list[str] = []  # those that come apart from the words
        self._usage: dict[str, Any] = {}
        self._rest = b""  # of what came, not read yet
        self._streams: bool | None = None  # not known before the first sign
        self._begun = self._ended = False
        self._finish_reason = ""

    async def read(self, chunks: AsyncIterator[bytes]) -> Answered:
        """The whole answer; also one that comes in one piece. `Busy` when it is cut off or damaged.

        Thoughts before it are left out. Where the server does not count tokens, they are estimated.
        """
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > ANSWER_BYTES:
                raise Refused(_("the answer is too long"))
            self._rest += chunk
            if self._streams is None and self._rest.strip():
                self._begun = self._rest.lstrip().startswith(b"{")
                self._streams = not self._begun
            if not self._streams:
                continue
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    self._take(line[5:].strip())
        if self._rest.strip():
            self._take(self._rest.strip().removeprefix(b"data:").strip())
        if not self._ended:
            raise Busy(_("the answer was cut off"))
        text = without_thoughts("".join(self._words))
        told = [self._usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        counted = [n for n in told if isinstance(n, int) and 0 <= n < 2**40]
        estimated = len(counted) < len(told)
        tokens_in, tokens_out = [self._tokens_in, self._tokens_out()] if estimated else counted
        return Answered(text, tokens_in, tokens_out, estimated, self._finish_reason)

    def cut_off(self, most: int) -> Answered | None:
        """What is likely to be charged when no more of it comes, of `most` tokens asked for; None
        when nothing of it came yet: an error, or signs of life while one waits, are none of it.
        """
        if not self._begun:
            return None
        tokens_out = self._tokens_out("" if self._streams else self._rest.decode(errors="replace"))
        return Answered("", self._tokens_in, min(tokens_out, most), estimated=True)

    def _tokens_out(self, rest: str = "") -> int:
        return tokens_guess("".join([*self._thoughts, *self._words, rest]))

    def _take(self, data: bytes) -> None:
        """One event's data, or a whole answer."""
        if data == b"[DONE]":
            self._ended = True
            return
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise Busy(_("the answer is damaged")) from None
        if not isinstance(event, dict) or event.get("error"):
            self._begun = bool(self._words or self._thoughts)
            raise Busy(_("the model broke off"))
        if isinstance(event.get("usage"), dict):
            self._usage = event["usage"]
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return
        self._begun = True
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, dict):
            for name, kept in (("content", self._words), ("reasoning_content", self._thoughts)):
                if isinstance(said.get(name), str):
                    kept.append(said[name])
        if reason := choice.get("finish_reason"):
            self._finish_reason = str(reason)[:FINISH_REASON_MAX].lower()
            self._ended = True


def without_thoughts(text: str) -> str:
    """What is said after the thoughts; nothing while they have no end.

    The words that begin them may stand in the question, where many chat templates put them.
    """
    said = text.rpartition("</think>")[2]
    return "" if "<think>" in said else said.strip()


def tokens_guess(text: str) -> int:
    """About as many tokens as a text has, rather too many: a Chinese sign, or three letters."""
    return len(text.encode("utf-8", "replace")) // 3 + 1
