"""The playground's socket: one conversation, answers as they are written."""

import asyncio
import uuid
from contextlib import suppress
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from accounts.models import User
from common.errors import DomainError
from inference.chat import answer_write, message_json
from inference.models import Conversation, Deployment
from inference.services import NotReady, Turn, turn_begin
from inference.threads import in_database

NOT_FOUND = 4404  # a close code of our own: the page does not try again


class ChatConsumer(AsyncJsonWebsocketConsumer):
    """Takes `ask`, `edit`, `again` and `stop`; tells `begin`, `piece`, `end` and `refused`.

    When the socket closes, the model stops and the part that was written is kept.
    """

    conversation_id: uuid.UUID
    user: User
    writing: "asyncio.Task[None] | None" = None

    async def connect(self) -> None:
        """Opens for the conversation's owner only."""
        user = self.scope.get("user")
        self.conversation_id = self.scope["url_route"]["kwargs"]["conversation_id"]
        rows = Conversation.objects.visible_to(user) if isinstance(user, User) else None
        if rows is None or not await in_database(rows.filter(pk=self.conversation_id).exists):
            await self.accept()
            await self.close(NOT_FOUND)
            return
        self.user = user
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Stops the model and keeps what it wrote."""
        await self._stop()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """One wish of the page; anything else is ignored."""
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "stop":
            await self._stop()
        elif kind in {"ask", "edit"} and isinstance(content.get("text"), str):
            await self._begin(text=content["text"], edit=kind == "edit")
        elif kind == "again":
            await self._begin(text=None, edit=False)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Broken JSON is ignored like any other nonsense."""
        try:
            return await super().decode_json(text_data)
        except ValueError:
            return None

    async def _begin(self, *, text: str | None, edit: bool) -> None:
        """Writes the question down and starts the answer."""
        try:
            turn = await in_database(
                turn_begin, self.conversation_id, by=self.user, text=text, edit=edit
            )
        except DomainError as refusal:
            await self._refuse(refusal)
            return
        except Conversation.DoesNotExist:
            await self.close(NOT_FOUND)
            return
        await self.send_json(
            {
                "type": "begin",
                "title": turn.title,
                "question": message_json(turn.question),
                "answer": message_json(turn.answer),
            }
        )
        self.writing = asyncio.create_task(self._write(turn))
        await asyncio.sleep(0)  # a task that was cancelled before its start would save nothing

    async def _refuse(self, refusal: DomainError) -> None:
        """Says why not, and whether deploying again would help."""
        final = isinstance(refusal, NotReady) and refusal.code in Deployment.FINAL
        await self.send_json(
            {
                "type": "refused",
                "code": refusal.code,
                "message": refusal.message,
                "deploy": bool(final),
            }
        )

    async def _write(self, turn: Turn) -> None:
        """The answer; the page may be gone at its end."""

        async def tell(piece: str) -> None:
            with suppress(Exception):  # a closed socket: `disconnect` is about to stop this
                await self.send_json({"type": "piece", "text": piece})

        message = await answer_write(turn, tell)
        deployment = await in_database(
            Deployment.objects.filter(pk=turn.target.deployment_id).first
        )
        unloads_at = deployment.unloads_at if deployment else None
        with suppress(Exception):  # a closed socket: the answer is saved
            await self.send_json(
                {
                    "type": "end",
                    "answer": message_json(message) if message else None,
                    "unloads_at": unloads_at.isoformat() if unloads_at else None,
                }
            )

    async def _stop(self) -> None:
        """Cancels the answer that is being written and waits until it is saved."""
        if self.writing is not None and not self.writing.done():
            self.writing.cancel()
            await asyncio.wait([self.writing], timeout=10)
