"""Forms of people and projects."""

from django import forms


class SignupForm(forms.Form):
    """Placeholder fields are added by allauth."""
