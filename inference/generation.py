"""Recipes ask models in service here: by the gateway's own steps, as whoever started the run."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from accounts.models import User
from common.errors import DomainError
from common.phrases import gettext as _
from datasets.generation.doors import Busy, Refused, Terms
from inference.activity import Use, settle
from inference.models import Deployment
from inference.openai import ApiError, read_chat_request
from inference.services import NotReady, Target, model_target
from inference.threads import in_database
from inference.upstream import Answer, sessions_close, unavailable

LOADING_SECONDS = 20.0  # between two looks at a model that is not ready yet
_COMING = frozenset({Deployment.State.WAITING, Deployment.State.LOADING})


class DeploymentDoor:
    """A `datasets.generation.doors.Door`. What the user may ask is looked up for each question."""

    def __init__(self, user: User, deployment: Deployment) -> None:
        self._user = user
        self._id = deployment.pk
        self.label = deployment.name
        self.terms = Terms(parallel=4, per_minute=60_000)

    @asynccontextmanager
    async def ask(self, question: dict[str, Any], key: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See the protocol. Nothing here is paid for, so that the key does not matter."""
        try:
            chat = read_chat_request({**question, "model": str(self._id)})
            target = await in_database(self._target)
            use = Use(target)
            if not await use.begin():
                raise unavailable()
            try:
                async with Answer(target, chat) as answer:
                    yield answer.events()
            finally:
                use.end()
        except NotReady as refusal:
            if refusal.code in _COMING:
                raise Busy(refusal.message, LOADING_SECONDS) from None
            raise
        except ApiError as refusal:
            if refusal.status >= 500:
                raise Busy(refusal.message, refusal.retry_after) from None
            raise Refused(refusal.message) from None

    def _target(self) -> Target:
        target = model_target(self._user, str(self._id))
        if target is None:
            raise DomainError(
                _("“%(name)s” is gone, or not yours to ask any more.") % {"name": self.label}
            )
        return target

    async def close(self) -> None:
        """See the protocol."""
        await settle()
        await sessions_close()


def deployment_door(user: User, deployment_id: uuid.UUID) -> DeploymentDoor | None:
    """The way to a deployment that the user may ask."""
    found = Deployment.objects.editable_by(user).filter(pk=deployment_id).first()
    return DeploymentDoor(user, found) if found else None
