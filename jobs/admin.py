"""Jobs for operators; every change goes through the services."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from common.admin import ReadOnly, RowByRow
from jobs import services
from jobs.models import Attempt, Checkpoint, Job, JobDataset, Metric


class AttemptInline(admin.TabularInline):
    """The tries of a job."""

    model = Attempt
    extra = 0
    can_delete = False
    fields = ("number", "workload", "resumed_step", "is_automatic", "started_at", "ended_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Attempts are made by services."""
        return False


class DatasetInline(admin.TabularInline):
    """The data of a job."""

    model = JobDataset
    extra = 0
    can_delete = False
    fields = ("dataset_version", "use", "position")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Data is chosen when a job is submitted."""
        return False


@admin.register(Job)
class JobAdmin(RowByRow, ReadOnly, admin.ModelAdmin):
    """Jobs of all projects."""

    list_display = ("name", "project", "kind", "state", "step", "total_steps", "created_at")
    list_filter = ("kind", "state", "stage", "method", "failure")
    search_fields = ("name", "project__name", "model_version__model__name", "id")
    list_select_related = ("project",)
    date_hierarchy = "created_at"
    inlines = (DatasetInline, AttemptInline)
    actions = ("cancel", "pause", "resume", "retry", "delete_jobs")

    @admin.action(description=_("Cancel"))
    def cancel(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        """Ends the chosen jobs."""
        self.each(request, rows, services.job_cancel)

    @admin.action(description=_("Pause"))
    def pause(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        """Pauses the chosen trainings."""
        self.each(request, rows, services.job_pause)

    @admin.action(description=_("Resume"))
    def resume(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        """Resumes the chosen trainings."""
        self.each(request, rows, services.job_resume)

    @admin.action(description=_("Try again"))
    def retry(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        """Tries the chosen jobs again."""
        self.each(request, rows, services.job_retry)

    @admin.action(description=_("Delete with all files"))
    def delete_jobs(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        """Deletes the chosen jobs."""
        self.each(request, rows, services.job_delete)


@admin.register(Attempt)
class AttemptAdmin(ReadOnly, admin.ModelAdmin):
    """Tries."""

    list_display = ("job", "number", "workload", "started_at", "ended_at")
    search_fields = ("job__name", "workload__id")
    list_select_related = ("job", "workload")


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly, admin.ModelAdmin):
    """Saved states."""

    list_display = ("job", "name", "step", "bytes", "saved_at", "is_present")
    list_filter = ("is_present",)
    search_fields = ("job__name",)
    list_select_related = ("job",)


@admin.register(Metric)
class MetricAdmin(ReadOnly, admin.ModelAdmin):
    """Points of curves."""

    list_display = ("job", "step", "epoch", "at", "values")
    search_fields = ("job__name",)
    list_select_related = ("job",)


@admin.register(JobDataset)
class JobDatasetAdmin(ReadOnly, admin.ModelAdmin):
    """What data is used for."""

    list_display = ("job", "dataset_version", "use", "position")
    list_filter = ("use",)
    search_fields = ("job__name",)
    list_select_related = ("job", "dataset_version__dataset")
