"""The operators' view of nodes. What changes, changes through the same services."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts.http import actor
from common.admin import ReadOnly, ThroughServices
from common.phrases import gettext as _
from nodes import services
from nodes.models import Gpu, HardwareError, Node, NodeSample, NodeToken


class GpuInline(ReadOnly, admin.TabularInline):
    """The devices of a node, as its agent reports them."""

    model = Gpu
    extra = 0
    can_delete = False
    fields = (
        "index",
        "name",
        "uuid",
        "memory_bytes",
        "is_present",
        "gone_at",
        "health",
        "excluded_at",
    )
    readonly_fields = fields


@admin.register(Node)
class NodeAdmin(ThroughServices):
    """Nodes enter themselves; operators cordon, empty, release and remove them."""

    list_display = ("name", "state", "cpu_count", "memory_bytes", "heartbeat_at", "note")
    list_filter = ("state", "runner")
    search_fields = ("name", "note", "address")
    fields = (
        "name",
        "state",
        "is_cordoned",
        "drain",
        "excluded_at",
        "note",
        "runner",
        "address",
        "key_prefix",
        "cpu_count",
        "memory_bytes",
        "disk_bytes",
        "facts",
        "heartbeat_at",
        "clock_skew_seconds",
    )
    readonly_fields = tuple(name for name in fields if name not in {"is_cordoned", "note"})
    inlines = (GpuInline,)
    actions = ("drain", "drain_now", "take_work", "release", "remove")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A node enters itself when its agent starts."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The past of its workloads names it: it is removed by an action, and its row stays."""
        return False

    def save_model(self, request: HttpRequest, obj: Node, form: Any, change: bool) -> None:
        """Through the services, as the pages do."""
        by = actor(request)
        if "is_cordoned" in form.changed_data:
            services.node_cordon(obj.pk, cordoned=obj.is_cordoned, by=by)
        services.node_note(obj.pk, note=obj.note, by=by)

    @admin.action(description=gettext_lazy("Empty: what runs goes on to its end"))
    def drain(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        """Takes no new work and waits for what runs."""
        self.each(request, rows, services.node_drain, mode="wait")

    @admin.action(description=gettext_lazy("Empty: what runs goes on elsewhere"))
    def drain_now(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        """Takes no new work and asks what runs for a checkpoint."""
        self.each(request, rows, services.node_drain, mode="stop")

    @admin.action(description=gettext_lazy("Take new work again"))
    def take_work(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        """Ends a drain as well."""
        self.each(request, rows, services.node_cordon, cordoned=False)

    @admin.action(description=gettext_lazy("Release what was taken out"))
    def release(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        """The node and all of its GPUs."""
        self.each(request, rows, services.node_release)

    @admin.action(description=gettext_lazy("Remove"))
    def remove(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        """Refused while a node holds anything."""
        self.each(request, rows, services.node_remove)


class NodeTokenForm(forms.ModelForm):
    """A new token."""

    hours = forms.IntegerField(
        label=gettext_lazy("Hours until it expires"), initial=24, min_value=1
    )

    class Meta:
        model = NodeToken
        fields = ("note",)


@admin.register(NodeToken)
class NodeTokenAdmin(ThroughServices):
    """Tokens that let machines in; a token is shown once, in the message after it was made."""

    list_display = ("prefix", "note", "expires_at", "used_at", "node", "created_by")
    list_select_related = ("node", "created_by")
    search_fields = ("prefix", "note", "node__name")
    form = NodeTokenForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The form's fields for a new one, the facts for an old one."""
        if obj is None:
            return ("note", "hours")
        return ("prefix", "note", "expires_at", "used_at", "node", "created_by")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A token is made, looked at and revoked."""
        return False

    def save_model(self, request: HttpRequest, obj: NodeToken, form: Any, change: bool) -> None:
        """Makes it through the service and shows it once."""
        data = form.cleaned_data
        made, token = services.node_token_create(
            by=actor(request), note=data["note"], hours=data["hours"]
        )
        obj.pk = made.pk
        obj.refresh_from_db()
        self.message_user(
            request, _("The token, shown this once: %(token)s") % {"token": token}, messages.WARNING
        )

    def delete_model(self, request: HttpRequest, obj: NodeToken) -> None:
        """Revokes it."""
        services.node_token_revoke(obj.pk, by=actor(request))


@admin.register(Gpu)
class GpuAdmin(ReadOnly, admin.ModelAdmin):
    """Devices."""

    list_display = (
        "node",
        "index",
        "name",
        "memory_bytes",
        "is_present",
        "gone_at",
        "health",
        "excluded_at",
    )
    list_filter = ("health", "node")
    list_select_related = ("node",)


@admin.register(HardwareError)
class HardwareErrorAdmin(ReadOnly, admin.ModelAdmin):
    """What speaks against devices."""

    list_display = ("at", "gpu", "kind", "number", "workload", "counts")
    list_filter = ("kind", "node")
    list_select_related = ("gpu__node", "workload")


@admin.register(NodeSample)
class NodeSampleAdmin(ReadOnly, admin.ModelAdmin):
    """Measurements."""

    list_display = ("node", "span", "at", "cpu_percent", "memory_used_bytes", "disk_used_bytes")
    ordering = ("-at",)
    list_filter = ("span", "node")
    list_select_related = ("node",)
