"""The operators' view of workloads. What changes, changes through the same services."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from common.admin import ReadOnly, RowByRow
from common.phrases import gettext as _
from nodes import services
from nodes.models import Lease, Workload
from nodes.services.reasons import size_text


@admin.register(Workload)
class WorkloadAdmin(RowByRow, ReadOnly, admin.ModelAdmin):
    """The queue and its past."""

    list_display = (
        "name",
        "project",
        "verb",
        "state",
        "exited_at",
        "outcome",
        "node",
        "priority",
        "queued_at",
    )
    list_filter = ("state", "outcome", "verb", "node")
    search_fields = ("name", "id")
    readonly_fields = ("memory_limit", "kept")
    exclude = ("memory_bound_bytes",)
    actions = ("stop_with_checkpoint", "stop_at_once", "put_first")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workload]:
        """With what the list shows."""
        return super().get_queryset(request).select_related("project", "node")

    @admin.display(description=gettext_lazy("Memory limit"))
    def memory_limit(self, row: Workload) -> str:
        """What its container was given."""
        return size_text(row.memory_bound_bytes) if row.memory_bound_bytes else "–"

    @admin.display(description=gettext_lazy("Results kept on its node"))
    def kept(self, row: Workload) -> str:
        """Where those lie that could not be brought home."""
        return str(row.end_facts.get("kept", "–"))

    @admin.action(description=gettext_lazy("Stop and keep a checkpoint"))
    def stop_with_checkpoint(self, request: HttpRequest, rows: QuerySet[Workload]) -> None:
        """Asks them to save where they are."""
        reason = _("Stopped by an operator.")
        self.each(request, rows, services.workload_stop, mode="checkpoint", reason=reason)

    @admin.action(description=gettext_lazy("Stop at once"))
    def stop_at_once(self, request: HttpRequest, rows: QuerySet[Workload]) -> None:
        """Gives them a few seconds."""
        reason = _("Stopped by an operator.")
        self.each(request, rows, services.workload_stop, mode="kill", reason=reason)

    @admin.action(description=gettext_lazy("Put first in the queue"))
    def put_first(self, request: HttpRequest, rows: QuerySet[Workload]) -> None:
        """Gives them the highest priority."""
        self.each(request, rows, services.workload_priority_set, priority=100)


@admin.register(Lease)
class LeaseAdmin(ReadOnly, admin.ModelAdmin):
    """Who holds which device, and who held it."""

    list_display = ("gpu", "workload", "taken_at", "released_at")
    list_filter = ("gpu__node",)
