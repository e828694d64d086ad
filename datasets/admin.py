"""The operators' view of datasets. What changes, changes through the services."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.http import actor
from common.admin import ReadOnly, ThroughServices
from datasets import services
from datasets.forms import KINDS_TEXT
from datasets.models import (
    Comparison,
    Dataset,
    DatasetShare,
    DatasetVersion,
    Import,
    Provider,
    PublicSource,
    Recipe,
    RecipeRun,
    RemovedVersion,
    RetentionRule,
    Revision,
    RowDecision,
    TokenCount,
    Upload,
)


class DatasetAdminForm(forms.ModelForm):
    """A dataset; a new one with the file of its first version."""

    file = forms.FileField(label=_("File"), help_text=KINDS_TEXT)

    class Meta:
        model = Dataset
        fields = ("project", "name", "remark", "is_public")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            del self.fields["file"]


class VersionInline(admin.TabularInline):
    """The versions, to be looked at."""

    model = DatasetVersion
    fields = ("number", "state", "shape", "rows", "bytes", "filename", "created_by", "created_at")
    readonly_fields = fields
    can_delete = False
    show_change_link = True
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never: files are uploaded on the pages or over the API."""
        return False


@admin.register(Dataset)
class DatasetAdmin(ThroughServices):
    """Datasets."""

    form = DatasetAdminForm
    list_display = ("name", "project", "is_public", "created_by", "created_at", "updated_at")
    list_filter = ("is_public", "versions__state", "versions__shape")
    search_fields = ("name", "remark", "project__name")
    inlines = (VersionInline,)

    def get_fields(self, request: HttpRequest, obj: Dataset | None = None) -> tuple[str, ...]:
        """The file belongs to a new one only."""
        fields = ("project", "name", "remark", "is_public")
        return fields if obj else (*fields, "file")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Dataset | None = None
    ) -> tuple[str, ...]:
        """A dataset stays in its project."""
        return ("project",) if obj else ()

    def save_model(
        self, request: HttpRequest, obj: Dataset, form: DatasetAdminForm, change: bool
    ) -> None:
        """Creates or changes through the services."""
        data = form.cleaned_data
        common = {key: data[key] for key in ("name", "remark", "is_public")}
        if change:
            services.dataset_update(obj.pk, by=actor(request), **common)
            return
        created = services.dataset_create(
            project=data["project"], created_by=actor(request), upload=data["file"], **common
        )
        obj.pk = created.pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Dataset) -> None:
        """Deletes through the service."""
        services.dataset_delete(obj.pk, by=actor(request))


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ThroughServices):
    """Versions: immutable, to be looked at and deleted."""

    list_display = ("__str__", "state", "shape", "rows", "bytes", "created_by", "created_at")
    list_filter = ("state", "shape", "file_format")
    search_fields = ("dataset__name", "filename", "sha256")
    list_select_related = ("dataset", "created_by")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: files are uploaded on the pages or over the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never: versions are immutable."""
        return False

    def delete_model(self, request: HttpRequest, obj: DatasetVersion) -> None:
        """Deletes through the service."""
        services.version_delete(obj.pk, by=actor(request))


@admin.register(DatasetShare)
class DatasetShareAdmin(ThroughServices):
    """Shares: made on the pages and over the API, looked at and taken back here."""

    list_display = ("dataset", "user", "project", "created_by", "created_at")
    search_fields = ("dataset__name", "user__username", "project__name")
    list_select_related = ("dataset", "user", "project", "created_by")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: the receiver is named on the pages or over the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never: a share is there or not."""
        return False

    def delete_model(self, request: HttpRequest, obj: DatasetShare) -> None:
        """Takes it back through the service."""
        services.share_delete(obj.pk, by=actor(request))


@admin.register(Recipe)
class RecipeAdmin(ThroughServices):
    """Recipes: steps are JSON here; a refusal names step and parameter."""

    list_display = ("name", "project", "created_by", "created_at", "updated_at")
    search_fields = ("name", "remark", "project__name")
    list_select_related = ("project", "created_by")
    fields = ("project", "name", "remark", "steps")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Recipe | None = None
    ) -> tuple[str, ...]:
        """A recipe stays in its project."""
        return ("project",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Recipe, form: Any, change: bool) -> None:
        """Creates or changes through the services."""
        given = {key: form.cleaned_data[key] for key in ("name", "remark", "steps")}
        if change:
            services.recipe_update(obj.pk, by=actor(request), **given)
            return
        project = form.cleaned_data["project"]
        created = services.recipe_create(project=project, created_by=actor(request), **given)
        obj.pk = created.pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Recipe) -> None:
        """Deletes through the service."""
        services.recipe_delete(obj.pk, by=actor(request))


@admin.register(RecipeRun)
class RecipeRunAdmin(ReadOnly, admin.ModelAdmin):
    """Runs of recipes, to be looked at."""

    list_display = ("__str__", "project", "state", "created_by", "created_at", "ended_at")
    list_filter = ("state",)
    search_fields = ("recipe_name", "source_name", "name", "project__name")
    list_select_related = ("project", "created_by")


@admin.register(Revision)
class RevisionAdmin(ReadOnly, admin.ModelAdmin):
    """Decisions on rows on their way to a version, to be looked at."""

    list_display = ("__str__", "state", "created_by", "created_at", "saved_by", "ended_at")
    list_filter = ("kind", "state")
    search_fields = ("version__dataset__name", "created_by__username")
    list_select_related = ("version__dataset", "created_by", "saved_by")


@admin.register(RowDecision)
class RowDecisionAdmin(ReadOnly, admin.ModelAdmin):
    """What people decided about single rows, to be looked at."""

    list_display = ("revision", "number", "verdict", "rating", "by", "decided_at")
    list_filter = ("verdict",)
    search_fields = ("revision__version__dataset__name", "by__username", "note")
    list_select_related = ("revision__version__dataset", "by")


@admin.register(Comparison)
class ComparisonAdmin(ReadOnly, admin.ModelAdmin):
    """Versions compared row by row, to be looked at."""

    list_display = ("__str__", "state", "counts", "created_at", "asked_at")
    list_filter = ("state",)
    search_fields = ("before__dataset__name", "after__dataset__name")
    list_select_related = ("before__dataset", "after__dataset")


@admin.register(TokenCount)
class TokenCountAdmin(ReadOnly, admin.ModelAdmin):
    """Tokens of versions by tokenizers that people chose, to be looked at."""

    list_display = ("__str__", "template", "state", "asked_by", "created_at", "asked_at")
    list_filter = ("state",)
    search_fields = ("version__dataset__name", "tokenizer")
    list_select_related = ("version__dataset", "asked_by")


@admin.register(Upload)
class UploadAdmin(ReadOnly, admin.ModelAdmin):
    """Files on their way, to be looked at; the sweep removes those that stand still."""

    list_display = ("__str__", "project", "size", "received", "created_by", "expires_at")
    search_fields = ("filename", "project__name")
    list_select_related = ("project", "created_by")


@admin.register(Provider)
class ProviderAdmin(ThroughServices):
    """Providers, without their keys: these are entered on the pages or over the API."""

    list_display = ("name", "project", "base_url", "has_key", "allows_private", "created_by")
    list_filter = ("allows_private",)
    search_fields = ("name", "base_url", "project__name")
    list_select_related = ("project", "created_by")
    fields = (
        "project",
        "name",
        "base_url",
        "models",
        "price_in",
        "price_out",
        "currency",
        "requests_per_minute",
        "parallel",
        "timeout",
        "allows_private",
    )
    readonly_fields = ("project",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: it would have no key."""
        return False

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        """Changes through the service."""
        services.provider_update(obj.pk, by=actor(request), **form.cleaned_data)

    def delete_model(self, request: HttpRequest, obj: Provider) -> None:
        """Deletes through the service."""
        services.provider_delete(obj.pk, by=actor(request))


@admin.register(Import)
class ImportAdmin(ReadOnly, admin.ModelAdmin):
    """Imports, to be looked at; their keys are never shown."""

    list_display = ("__str__", "kind", "project", "state", "created_by", "created_at", "ended_at")
    list_filter = ("kind", "state")
    search_fields = ("name", "project__name")
    exclude = ("secret",)


@admin.register(PublicSource)
class PublicSourceAdmin(ReadOnly, admin.ModelAdmin):
    """Datasets of the public list, to be looked at; the list is a file."""

    list_display = ("key", "dataset")
    search_fields = ("key",)
    list_select_related = ("dataset",)


@admin.register(RetentionRule)
class RetentionRuleAdmin(ThroughServices):
    """What projects keep; projects without a rule follow the settings."""

    list_display = ("project", "keep_newest", "unused_days", "changed_at")
    search_fields = ("project__name",)
    list_select_related = ("project",)
    fields = ("project", "keep_newest", "unused_days")

    def get_readonly_fields(
        self, request: HttpRequest, obj: RetentionRule | None = None
    ) -> tuple[str, ...]:
        """A rule stays with its project."""
        return ("project",) if obj else ()

    def save_model(self, request: HttpRequest, obj: RetentionRule, form: Any, change: bool) -> None:
        """Sets the rule through the service."""
        given = {key: form.cleaned_data[key] for key in ("keep_newest", "unused_days")}
        services.retention_set(obj.project, by=actor(request), **given)
        obj.pk = RetentionRule.objects.get(project=obj.project).pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: RetentionRule) -> None:
        """Takes the rule away through the service."""
        services.retention_reset(obj.project, by=actor(request))


@admin.register(RemovedVersion)
class RemovedVersionAdmin(ReadOnly, admin.ModelAdmin):
    """What is remembered of deleted versions, to be looked at."""

    list_display = ("name", "project", "created_at", "removed_at")
    search_fields = ("name", "project__name")
    list_select_related = ("project",)
