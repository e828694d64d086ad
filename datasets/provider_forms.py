"""The form of a provider of models."""

from typing import Any

from django import forms
from django.forms.models import model_to_dict
from django.utils.translation import gettext_lazy as _

from datasets.models import Provider


class ProviderForm(forms.Form):
    """A provider of models. What is left empty in the field of the key leaves it as it is."""

    name = forms.CharField(label=_("Name"), max_length=80)
    base_url = forms.CharField(
        label=_("Address"),
        max_length=300,
        help_text=_("Up to /v1, such as https://api.example.com/v1."),
        widget=forms.URLInput({"placeholder": "https://…/v1"}),
    )
    key = forms.CharField(
        label=_("Key"),
        required=False,
        max_length=1000,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )
    key_forget = forms.BooleanField(label=_("Forget the key"), required=False)
    models = forms.CharField(
        label=_("Models"),
        max_length=3000,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text=_("As the API calls them, one a line; the first is the usual one."),
    )
    price_in = forms.DecimalField(
        label=_("Price of a million tokens in"),
        min_value=0,
        max_value=10**6,
        decimal_places=4,
        initial=0,
    )
    price_out = forms.DecimalField(
        label=_("Price of a million tokens out"),
        min_value=0,
        max_value=10**6,
        decimal_places=4,
        initial=0,
    )
    currency = forms.CharField(label=_("Currency"), min_length=3, max_length=3, initial="CNY")
    requests_per_minute = forms.IntegerField(
        label=_("Requests a minute"),
        help_text=_("Of all runs together, as are those at once."),
        min_value=1,
        max_value=60_000,
        initial=60,
    )
    parallel = forms.IntegerField(label=_("Requests at once"), min_value=1, max_value=64, initial=4)
    timeout = forms.IntegerField(
        label=_("Seconds for an answer"), min_value=1, max_value=600, initial=120
    )
    allows_private = forms.BooleanField(
        label=_("It may lie in a private network, or on this machine"), required=False
    )

    def __init__(
        self, *args: Any, provider: Provider | None, is_operator: bool, **kwargs: Any
    ) -> None:
        if provider is not None:
            kwargs["initial"] = model_to_dict(provider) | {"models": "\n".join(provider.models)}
        super().__init__(*args, **kwargs)
        has_key = provider is not None and provider.has_key
        if has_key:
            self.fields["key"].help_text = _("One is kept. Enter another to replace it.")
        else:
            self.fields["key"].help_text = _("Kept sealed; it is never shown again.")
            del self.fields["key_forget"]
        if not is_operator:
            del self.fields["allows_private"]

    def given(self) -> dict[str, Any]:
        """What the service takes; the form must be valid."""
        data = dict(self.cleaned_data)
        key, forget = data.pop("key"), data.pop("key_forget", False)
        data["models"] = data["models"].splitlines()
        return data | ({"key": key} if key or forget else {})
