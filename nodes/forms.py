"""What operators tell about a node."""

from django import forms
from django.utils.translation import gettext_lazy as _

from nodes.models import AlertChannel, Node


class NoteForm(forms.Form):
    """A remark for everybody."""

    note = forms.CharField(
        label=_("Note"),
        max_length=200,
        required=False,
        help_text=_("Everybody sees it beside the node's name."),
    )


class NodeTokenForm(forms.Form):
    """A token for one machine."""

    note = forms.CharField(
        label=_("For which machine"),
        max_length=120,
        required=False,
        help_text=_("For you to tell tokens apart; the machine brings its own name."),
    )
    hours = forms.IntegerField(
        label=_("Hours until it expires"),
        min_value=1,
        max_value=720,
        initial=24,
        help_text=_("It opens once and not after that."),
    )


class DrainForm(forms.Form):
    """How a node is emptied."""

    suffix = ""  # of the ids of its dialogs, on a page with several nodes

    mode = forms.ChoiceField(
        label=_("What runs there"),
        choices=[choice for choice in Node.Drain.choices if choice[0]],
        initial=Node.Drain.WAIT,
        widget=forms.RadioSelect,
    )


class AlertRuleForm(forms.Form):
    """When trouble counts as such; the service looks whether the figures fit together."""

    is_enabled = forms.BooleanField(label=_("Watched"), required=False)
    threshold = forms.FloatField(label=_("Threshold"))
    clear = forms.FloatField(label=_("Over at"))
    hold_seconds = forms.IntegerField(label=_("For so many seconds"), min_value=0)


class AlertChannelForm(forms.Form):
    """A further place to tell alerts."""

    kind = forms.ChoiceField(label=_("How"), choices=AlertChannel.Kind.choices)
    target = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_("An e-mail address, or the https:// address of a receiver."),
    )
    allows_private = forms.BooleanField(
        label=_("The receiver lies in a private network"), required=False
    )


class ImageForm(forms.Form):
    """An image for the list of those that may run."""

    reference = forms.CharField(
        label=_("Name of the image"),
        max_length=255,
        help_text=_("Its registry before it, its tag or digest behind it, as for docker pull."),
    )
