"""What operators tell about a node."""

from django import forms
from django.utils.translation import gettext_lazy as _


class NoteForm(forms.Form):
    """A remark for everybody."""

    note = forms.CharField(
        label=_("Note"),
        max_length=200,
        required=False,
        help_text=_("Everybody sees it beside the node's name."),
    )
