"""Forms of deployments and conversations."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Project, User
from inference.models import Deployment
from inference.openai import TOKENS_MAX
from inference.services import version_refusal
from registry.models import ModelVersion


class DeploymentForm(forms.Form):
    """Which version to put into service, and for how long without use."""

    version = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        label=_("Model version"),
        help_text=_("The project's own versions first, then the base models."),
        empty_label=_("choose a version"),
    )
    idle_minutes = forms.IntegerField(
        label=_("Unload after idle minutes"),
        min_value=1,
        max_value=7 * 24 * 60,
        help_text=_(
            "Frees memory for others when nobody asks it anything. Deploying again is one click."
        ),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["version"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = (
            ModelVersion.objects.usable_in(project)
            .exclude(kind=ModelVersion.Kind.REWARD)
            .select_related("model", "base")
        )
        fit = [row for row in field.queryset if not version_refusal(row, project=project)]
        own = [(str(row.pk), str(row)) for row in fit if row.model.project_id]
        base = [(str(row.pk), str(row)) for row in fit if not row.model.project_id]
        groups: list[Any] = [("", field.empty_label or "")]
        groups += [(_("of the project"), own)] if own else []
        groups += [(_("base models"), base)] if base else []
        field.choices = groups
        self.has_choices = bool(fit)


class SettingsForm(forms.Form):
    """What a conversation's model gets along with the questions."""

    deployment = forms.ModelChoiceField(Deployment.objects.none(), label=_("Model"), required=False)
    system_prompt = forms.CharField(
        label=_("System prompt"),
        required=False,
        max_length=20000,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Who the model is and how it should answer. Sent before the first question."),
    )
    temperature = forms.FloatField(
        label=_("Temperature"),
        required=False,
        min_value=0,
        max_value=2,
        help_text=_("0 always takes the likeliest word; higher is more varied."),
        widget=forms.NumberInput(attrs={"step": "0.1"}),
    )
    top_p = forms.FloatField(
        label=_("Choice of words"),
        required=False,
        min_value=0,
        max_value=1,
        help_text=_("Only the likeliest words that together have this probability."),
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )
    max_tokens = forms.IntegerField(
        label=_("Longest answer, tokens"), required=False, min_value=1, max_value=TOKENS_MAX
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        required=False,
        help_text=_("The same seed gives the same answer. Empty: a new one each time."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["deployment"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Deployment.objects.editable_by(user)

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling settings of a valid form; empty ones are left to the model."""
        names = ("temperature", "top_p", "max_tokens", "seed")
        given = {name: self.cleaned_data.get(name) for name in names}
        return {name: value for name, value in given.items() if value is not None}


class QuestionForm(forms.Form):
    """A question, for pages without scripts."""

    text = forms.CharField(label=_("Question"), max_length=200_000)


class TitleForm(forms.Form):
    """A conversation's name."""

    title = forms.CharField(label=_("Name"), max_length=120)
