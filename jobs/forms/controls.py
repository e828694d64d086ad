"""Controls of the form of a new job."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from jobs.engines.base import Field
from jobs.services.reading import number_text

SET, WAS = "set_", "was_"
BOOLEANS = (("true", gettext_lazy("yes")), ("false", gettext_lazy("no")))
DATA = ("dataset_versions", "eval_dataset_versions", "after_dataset_versions")


def shown(value: Any) -> str:
    """A setting as people write it: 5e-6, 0.1, true, or nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    return str(value)


def control(row: Field) -> forms.Field:
    """The control of a setting. What it may hold is checked by the engine, not here."""
    common: dict[str, Any] = {"label": row.label, "help_text": row.help, "required": False}
    if row.kind == "bool":
        return forms.ChoiceField(choices=BOOLEANS, **common)
    if row.kind == "choice":
        return forms.ChoiceField(
            choices=[(shown(value), label) for value, label in row.choices], **common
        )
    number = {"inputmode": "decimal" if row.kind == "float" else "numeric"}
    widget = forms.TextInput(attrs=number if row.kind in {"int", "float"} else {})
    return forms.CharField(widget=widget, max_length=4000, **common)


class JobForm(forms.Form):
    """Names and free texts of a new job, and a control for each setting that matters."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("How you will find it again."),
    )
    output_name = forms.CharField(
        label=gettext_lazy("Register as"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("The model that gets the new version. Empty: the job's name."),
    )
    remark = forms.CharField(
        label=gettext_lazy("Remark"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    config_overrides = forms.CharField(
        label=gettext_lazy("Further arguments, as YAML"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "mono"}),
        help_text=gettext_lazy("One “argument: value” a line; wins over everything above."),
    )

    def __init__(self, *args: Any, rows: list[Field], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for row in rows:
            self.fields[SET + row.name] = control(row)


@dataclass(frozen=True)
class Option:
    """Something to choose, greyed with its reason when it cannot work."""

    value: str
    title: str
    text: str = ""
    is_chosen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Setting:
    """A control with what it was before anybody changed it."""

    field: Any
    row: Field
    was: str
    is_changed: bool
