"""Forms of people and projects."""

from typing import Any

from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.forms import SignupForm as AllauthSignupForm
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import LANGUAGES, ApiKey, Invitation, Project, Role, User
from accounts.services.invitations import invitation_find
from common.errors import DomainError


class LoginForm(AllauthLoginForm):
    """allauth's form; the field says what it takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("User name or e-mail address")
        for name in ("login", "password"):
            del self.fields[name].widget.attrs["placeholder"]


class SignupForm(AllauthSignupForm):
    """allauth's form and the invitation code, which `?code=` fills in."""

    field_order = ("code", "username", "email", "password1", "password2")
    code = forms.CharField(
        label=_("Invitation code"),
        max_length=64,
        help_text=_("An operator of this installation gives it to you."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        from allauth.core import context

        if context.request is not None:
            self.fields["code"].initial = context.request.GET.get("code", "")

    def clean_code(self) -> str:
        """Refuses a code that opens nothing."""
        code = str(self.cleaned_data["code"]).strip()
        try:
            invitation_find(code)
        except DomainError as refused:
            raise forms.ValidationError(refused.message) from None
        return code

    def clean_username(self) -> str:
        """Without a good code nobody learns which names exist."""
        name = str(self.cleaned_data["username"])
        return str(super().clean_username()) if "code" in self.cleaned_data else name

    def clean_email(self) -> str:
        """Without a good code nobody learns which addresses exist."""
        email = str(self.cleaned_data["email"]).lower()
        return str(super().clean_email()) if "code" in self.cleaned_data else email

    def try_save(self, request: HttpRequest) -> tuple[Any, HttpResponse | None]:
        """Registers; what only the service can know, such as a lost race, is shown in the form."""
        try:
            user, response = super().try_save(request)
        except DomainError as refused:
            field = {"password": "password1"}.get(refused.field or "", refused.field)
            self.add_error(field if field in self.fields else None, refused.message)
            page = {"form": self, "login_url": reverse("account_login")}
            return None, render(request, "account/signup.html", page, status=422)
        return user, response


class ProfileForm(forms.Form):
    """What people say about themselves."""

    first_name = forms.CharField(
        label=_("Name"),
        max_length=150,
        required=False,
        help_text=_("How others read you. Empty: your user name."),
    )
    language = forms.ChoiceField(
        label=_("Language"),
        choices=(("", _("as the browser asks")), *LANGUAGES),
        required=False,
    )


class EmailForm(forms.Form):
    """Another e-mail address."""

    email = forms.EmailField(
        label=_("New e-mail address"), widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    password = forms.CharField(
        label=_("Your present password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text=_("So that nobody else changes where new passwords go."),
    )


class ApiKeyForm(forms.Form):
    """A new key."""

    EXPIRY = ((30, _("30 days")), (90, _("90 days")), (365, _("a year")), (0, _("no end")))

    name = forms.CharField(
        label=_("Name"), max_length=80, help_text=_("What will use it, such as “nightly script”.")
    )
    scope = forms.ChoiceField(
        label=_("Scope"),
        choices=ApiKey.Scope.choices,
        initial=ApiKey.Scope.ALL,
        help_text=_("The less a key opens, the less is lost when it gets into other hands."),
    )
    expires_in_days = forms.TypedChoiceField(
        label=_("Ends after"), choices=EXPIRY, initial=90, coerce=int
    )


class ProjectForm(forms.Form):
    """A project's name."""

    name = forms.CharField(label=_("Name"), max_length=80)


class ProjectDeleteForm(forms.Form):
    """The project's name, typed as a safeguard."""

    name = forms.CharField(
        label=_("The project's name"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class SwitchForm(forms.Form):
    """The project to work in."""

    project = forms.UUIDField()


class MemberForm(forms.Form):
    """A person to add."""

    user = forms.CharField(label=_("User name or e-mail address"), max_length=254)
    role = forms.TypedChoiceField(
        label=_("Role"), choices=Role.choices, initial=Role.RESEARCHER, coerce=int
    )


class InvitationForm(forms.Form):
    """A new invitation."""

    EXPIRY = ((7, _("a week")), (14, _("two weeks")), (90, _("90 days")), (0, _("no end")))

    note = forms.CharField(
        label=_("For whom"),
        max_length=120,
        required=False,
        help_text=_("Only operators read it, such as “summer interns”."),
    )
    max_uses = forms.IntegerField(
        label=_("May be used"), initial=1, help_text=_("How many people can register with it.")
    )
    expires_in_days = forms.TypedChoiceField(
        label=_("Ends after"), choices=EXPIRY, initial=14, coerce=int
    )
    project = forms.ModelChoiceField(
        Project.objects.none(),
        label=_("Project"),
        required=False,
        empty_label=_("none, only the personal one"),
        help_text=_("Who registers becomes a member of it."),
    )
    role = forms.TypedChoiceField(
        label=_("Role in the project"), choices=Role.choices, initial=Role.RESEARCHER, coerce=int
    )

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        projects = Project.objects.editable_by(by).filter(personal_of=None)
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]


class InvitationFilterForm(forms.Form):
    """What the list of invitations shows."""

    q = forms.CharField(required=False, max_length=120)
    state = forms.ChoiceField(
        required=False, choices=(("", _("every state")), *Invitation.State.choices)
    )


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.TypedChoiceField(label=_("Role"), choices=Role.choices, coerce=int)


class LimitsForm(forms.Form):
    """What operators let a project use."""

    max_active_jobs = forms.IntegerField(
        label=_("Jobs waiting or running at once"), min_value=0, max_value=30_000
    )
    max_storage_gib = forms.FloatField(label=_("Storage, GiB"), min_value=0, max_value=1_000_000)
