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


class ImageForm(forms.Form):
    """An image for the list of those that may run."""

    reference = forms.CharField(
        label=_("Name of the image"),
        max_length=255,
        help_text=_("Its registry before it, its tag or digest behind it, as for docker pull."),
    )
