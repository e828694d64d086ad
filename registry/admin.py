"""The operators' view of models and evaluations. What changes, changes through the services."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts.http import actor
from common.admin import ThroughServices
from common.errors import DomainError
from common.phrases import gettext as _
from registry import services
from registry.forms import template_choices
from registry.models import Evaluation, Model, ModelVersion
from registry.services.names import clean_hub_id, clean_name, clean_template


class MadeElsewhere(ThroughServices):
    """Rows that are looked at and deleted, never typed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: jobs, imports and the catalogue make them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never: they are immutable."""
        return False


class ModelAdminForm(forms.ModelForm):
    """A model; a base model also with its version's ids and template."""

    hf_id = forms.CharField(label="Hugging Face", max_length=200, required=False)
    ms_id = forms.CharField(label="ModelScope", max_length=200, required=False)
    template = forms.ChoiceField(
        label=gettext_lazy("Chat template"), required=False, choices=template_choices
    )

    class Meta:
        model = Model
        fields = ("name", "remark", "is_enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_base = self.instance.project_id is None
        version = self.instance.versions.first() if not self.instance._state.adding else None
        for name in ("hf_id", "ms_id", "template"):
            if self.is_base and version is not None:
                self.initial[name] = getattr(version, name)
            elif not self.is_base:
                self.fields.pop(name, None)

    def clean(self) -> dict[str, Any]:
        """The services' own rules, so that a refusal stands beside its field."""
        data = super().clean() or {}
        checks: dict[str, Any] = {"name": clean_name}
        if self.is_base:
            checks |= {
                "template": clean_template,
                "hf_id": lambda value: clean_hub_id(value, field="hf_id"),
                "ms_id": lambda value: clean_hub_id(value, field="ms_id"),
            }
        for name, check in checks.items():
            try:
                data[name] = check(data.get(name, ""))
            except DomainError as refused:
                self.add_error(name, refused.message)
        is_new = self.is_base and self.instance._state.adding
        if is_new and not self.errors and not (data["hf_id"] or data["ms_id"]):
            self.add_error("hf_id", _("Give its id on Hugging Face or on ModelScope."))
        same = Model.objects.filter(project=self.instance.project_id, name=data.get("name"))
        if same.exclude(pk=self.instance.pk).exists():
            self.add_error("name", _("This name is taken."))
        return data


@admin.register(Model)
class ModelAdmin(ThroughServices):
    """Models of projects and the catalogue of base models."""

    form = ModelAdminForm
    list_display = ("name", "project", "is_enabled", "template", "hub", "created_at")
    list_filter = ("is_enabled", ("project", admin.EmptyFieldListFilter), "versions__kind")
    search_fields = ("name", "versions__hf_id", "versions__ms_id")
    actions = ("enable", "disable")
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """With the versions, whose template and ids the list shows."""
        return super().get_queryset(request).select_related("project").prefetch_related("versions")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A project's model has no ids on a hub; its versions have their own templates."""
        is_base = obj is None or obj.project_id is None
        return ("name", "remark", "is_enabled") + (("hf_id", "ms_id", "template") * is_base)

    @admin.display(description=gettext_lazy("Chat template"))
    def template(self, model: Model) -> str:
        """The newest version's template."""
        return next((version.template for version in model.versions.all()), "")

    @admin.display(description=gettext_lazy("Hub"))
    def hub(self, model: Model) -> str:
        """The newest version's id on a hub."""
        return next((one.hf_id or one.ms_id for one in model.versions.all()), "")

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Adds or changes through the services."""
        data, user = form.cleaned_data, actor(request)
        if obj.project_id is not None:
            services.model_update(obj.pk, by=user, name=data["name"], remark=data["remark"])
        elif change:
            services.base_model_update(obj.pk, by=user, **data)
        else:
            made = services.base_model_add(
                by=user, **{name: value for name, value in data.items() if name != "is_enabled"}
            )
            obj.pk = made.pk
            obj._state.adding = False

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Deletes the model with its versions and files."""
        services.model_delete(obj.pk, by=actor(request))

    @admin.action(description=gettext_lazy("Enable the chosen base models"))
    def enable(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        """Everybody may choose them."""
        self._switch(request, queryset, enable=True)

    @admin.action(description=gettext_lazy("Disable the chosen base models"))
    def disable(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        """Nobody may choose them any more."""
        self._switch(request, queryset, enable=False)

    def _switch(self, request: HttpRequest, chosen: QuerySet[Model], *, enable: bool) -> None:
        base = chosen.filter(project=None).values_list("pk", flat=True)
        for pk in base:
            services.base_model_update(pk, by=actor(request), is_enabled=enable)
        messages.success(request, _("%(n)s base models changed.") % {"n": len(base)})


@admin.register(ModelVersion)
class ModelVersionAdmin(MadeElsewhere):
    """Immutable weights."""

    list_display = ("__str__", "kind", "source", "template", "parameters", "bytes", "created_at")
    list_filter = ("kind", "source")
    search_fields = ("model__name", "hf_id", "ms_id")
    list_select_related = ("model",)

    def delete_model(self, request: HttpRequest, obj: ModelVersion) -> None:
        """Deletes the version with its files."""
        services.version_delete(obj.pk, by=actor(request))


@admin.register(Evaluation)
class EvaluationAdmin(MadeElsewhere):
    """Scores and where their answers lie."""

    list_display = ("__str__", "project", "rows", "created_by", "created_at")
    search_fields = ("version__model__name", "dataset_label")
    list_select_related = ("version__model", "project", "created_by")
    actions = ("rescore",)

    def delete_model(self, request: HttpRequest, obj: Evaluation) -> None:
        """Deletes the scores; the answers stay with their job."""
        services.evaluation_delete(obj.pk, by=actor(request))

    @admin.action(
        description=gettext_lazy("Compute the scores anew from the stored answers"),
        permissions=("view",),
    )
    def rescore(self, request: HttpRequest, queryset: QuerySet[Evaluation]) -> None:
        """Scores the chosen ones again."""
        done = 0
        for evaluation in queryset:
            try:
                services.evaluation_rescore(evaluation.pk, by=actor(request))
            except DomainError as refused:
                messages.error(request, f"{evaluation}: {refused.message}")
            else:
                done += 1
        messages.success(request, _("%(n)s evaluations were scored again.") % {"n": done})
