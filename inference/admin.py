"""Deployments and conversations for operators; changes go through the services."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.http import actor
from common.admin import ReadOnly, RowByRow
from inference import services
from inference.models import Conversation, Deployment, Message, Replica


@admin.register(Deployment)
class DeploymentAdmin(RowByRow, ReadOnly, admin.ModelAdmin):
    """Deployments, with the buttons of the page."""

    list_display = ("name", "state", "project", "version", "created_by", "last_used_at")
    list_filter = ("state",)
    search_fields = ("name", "id", "project__name", "created_by__username")
    list_select_related = ("project", "version__model", "created_by")
    actions = ("stop", "restart")

    def has_delete_permission(self, request: HttpRequest, obj: Deployment | None = None) -> bool:
        """Ended ones only."""
        return request.user.is_active and (obj is None or not obj.is_active)

    def delete_model(self, request: HttpRequest, obj: Deployment) -> None:
        """By the service."""
        services.deployment_delete(obj.pk, by=actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> None:
        """By the service, one by one."""
        self.each(request, queryset, services.deployment_delete)

    @admin.action(description=_("Stop"))
    def stop(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> None:
        """Ends the service."""
        self.each(request, queryset, services.deployment_stop)

    @admin.action(description=_("Deploy again"))
    def restart(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> None:
        """Starts anew."""
        self.each(request, queryset, services.deployment_restart)


@admin.register(Replica)
class ReplicaAdmin(ReadOnly, admin.ModelAdmin):
    """Which workload serves which deployment."""

    list_display = ("deployment", "workload", "created_at")
    list_select_related = ("deployment", "workload")


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, admin.ModelAdmin):
    """Whose conversations there are; what was said stays theirs."""

    list_display = ("id", "created_by", "project", "deployment", "updated_at")
    list_select_related = ("created_by", "project", "deployment")
    search_fields = ("id", "created_by__username", "project__name")
    fields = ("created_by", "project", "deployment", "sampling", "created_at", "updated_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An operator may have to remove one."""
        return True


@admin.register(Message)
class MessageAdmin(ReadOnly, admin.ModelAdmin):
    """How answers ended and what they cost; not what they say."""

    list_display = ("id", "conversation_id", "role", "state", "model_name", "created_at")
    list_filter = ("role", "state")
    fields = ("conversation", "role", "state", "model_name", "usage", "error", "created_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Goes with its conversation."""
        return True
