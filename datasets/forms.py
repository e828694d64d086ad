"""Forms of the pages."""

from pathlib import Path
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.errors import DomainError
from datasets.generation.asking import Limits
from datasets.models import DatasetVersion
from datasets.reading.kinds import KINDS
from datasets.recipes.kind import Kind
from datasets.recipes.parameters import (
    Choice,
    Column,
    Flag,
    Model,
    Number,
    Parameter,
    Several,
    Versions,
    Written,
)
from datasets.services import Wish, given_as_one, uploads_finished
from datasets.shapes.mapping import (
    COLUMN_NAMES,
    OPTIONAL,
    REQUIRED,
    TAG_NAMES,
    Mapping,
)
from datasets.widgets import VersionsWidget

PASTED = '{"instruction": "…", "output": "…"}\n{"instruction": "…", "output": "…"}'
KINDS_TEXT = _(
    "JSON, JSONL, CSV, TSV, XLSX, Parquet, Arrow; text, Markdown, PDF, DOCX, HTML, EPUB; zip, tar"
    " and gz of them."
)


class FilesInput(forms.ClearableFileInput):
    """Several files at once."""

    allow_multiple_selected = True


class FilesField(forms.FileField):
    """A list of files."""

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        """Each file as a field of one would take it."""
        given = data if isinstance(data, list | tuple) else [data]
        return [super(FilesField, self).clean(one, initial) for one in given if one]


class FileForm(forms.Form):
    """Files to upload as a new version, or rows to paste. `cleaned_data["upload"]` is both."""

    file = FilesField(
        label=_("Files"),
        help_text=format_lazy(
            _("{said} {more}"), said=KINDS_TEXT, more=_("Several files at once become one version.")
        ),
        required=False,
        allow_empty_file=True,  # the service says why it is refused
        widget=FilesInput(attrs={"accept": ",".join(KINDS)}),
    )
    text = forms.CharField(
        label=_("Rows"),
        required=False,
        strip=False,
        help_text=_("JSON lines, a JSON array, or CSV with a first line of names."),
        widget=forms.Textarea(
            attrs={"rows": 8, "spellcheck": "false", "placeholder": PASTED, "class": "mono"}
        ),
    )

    def __init__(self, *args: Any, user: User | AnonymousUser, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user

    def add_error(self, field: str | None, error: Any) -> None:
        """What is wrong with pasted rows stands beside them."""
        has_files = bool(self.files or self.data.get("uploads"))
        is_pasted = field == "file" and bool(self.data.get("text", "").strip()) and not has_files
        super().add_error("text" if is_pasted else field, error)

    def clean(self) -> dict[str, Any]:
        """Files, resumable uploads and pasted rows as one upload."""
        data = super().clean() or {}
        if self.errors or not isinstance(self.data, QueryDict):
            return data
        try:
            ids = filter(None, self.data.get("uploads", "").split(","))
            held = uploads_finished(list(ids), by=self._user)
            files = [*held, *data["file"]]
            paths = self.data.getlist("path")
            data["upload"] = given_as_one(files, paths=paths, text=data["text"])
        except DomainError as refused:
            self.add_error("file", refused.message)
        return data


class UploadForm(FileForm):
    """A new dataset."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        required=False,
        help_text=_(
            "Left empty, the file's name is taken; rows that you paste are called “pasted rows”."
        ),
    )
    remark = forms.CharField(
        label=_("Remark"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Where it comes from, what it is for."),
    )
    is_public = forms.BooleanField(
        label=_("Public: everybody may read it, also without an account"), required=False
    )

    def __init__(self, *args: Any, may_publish: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields(["file", "text", "name", "remark", "is_public"])
        if not may_publish:
            del self.fields["is_public"]

    def clean(self) -> dict[str, Any]:
        """Takes the file's name where none was given."""
        data = super().clean() or {}
        if data.get("upload") and not data.get("name"):
            data["name"] = Path(str(data["upload"].name)).stem[:80]
        return data


class SettingsForm(forms.Form):
    """Name, remark and who may read."""

    name = forms.CharField(label=_("Name"), max_length=80)
    remark = forms.CharField(
        label=_("Remark"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    is_public = forms.BooleanField(
        label=_("Public: everybody may read it, also without an account"),
        required=False,
        help_text=_("A public dataset can be changed by operators only."),
    )

    def __init__(self, *args: Any, may_publish: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_publish:
            del self.fields["is_public"]


class ShareForm(forms.Form):
    """A person or a project, named exactly."""

    user = forms.CharField(label=_("User name or e-mail address"), max_length=254, required=False)
    project = forms.CharField(
        label=_("Or a project, by its id"),
        max_length=36,
        required=False,
        help_text=_("All its members may read and use the data. The id stands on its page."),
        widget=forms.TextInput(attrs={"list": "own-projects", "autocomplete": "off"}),
    )


class RetentionForm(forms.Form):
    """A project's rule; left empty, a limit does not count."""

    keep_newest = forms.IntegerField(
        label=_("Keep the newest versions of each dataset"),
        required=False,
        min_value=1,
        max_value=100_000,
        help_text=_("Older ones may go. Left empty, only the newest is sure to stay."),
    )
    unused_days = forms.IntegerField(
        label=_("Only after so many days without use"),
        required=False,
        min_value=1,
        max_value=100_000,
        help_text=_("With both left empty everything is kept."),
    )


class MappingForm(forms.Form):
    """Which of the file's columns is what. Its fields are those of the chosen shape."""

    shape = forms.ChoiceField(label=_("Format"), choices=DatasetVersion.Shape.choices)

    def __init__(
        self, *args: Any, version: DatasetVersion, shape: str, seen: Mapping, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kind = shape if shape in REQUIRED else "alpaca"
        self.fields["shape"].initial = self.kind
        choices = [("", _("none")), *((name, name) for name in version.file_columns)]
        for key in self.column_keys:
            self.fields[key] = forms.ChoiceField(
                label=COLUMN_NAMES[key],
                choices=choices,
                required=False,
                initial=seen.columns.get(key, ""),
            )
        tags = Mapping.of(self.kind, {"messages": "x"}, seen.tags).tags
        for key in self.tag_keys:
            self.fields[key] = forms.CharField(
                label=TAG_NAMES[key], max_length=40, initial=tags[key]
            )

    @property
    def column_keys(self) -> list[str]:
        """The engine's names of the shape's columns, needed ones first."""
        needed = [
            key
            for item in REQUIRED[self.kind]
            for key in ((item,) if isinstance(item, str) else item)
        ]
        return [*needed, *OPTIONAL[self.kind]]

    @property
    def tag_keys(self) -> list[str]:
        """Names of roles, for shapes that have messages."""
        return list(TAG_NAMES) if "messages" in self.column_keys else []

    @property
    def column_fields(self) -> list[tuple[str, forms.BoundField]]:
        """Fields of columns with the engine's names."""
        return [(key, self[key]) for key in self.column_keys]

    @property
    def tag_fields(self) -> list[tuple[str, forms.BoundField]]:
        """Fields of role names with the engine's names."""
        return [(key, self[key]) for key in self.tag_keys]

    def wish(self) -> Wish:
        """What was filled in; the form must be valid."""
        data = self.cleaned_data
        return Wish(
            shape=data["shape"],
            columns={key: data[key] for key in self.column_keys},
            tags={key: data[key] for key in self.tag_keys} if data.get("messages") else {},
        )


class RecipeForm(forms.Form):
    """Name and remark of a recipe; its steps are forms of their own."""

    name = forms.CharField(label=_("Name"), max_length=80)
    remark = forms.CharField(
        label=_("Remark"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("What it is for."),
    )


class StepForm(forms.Form):
    """One step of a recipe: a field for each parameter of its kind."""

    def __init__(
        self,
        *args: Any,
        kind: Kind,
        number: int,
        versions: list[tuple[str, str]],
        models: list[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **{**kwargs, "prefix": f"step-{number}"})
        self.kind = kind
        self.number = number
        for parameter in kind.parameters:
            if isinstance(parameter, Model):
                self.fields[parameter.name] = self._model_field(parameter, models)
            else:
                self.fields[parameter.name] = _field(parameter, versions)

    def _model_field(self, parameter: Model, models: list[tuple[str, str]]) -> forms.Field:
        chosen = str(self.initial.get(parameter.name) or "")
        choices: list[tuple[str, Any]] = [("", _("Choose a model")), *models]
        if chosen not in dict(choices):
            choices.append((chosen, _("a model that you do not see")))
        words: dict[str, Any] = {"label": parameter.label, "help_text": parameter.help}
        return forms.ChoiceField(**words, required=False, choices=choices)

    @property
    def asks(self) -> bool:
        """Whether the step asks a model."""
        return any(isinstance(one, Model) for one in self.kind.parameters)

    def written(self) -> dict[str, Any]:
        """What stands in the fields now, right or wrong."""
        return {name: self[name].value() for name in self.fields}

    def step(self) -> dict[str, Any]:
        """The step as the service takes it; the form must be valid."""
        return {"kind": self.kind.name, "parameters": dict(self.cleaned_data)}


def _field(parameter: Parameter, versions: list[tuple[str, str]]) -> forms.Field:
    words: dict[str, Any] = {
        "label": parameter.label,
        "help_text": parameter.help,
        "initial": parameter.default,
        "required": False,
    }
    if isinstance(parameter, Flag):
        return forms.BooleanField(**words)
    if isinstance(parameter, Number):
        words |= {"required": not parameter.optional}
        words |= {"min_value": parameter.least, "max_value": parameter.most}
        if parameter.whole:
            return forms.IntegerField(**words)
        return forms.FloatField(**words, widget=forms.NumberInput({"step": "any"}))
    if isinstance(parameter, Versions):
        chooser = VersionsWidget(weighted=parameter.weighted, versions=versions)
        return forms.Field(**words, widget=chooser)
    if isinstance(parameter, Several):
        return forms.MultipleChoiceField(
            **words, choices=parameter.choices, widget=forms.CheckboxSelectMultiple
        )
    if isinstance(parameter, Choice):
        return forms.ChoiceField(**words | {"required": True}, choices=parameter.choices)
    if isinstance(parameter, Written) and parameter.lines:
        area = forms.Textarea({"rows": 3, "spellcheck": "false"})
        return forms.CharField(**words, max_length=parameter.longest, widget=area)
    if isinstance(parameter, Column):
        box = forms.TextInput({"list": "columns", "autocomplete": "off", "spellcheck": "false"})
        return forms.CharField(**words, max_length=parameter.longest, widget=box)
    return forms.CharField(**words, strip=False, max_length=1000)


class LimitsForm(forms.Form):
    """What a run that asks models may spend."""

    max_cost = forms.DecimalField(
        label=_("Spending limit"),
        min_value=0,
        max_digits=12,
        decimal_places=2,
        required=False,
        help_text=_("The run ends before it could spend more, and may go on. Left empty: none."),
    )
    max_tokens = forms.IntegerField(
        label=_("Limit of tokens"),
        min_value=1,
        max_value=10**15,
        required=False,
        help_text=_("In and out together. Left empty: none."),
    )

    def limits(self) -> Limits:
        """What was filled in; the form must be valid."""
        return Limits(self.cleaned_data["max_cost"], self.cleaned_data["max_tokens"])


class RunForm(LimitsForm):
    """Where the rows of a run go."""

    version = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(
        label=_("New dataset"),
        max_length=80,
        required=False,
        help_text=_("Left empty, the rows become new versions of the same dataset."),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        min_value=0,
        max_value=2**31 - 1,
        required=False,
        help_text=_("The same seed draws the same rows. Left empty, one is drawn."),
    )
