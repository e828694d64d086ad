"""Conversations of the playground: their settings and their turns."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import Project, User
from accounts.services import project_hold
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from common.texts import storable
from inference.models import Conversation, Deployment, Message
from inference.openai import TOKENS_MAX, ChatRequest
from inference.services.targets import Target, target_of

TITLE_MAX = 60  # of the first question
TEXT_MAX = 200_000
SYSTEM_MAX = 20_000
SILENCE_SECONDS = 15  # after which whoever wrote an answer is taken to be gone
SAMPLING_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "max_tokens": (1, TOKENS_MAX),
    "seed": (-(2**63), 2**63 - 1),
}
WHOLE = frozenset({"max_tokens", "seed"})
SAMPLING_DEFAULT: dict[str, Any] = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 512}


@dataclass(frozen=True)
class Turn:
    """A question that waits for its answer."""

    target: Target
    request: ChatRequest
    question: Message
    answer: Message
    title: str  # of the conversation, which the first question names


@transaction.atomic
def conversation_create(
    *,
    project: Project,
    created_by: User,
    deployment: Deployment | None = None,
    title: str = "",
    system_prompt: str = "",
    sampling: dict[str, Any] | None = None,
) -> Conversation:
    """Begins a conversation. DomainError for settings out of bounds or a foreign deployment."""
    _check_deployment(created_by, deployment)
    project_hold(project.pk)
    return Conversation.objects.create(
        project=project,
        created_by=created_by,
        deployment=deployment,
        title=title.strip()[:120],
        system_prompt=_checked_system(system_prompt),
        sampling=_checked_sampling(SAMPLING_DEFAULT if sampling is None else sampling),
    )


@transaction.atomic
def conversation_update(
    conversation_id: uuid.UUID,
    *,
    by: User,
    title: str | None = None,
    deployment: Deployment | None = None,
    system_prompt: str | None = None,
    sampling: dict[str, Any] | None = None,
) -> Conversation:
    """Changes what is given and leaves the rest."""
    conversation = _locked(conversation_id, by)
    if title is not None:
        conversation.title = title.strip()[:120]
    if deployment is not None:
        _check_deployment(by, deployment)
        conversation.deployment = deployment
    if system_prompt is not None:
        conversation.system_prompt = _checked_system(system_prompt)
    if sampling is not None:
        conversation.sampling = _checked_sampling(sampling)
    conversation.save()
    return conversation


def conversation_delete(conversation_id: uuid.UUID, *, by: User) -> None:
    """Deletes the conversation with its messages."""
    Conversation.objects.editable_by(by).get(pk=conversation_id).delete()


@transaction.atomic
def turn_begin(
    conversation_id: uuid.UUID, *, by: User, text: str | None = None, edit: bool = False
) -> Turn:
    """Writes down a question and the empty answer that follows it.

    With `text` a new question; with `edit` it takes the place of the last one; without `text` the
    last question is answered again. Raises NotReady when the deployment cannot answer (nothing is
    written then), Conflict while another answer is being written, DomainError for an empty text.
    """
    conversation = _locked(conversation_id, by)
    target = _target(conversation, by)
    _check_nobody_writes(conversation)
    if text is not None:
        text = _checked_text(text)
    last = conversation.messages.filter(role=Message.Role.USER).last()
    if text is not None and not edit:
        question = conversation.messages.create(role=Message.Role.USER, content=text)
    elif last is None:
        raise Conflict(_("There is no question yet that could be asked again."))
    else:
        question = last
        conversation.messages.filter(pk__gt=question.pk).delete()
        if text is not None:
            question.content = text
            question.save(update_fields=["content", "saved_at"])
    request = _request(conversation)
    answer = conversation.messages.create(
        role=Message.Role.ASSISTANT, state=Message.State.WRITING, model_name=target.name
    )
    if not conversation.title:
        conversation.title = " ".join(question.content.split())[:TITLE_MAX]
    conversation.save()  # newest first in the list
    return Turn(target, request, question, answer, conversation.title)


def answer_save(message_id: int, *, text: str) -> None:
    """Keeps what was written so far, and shows that its writer lives."""
    Message.objects.filter(pk=message_id, state=Message.State.WRITING).update(
        content=text, saved_at=timezone.now()
    )


def answer_finish(
    message_id: int, *, text: str, state: str, usage: dict[str, Any], error: str = ""
) -> Message | None:
    """Ends an answer; None when it was deleted meanwhile."""
    message = Message.objects.filter(pk=message_id).first()
    if message is None:
        return None
    message.content, message.state, message.usage, message.error = text, state, usage, error
    message.save(update_fields=["content", "state", "usage", "error", "saved_at"])
    return message


def abandoned_settle(conversation: Conversation) -> None:
    """Answers whose writer fell silent, with its process perhaps, count as stopped."""
    silent = timezone.now() - timedelta(seconds=SILENCE_SECONDS)
    conversation.messages.filter(state=Message.State.WRITING, saved_at__lt=silent).update(
        state=Message.State.STOPPED
    )


def _locked(conversation_id: uuid.UUID, by: User) -> Conversation:
    rows = Conversation.objects.editable_by(by).select_for_update(of=("self",))
    return rows.get(pk=conversation_id)


def _target(conversation: Conversation, by: User) -> Target:
    """Where the conversation's model answers, as long as its user may use it."""
    deployment = (
        Deployment.objects.editable_by(by).filter(pk=conversation.deployment_id).first()
        if conversation.deployment_id
        else None
    )
    if deployment is None:
        raise DomainError(
            _("Choose a model for this conversation first."), field="deployment", code="no_model"
        )
    return target_of(deployment)


def _check_nobody_writes(conversation: Conversation) -> None:
    """One answer at a time."""
    abandoned_settle(conversation)
    if conversation.messages.filter(state=Message.State.WRITING).exists():
        raise Conflict(
            _("An answer is just being written, perhaps in another window. Stop it or wait."),
            code="being_written",
        )


def _request(conversation: Conversation) -> ChatRequest:
    """The conversation as the model gets it; failed and empty answers are left out."""
    messages = []
    if conversation.system_prompt.strip():
        messages.append({"role": "system", "content": conversation.system_prompt})
    messages += [
        {"role": message.role, "content": message.content}
        for message in conversation.messages.exclude(state=Message.State.FAILED)
        if message.content
    ]
    return ChatRequest(
        model="",
        messages=messages,
        stream=True,
        include_usage=True,
        options=dict(conversation.sampling),
    )


def _check_deployment(user: User, deployment: Deployment | None) -> None:
    if deployment is None:
        return
    if not Deployment.objects.editable_by(user).filter(pk=deployment.pk).exists():
        raise DomainError(_("You cannot use this deployment."), field="deployment")


def _checked_text(text: str) -> str:
    text = storable(text).strip()
    if not text:
        raise DomainError(_("Write a question first."), field="text", code="empty")
    if len(text) > TEXT_MAX:
        raise DomainError(
            _("The question has {count} characters; {most} are the most.").format(
                count=len(text), most=TEXT_MAX
            ),
            field="text",
        )
    return text


def _checked_system(text: str) -> str:
    if len(text) > SYSTEM_MAX:
        raise DomainError(
            _("The system prompt has {count} characters; {most} are the most.").format(
                count=len(text), most=SYSTEM_MAX
            ),
            field="system_prompt",
        )
    return text


def _checked_sampling(given: dict[str, Any]) -> dict[str, Any]:
    """Known settings within their bounds; absent ones stay the model's own."""
    sampling: dict[str, Any] = {}
    for name, value in given.items():
        if name not in SAMPLING_BOUNDS:
            raise DomainError(
                _("Unknown setting “{name}”. There are: {names}.").format(
                    name=name, names=", ".join(SAMPLING_BOUNDS)
                ),
                field="sampling",
            )
        if value is None:
            continue
        low, high = SAMPLING_BOUNDS[name]
        fits = not isinstance(value, bool) and isinstance(
            value, int if name in WHOLE else int | float
        )
        if not fits or not low <= value <= high:
            raise DomainError(
                _("“{name}” has to be between {low} and {high}.").format(
                    name=name, low=f"{low:g}", high=f"{high:g}"
                ),
                field=name,
            )
        sampling[name] = value
    return sampling
