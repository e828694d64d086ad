"""Models in service: deployments, their replicas, conversations."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Project, ProjectOwned, ProjectOwnedQuerySet, Role, User
from common.phrases import PhraseField
from nodes.models import Workload
from registry.models import ModelVersion


class DeploymentQuerySet(ProjectOwnedQuerySet["Deployment"]):
    """Deployments by where they stand."""

    edit_role: ClassVar[int] = Role.DEVELOPER

    def active(self) -> Self:
        """Those that hold or wait for a place."""
        return self.exclude(state__in=Deployment.FINAL)


class Deployment(ProjectOwned):
    """A model version in service."""

    class State(models.TextChoices):
        """waiting → loading → ready → stopping → stopped; deploying again starts anew."""

        WAITING = "waiting", _("waiting")
        LOADING = "loading", _("loading")
        READY = "ready", _("ready")
        STOPPING = "stopping", _("stopping")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    FINAL: ClassVar[tuple[str, ...]] = (State.STOPPED, State.FAILED)
    MOVES: ClassVar[dict[str, set[str]]] = {
        State.WAITING: {State.LOADING, State.STOPPING, State.STOPPED, State.FAILED},
        State.LOADING: {State.READY, State.STOPPING, State.STOPPED, State.FAILED, State.WAITING},
        State.READY: {State.STOPPING, State.STOPPED, State.FAILED, State.WAITING},
        State.STOPPING: {State.STOPPED, State.FAILED},
        State.STOPPED: {State.WAITING},
        State.FAILED: {State.WAITING},
    }

    name = models.CharField(_("name"), max_length=120)  # what `model` is called in the API
    version = models.ForeignKey(
        ModelVersion,
        on_delete=models.PROTECT,
        related_name="deployments",
        verbose_name=_("version"),
    )
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.WAITING
    )
    reason = PhraseField(_("reason"), blank=True)
    idle_seconds = models.PositiveIntegerField(_("unload after idle seconds"), default=300)
    # Refreshed every few seconds while a request is open, so that no counter of open streams has to
    # survive a crash of the process that served them.
    last_used_at = models.DateTimeField(_("last used"), null=True)
    restarts = models.PositiveSmallIntegerField(  # by itself, after an unexpected end
        _("restarts"), default=0
    )
    ready_at = models.DateTimeField(_("ready"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("project", "name"),
                condition=~models.Q(state__in=("stopped", "failed")),
                name="one_active_deployment_of_a_name",
            ),
        )
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")

    def __str__(self) -> str:
        return self.name

    def can_become(self, state: str) -> bool:
        """Whether the move is one of `MOVES`."""
        return state in self.MOVES[self.state]

    @property
    def is_active(self) -> bool:
        """Whether it holds or waits for a place."""
        return self.state not in self.FINAL

    @property
    def unloads_at(self) -> datetime | None:
        """When it is unloaded if nobody uses it any more; None unless it is ready."""
        used = self.last_used_at or self.ready_at
        if self.state != self.State.READY or used is None:
            return None
        return used + timedelta(seconds=self.idle_seconds)

    @property
    def replica(self) -> "Replica | None":
        """The newest replica, the one that counts."""
        return self.replicas.select_related("workload__node").order_by("created_at", "id").last()


class Replica(models.Model):
    """One workload that serves a deployment."""

    deployment = models.ForeignKey(
        Deployment, on_delete=models.CASCADE, related_name="replicas", verbose_name=_("deployment")
    )
    workload = models.OneToOneField(
        Workload, on_delete=models.PROTECT, related_name="replica", verbose_name=_("workload")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ("created_at", "id")
        verbose_name = _("replica")
        verbose_name_plural = _("replicas")

    def __str__(self) -> str:
        return f"{self.deployment} · {self.workload_id}"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """Conversations are their owner's alone."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The user's own, in projects the user still belongs to."""
        return self.filter(
            created_by_id=user.pk, project_id__in=Project.objects.visible_to(user).values("pk")
        )

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """The user's own."""
        return self.visible_to(user)


class Conversation(ProjectOwned):
    """A saved chat with a deployed model."""

    title = models.CharField(_("title"), max_length=120, blank=True)
    deployment = models.ForeignKey(
        Deployment,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="conversations",
        verbose_name=_("deployment"),
    )
    system_prompt = models.TextField(_("system prompt"), blank=True, max_length=20000)
    sampling = models.JSONField(  # temperature, top_p, max_tokens, seed
        _("sampling"), default=dict, blank=True
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ("-updated_at",)
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")

    def __str__(self) -> str:
        return self.title or str(self.pk)


class Message(models.Model):
    """One turn of a conversation."""

    class Role(models.TextChoices):
        """Who speaks."""

        USER = "user", _("you")
        ASSISTANT = "assistant", _("model")

    class State(models.TextChoices):
        """How an answer ended."""

        WRITING = "writing", _("being written")
        DONE = "done", _("complete")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        related_name="messages",
        verbose_name=_("conversation"),
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    content = models.TextField(_("content"), blank=True)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.DONE)
    model_name = models.CharField(_("model's name"), max_length=120, blank=True)  # who answered
    usage = models.JSONField(_("usage"), default=dict, blank=True)  # tokens and milliseconds
    error = PhraseField(_("error"), blank=True)  # why an answer failed
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    saved_at = models.DateTimeField(  # a sign of life of whoever writes the answer
        _("saved"), auto_now=True
    )

    class Meta:
        ordering = ("id",)
        verbose_name = _("message")
        verbose_name_plural = _("messages")

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:40]}"
