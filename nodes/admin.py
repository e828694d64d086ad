"""The operators' view of nodes and workloads. What changes, changes through the same services."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.http import actor
from common.admin import ReadOnly, ThroughServices
from common.errors import DomainError
from nodes import services
from nodes.models import Gpu, Image, Lease, Node, NodeSample, Workload


class GpuInline(admin.TabularInline):  # type: ignore[type-arg]
    """The devices of a node."""

    model = Gpu
    extra = 0
    can_delete = False
    fields = ("index", "name", "uuid", "memory_bytes", "is_present")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The agent reports them."""
        return False


@admin.register(Node)
class NodeAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Nodes enter themselves; operators cordon them and leave notes."""

    list_display = ("name", "state", "cpu_count", "memory_bytes", "heartbeat_at", "note")
    list_filter = ("state",)
    fields = (
        "name",
        "state",
        "is_cordoned",
        "note",
        "runner",
        "address",
        "cpu_count",
        "memory_bytes",
        "disk_bytes",
        "facts",
        "heartbeat_at",
    )
    readonly_fields = tuple(name for name in fields if name not in {"is_cordoned", "note"})
    inlines = (GpuInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A node enters itself when its agent starts."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The past of its workloads names it."""
        return False

    def save_model(self, request: HttpRequest, obj: Node, form: Any, change: bool) -> None:
        """Through the services, as the pages do."""
        by = actor(request)
        services.node_cordon(obj.pk, cordoned=obj.is_cordoned, by=by)
        services.node_note(obj.pk, note=obj.note, by=by)


@admin.register(Workload)
class WorkloadAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """The queue and its past."""

    list_display = ("name", "project", "verb", "state", "outcome", "node", "priority", "queued_at")
    list_filter = ("state", "outcome", "verb", "node")
    search_fields = ("name", "id")
    actions = ("stop_with_checkpoint", "stop_at_once", "put_first")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workload]:
        """With what the list shows."""
        return super().get_queryset(request).select_related("project", "node")

    @admin.action(description=gettext_lazy("Stop and keep a checkpoint"))
    def stop_with_checkpoint(self, request: HttpRequest, rows: QuerySet[Workload]) -> None:
        """Asks them to save where they are."""
        by = actor(request)
        for row in rows:
            services.workload_stop(
                row.pk, mode="checkpoint", reason=_("Stopped by an operator."), by=by
            )

    @admin.action(description=gettext_lazy("Stop at once"))
    def stop_at_once(self, request: HttpRequest, rows: QuerySet[Workload]) -> None:
        """Gives them a few seconds."""
        by = actor(request)
        for row in rows:
            services.workload_stop(row.pk, mode="kill", reason=_("Stopped by an operator."), by=by)

    @admin.action(description=gettext_lazy("Put first in the queue"))
    def put_first(self, request: HttpRequest, rows: QuerySet[Workload]) -> None:
        """Gives them the highest priority."""
        by = actor(request)
        for row in rows:
            try:
                services.workload_priority_set(row.pk, 100, by=by)
            except DomainError as refused:
                self.message_user(request, f"{row}: {refused.message}", messages.WARNING)


@admin.register(Image)
class ImageAdmin(ThroughServices):
    """The list of images that may run."""

    list_display = ("reference", "engine", "state", "is_enabled", "short_id", "added_by")
    list_filter = ("state", "engine", "is_enabled")
    search_fields = ("reference", "image_id")
    fields = ("reference", "engine", "state", "is_enabled", "image_id", "digest", "error")
    actions = ("enable", "disable", "fetch_again")

    def get_readonly_fields(self, request: HttpRequest, obj: Image | None = None) -> list[str]:
        """Only the name of a new one is typed."""
        return [name for name in self.fields if obj is not None or name != "reference"]

    def save_model(self, request: HttpRequest, obj: Image, form: Any, change: bool) -> None:
        """Through the services, as the pages do."""
        if not change:
            obj.pk = services.image_add(obj.reference, by=actor(request)).pk

    def delete_model(self, request: HttpRequest, obj: Image) -> None:
        """Through the services, as the pages do."""
        services.image_remove(obj.pk, by=actor(request))

    def _each(
        self, request: HttpRequest, rows: QuerySet[Image], change: Callable[[Image], object]
    ) -> None:
        for row in rows:
            try:
                change(row)
            except DomainError as refused:
                self.message_user(request, f"{row}: {refused.message}", messages.WARNING)

    @admin.action(description=gettext_lazy("Let them run"))
    def enable(self, request: HttpRequest, rows: QuerySet[Image]) -> None:
        """Puts them on the list."""
        by = actor(request)
        self._each(request, rows, lambda row: services.image_switch(row.pk, enabled=True, by=by))

    @admin.action(description=gettext_lazy("Let them run no more"))
    def disable(self, request: HttpRequest, rows: QuerySet[Image]) -> None:
        """Takes them off the list; what runs goes on."""
        by = actor(request)
        self._each(request, rows, lambda row: services.image_switch(row.pk, enabled=False, by=by))

    @admin.action(description=gettext_lazy("Fetch again"))
    def fetch_again(self, request: HttpRequest, rows: QuerySet[Image]) -> None:
        """What failed or got stuck."""
        by = actor(request)
        self._each(request, rows, lambda row: services.image_retry(row.pk, by=by))


@admin.register(Gpu)
class GpuAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Devices."""

    list_display = ("node", "index", "name", "memory_bytes", "is_present")


@admin.register(Lease)
class LeaseAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Who holds which device, and who held it."""

    list_display = ("gpu", "workload", "taken_at", "released_at")
    list_filter = ("gpu__node",)


@admin.register(NodeSample)
class NodeSampleAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Measurements."""

    list_display = ("node", "at", "cpu_percent", "memory_used_bytes", "disk_used_bytes")
    list_filter = ("node",)
