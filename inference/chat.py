"""Writes an answer of a conversation, piece by piece, and keeps it whatever happens.

Shared by the socket, the REST API and the page without scripts; it talks to the replica directly,
as the gateway does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from asgiref.sync import async_to_sync

from common.phrases import gettext as _
from common.texts import storable
from inference.activity import Use, settle
from inference.models import Message
from inference.openai import ApiError
from inference.services import Turn, answer_finish, answer_save
from inference.threads import in_database
from inference.upstream import Answer, broken, private_sessions, unavailable

SAVE_SECONDS = 2.0
OnPiece = Callable[[str], Awaitable[None]]


def message_json(message: Message) -> dict[str, Any]:
    """A message as the socket and the API tell it."""
    return {
        "id": message.pk,
        "role": message.role,
        "content": message.content,
        "state": message.state,
        "model": message.model_name,
        "usage": message.usage,
        "error": message.error,
        "created_at": message.created_at.isoformat(),
    }


async def _nobody(piece: str) -> None:
    """For those who only want the whole."""


async def answer_write(turn: Turn, on_piece: OnPiece = _nobody) -> Message | None:
    """Writes the answer to the end and returns its row; None when it was deleted meanwhile.

    Cancelling stops the model at once; what was written so far is kept as a stopped answer, and
    the call still returns its row. A failure of the model is told in the row's `error`.
    """
    writer = _Writer(turn, on_piece)
    saver = asyncio.create_task(writer.save_regularly())
    state, error = Message.State.DONE, ""
    try:
        await writer.run()
    except asyncio.CancelledError:
        state = Message.State.STOPPED
    except ApiError as refusal:
        state, error = Message.State.FAILED, explain(refusal)
    except BaseException:
        await writer.finish(Message.State.FAILED, _("The platform failed. Ask again."))
        raise
    finally:
        saver.cancel()
        with suppress(asyncio.CancelledError):
            await saver
    return await writer.finish(state, error)


def answer_now(turn: Turn) -> Message | None:
    """The same for synchronous code that only wants the whole."""

    async def write() -> Message | None:
        async with private_sessions():
            message = await answer_write(turn)
            await settle()
            return message

    return async_to_sync(write)()


class _Writer:
    """One answer while it is written."""

    def __init__(self, turn: Turn, on_piece: OnPiece) -> None:
        self._turn = turn
        self._on_piece = on_piece
        self._pieces: list[str] = []
        self._began = time.monotonic()
        self._first: float | None = None
        self._ended: float | None = None
        self._usage: dict[str, Any] = {}

    async def run(self) -> None:
        """Asks the replica and takes down what it says."""
        async with Use(self._turn.target) as use:
            if not await use.begin():
                raise unavailable()
            async with Answer(self._turn.target, self._turn.request) as answer:
                async for events in answer.events():
                    await self._take(events)
        self._ended = time.monotonic()

    async def _take(self, events: bytes) -> None:
        """Text and usage of some events."""
        new = ""
        for line in events.split(b"\n"):
            if not line.startswith(b"data: ") or line == b"data: [DONE]":
                continue
            try:
                chunk = orjson.loads(line[6:])
                for choice in chunk["choices"]:
                    piece = storable(choice["delta"].get("content") or "")
                    if piece:
                        self._pieces.append(piece)
                        new += piece
                self._usage = chunk.get("usage") or self._usage
            except (ValueError, KeyError, TypeError, AttributeError):
                raise broken() from None
        if new:
            self._first = self._first or time.monotonic()
            await self._on_piece(new)

    async def save_regularly(self) -> None:
        """Keeps what is there, so that a crash of this process loses two seconds at most."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await in_database(answer_save, self._turn.answer.pk, text="".join(self._pieces))

    async def finish(self, state: str, error: str) -> Message | None:
        """Saves the end."""
        return await in_database(
            answer_finish,
            self._turn.answer.pk,
            text="".join(self._pieces),
            state=state,
            usage=self._facts(),
            error=error,
        )

    def _facts(self) -> dict[str, Any]:
        """Tokens and times. A stopped answer has no count of the engine's: its pieces count."""
        tokens = int(self._usage.get("completion_tokens") or len(self._pieces))
        ended = self._ended or time.monotonic()
        facts: dict[str, Any] = {"tokens": tokens, "seconds": round(ended - self._began, 3)}
        if "prompt_tokens" in self._usage:
            facts["prompt_tokens"] = int(self._usage["prompt_tokens"])
        if self._first is not None:
            facts["first_ms"] = round((self._first - self._began) * 1000)
            if tokens > 1 and ended > self._first:
                facts["tokens_per_second"] = round((tokens - 1) / (ended - self._first), 1)
        return facts


def explain(error: ApiError) -> str:
    """A refusal in words of the playground where it has its own."""
    if error.code == "context_length_exceeded":
        return _(
            "The conversation is longer than what this model can read at once. Ask for a shorter "
            "answer in the settings, or start a new conversation."
        )
    return error.message
