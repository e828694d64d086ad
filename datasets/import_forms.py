"""Forms of imports: one for each kind of place."""

from copy import deepcopy
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from datasets.models import Dataset, Import

_SECRET = {"autocomplete": "off", "spellcheck": "false"}
_WORD = {"spellcheck": "false", "autocapitalize": "off"}


def _password(label: Any, help_text: Any = "") -> forms.CharField:
    """Never shown again, also not in a form that was refused."""
    return forms.CharField(
        label=label,
        required=False,
        max_length=500,
        help_text=help_text,
        widget=forms.PasswordInput(attrs=_SECRET),
    )


class ImportForm(forms.Form):
    """What every import asks: which files, and what becomes of them."""

    secrets: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    patterns = forms.CharField(
        label=_("Only these files"),
        required=False,
        max_length=2000,
        help_text=_(
            "Patterns such as data/train-*.parquet, separated by commas. Left empty, you choose"
            " among what is there."
        ),
        widget=forms.TextInput(attrs=_WORD),
    )
    dataset = forms.ModelChoiceField(
        label=_("Into"),
        queryset=Dataset.objects.none(),
        required=False,
        empty_label=_("a new dataset"),
    )
    name = forms.CharField(
        label=_("Name of the new dataset"),
        max_length=80,
        required=False,
        help_text=_("Left empty, it follows from the place."),
    )

    def __init__(self, *args: Any, datasets: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["dataset"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = datasets
        self.order_fields([*self.places, *self.secrets, "patterns", "dataset", "name"])

    def reference(self) -> dict[str, Any]:
        """Where the data is, as the service takes it; the form must be valid."""
        data = self.cleaned_data
        patterns = [one for one in data["patterns"].split(",") if one.strip()]
        return {**{name: data[name] for name in self.places}, "files": patterns}

    def keys(self) -> dict[str, str]:
        """What must stay secret."""
        return {name: self.cleaned_data[name] for name in self.secrets}


class _HubForm(ImportForm):
    places = ("repository", "revision")
    secrets = ("token",)

    repository = forms.CharField(
        label=_("Data set"),
        max_length=200,
        help_text=_("As the hub calls it, owner/name, or the address of its page."),
        widget=forms.TextInput(attrs=_WORD),
    )
    revision = forms.CharField(
        label=_("Revision"),
        max_length=100,
        required=False,
        help_text=_("A branch, a tag or a commit. Left empty: the main one."),
        widget=forms.TextInput(attrs=_WORD),
    )
    token = _password(
        _("Token"),
        _("Only for private ones. Kept under lock for this import, and forgotten at its end."),
    )


class _ObjectsForm(ImportForm):
    places = ("path", "endpoint", "region")
    secrets = ("access_key", "secret_key")

    path = forms.CharField(
        label=_("Path"),
        max_length=1000,
        help_text=_("A file, or all below a prefix: s3://bucket/folder/."),
        widget=forms.TextInput(attrs={**_WORD, "placeholder": "s3://bucket/folder/"}),
    )
    endpoint = forms.CharField(
        label=_("Endpoint"),
        max_length=300,
        required=False,
        help_text=_("The store's address. Left empty, s3:// is Amazon's; all others need it."),
        widget=forms.TextInput(
            attrs={**_WORD, "placeholder": "https://oss-cn-hangzhou.aliyuncs.com"}
        ),
    )
    region = forms.CharField(
        label=_("Region"), max_length=60, required=False, widget=forms.TextInput(attrs=_WORD)
    )
    access_key = _password(
        _("Access key"), _("Left empty where everybody may read. Forgotten at the end.")
    )
    secret_key = _password(_("Secret key"))


class _DirectoryForm(ImportForm):
    places = ("directory", "path")

    directory = forms.ChoiceField(label=_("Directory"))
    path = forms.CharField(
        label=_("Folder or file in it"),
        max_length=1000,
        required=False,
        help_text=_("Left empty: all of it. The rows are copied; the files stay as they are."),
        widget=forms.TextInput(attrs=_WORD),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["directory"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(root, root) for root in settings.SHARED_DIRECTORIES]


class ResumeForm(forms.Form):
    """Asks for the secrets of an import again, which were forgotten when it ended."""

    def __init__(self, *args: Any, found: Import, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asking = FORMS[found.kind]
        for name in asking.secrets if found.needs_secret else ():
            field = deepcopy(asking.base_fields[name])
            field.help_text = ""
            self.fields[name] = field


FORMS: dict[str, type[ImportForm]] = {
    Import.Kind.HUGGINGFACE.value: _HubForm,
    Import.Kind.MODELSCOPE.value: _HubForm,
    Import.Kind.S3.value: _ObjectsForm,
    Import.Kind.DIRECTORY.value: _DirectoryForm,
}
