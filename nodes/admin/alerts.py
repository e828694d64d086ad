"""The operators' view of alerts. What changes, changes through the same services."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts.http import actor
from common.admin import ReadOnly, ThroughServices
from common.phrases import gettext as _
from nodes import services
from nodes.models import Alert, AlertChannel, AlertDelivery, AlertRule


@admin.register(AlertRule)
class AlertRuleAdmin(ThroughServices):
    """When trouble counts as such."""

    list_display = ("kind", "is_enabled", "threshold", "clear", "hold_seconds")
    fields = list_display
    readonly_fields = ("kind",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one for each kind."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A rule is switched off instead."""
        return False

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        """Through the service."""
        names = ("is_enabled", "threshold", "clear", "hold_seconds")
        services.rule_set(
            obj.kind, by=actor(request), **{name: getattr(obj, name) for name in names}
        )


@admin.register(Alert)
class AlertAdmin(ReadOnly, admin.ModelAdmin):
    """What is, and what was, wrong."""

    list_display = ("node", "kind", "subject", "state", "value", "since", "opened_at", "closed_at")
    list_filter = ("state", "kind", "node")
    list_select_related = ("node",)


class DeliveryInline(ReadOnly, admin.TabularInline):
    """What was told there."""

    model = AlertDelivery
    extra = 0
    fields = ("alert", "happening", "state", "attempts", "sent_at", "error")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertDelivery]:
        """With the names that the rows show."""
        return super().get_queryset(request).select_related("alert__node", "channel")


@admin.register(AlertChannel)
class AlertChannelAdmin(ThroughServices):
    """To whom alerts are told."""

    list_display = ("kind", "target", "is_enabled", "allows_private", "created_by")
    list_select_related = ("created_by",)
    inlines = (DeliveryInline,)
    actions = ("test",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """An address stays as it was made."""
        made = ("kind", "target", "allows_private")
        return made if obj is None else (*made, "is_enabled")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What a webhook was checked for cannot be changed behind the check."""
        return () if obj is None else ("kind", "target", "allows_private")

    def save_model(self, request: HttpRequest, obj: AlertChannel, form: Any, change: bool) -> None:
        """Through the services; a webhook's secret is shown once."""
        by = actor(request)
        if change:
            services.channel_switch(obj.pk, is_enabled=obj.is_enabled, by=by)
            return
        made, secret = services.channel_create(
            kind=obj.kind, target=obj.target, allows_private=obj.allows_private, by=by
        )
        obj.pk = made.pk
        obj.refresh_from_db()
        if secret:
            self.message_user(
                request,
                _("The secret that signs, shown this once: %(secret)s") % {"secret": secret},
                messages.WARNING,
            )

    def delete_model(self, request: HttpRequest, obj: AlertChannel) -> None:
        """Through the service."""
        services.channel_delete(obj.pk, by=actor(request))

    @admin.action(description=gettext_lazy("Send a test"))
    def test(self, request: HttpRequest, rows: QuerySet[AlertChannel]) -> None:
        """One to each; the channel shows whether it arrived."""
        self.each(request, rows, services.channel_test)
