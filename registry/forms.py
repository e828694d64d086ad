"""Forms of models, the catalogue and the filters of lists."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from registry import catalogue
from registry.models import Model, ModelVersion
from registry.services import import_candidates


def template_choices() -> list[tuple[str, Any]]:
    """The engine's chat templates, and the choice to take the model's own."""
    return [("", _("the model's own")), *((name, name) for name in catalogue.templates())]


class ModelForm(forms.Form):
    """What a person may change of a model."""

    name = forms.CharField(label=_("Name"), max_length=120)
    remark = forms.CharField(
        label=_("Remark"),
        max_length=2000,
        required=False,
        widget=forms.Textarea({"rows": 3}),
        help_text=_("What it is for, and what to watch out for."),
    )


class BaseModelForm(ModelForm):
    """A base model of the catalogue."""

    hf_id = forms.CharField(
        label=_("Id on Hugging Face"), max_length=200, required=False, help_text=_("owner/name")
    )
    ms_id = forms.CharField(
        label=_("Id on ModelScope"), max_length=200, required=False, help_text=_("owner/name")
    )
    template = forms.ChoiceField(
        label=_("Chat template"),
        required=False,
        choices=template_choices,
        help_text=_(
            "How conversations are written for this model. Training, export and service share it;"
            " the wrong one makes answers bad."
        ),
    )
    is_enabled = forms.BooleanField(
        label=_("Everybody may choose it"), required=False, initial=True
    )


class BaseModelAddForm(BaseModelForm):
    """A new base model that lies on a hub: it is enabled from the start."""

    is_enabled = None  # type: ignore[assignment]


class ImportForm(forms.Form):
    """One of the folders that an operator put under models/import."""

    folder = forms.ChoiceField(label=_("Folder"), widget=forms.RadioSelect)
    name = forms.CharField(label=_("Name of the base model"), max_length=120)
    template = forms.ChoiceField(
        label=_("Chat template"),
        required=False,
        choices=template_choices,
        help_text=_("Training, export and service share it; the wrong one makes answers bad."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.candidates = import_candidates()
        folder = self.fields["folder"]
        assert isinstance(folder, forms.ChoiceField)
        folder.choices = [(one.name, one.name) for one in self.candidates if not one.problem]


class ModelFilterForm(forms.Form):
    """Search, kind and order of the list of models."""

    q = forms.CharField(required=False, max_length=120)
    kind = forms.ChoiceField(
        required=False, choices=[("", _("every kind")), *ModelVersion.Kind.choices]
    )
    sort = forms.ChoiceField(
        required=False,
        choices=[
            ("-newest", _("newest first")),
            ("name", _("by name")),
            ("-size", _("largest first")),
        ],
    )


class CatalogueFilterForm(forms.Form):
    """Search and state of the catalogue."""

    q = forms.CharField(required=False, max_length=120)
    state = forms.ChoiceField(
        required=False,
        choices=[("", _("all")), ("enabled", _("enabled")), ("disabled", _("not enabled"))],
    )


class EvaluationFilterForm(forms.Form):
    """Which evaluations a list shows."""

    q = forms.CharField(required=False, max_length=120)
    model = forms.ModelChoiceField(
        required=False, queryset=Model.objects.none(), empty_label=_("every model")
    )

    def __init__(self, *args: Any, models: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["model"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = models


class RowFilterForm(forms.Form):
    """Order and search among the rows of an evaluation."""

    q = forms.CharField(required=False, max_length=200)
    sort = forms.CharField(required=False, max_length=20)
    differing = forms.BooleanField(required=False)
