"""Forms whose data a service takes, or refuses."""

from collections.abc import Callable
from typing import Any

from django.forms import BaseForm

from common.errors import DomainError


def add_refusal(form: BaseForm, refused: DomainError) -> None:
    """Puts a refusal beside the field that is to blame, else above the form."""
    form.add_error(refused.field if refused.field in form.fields else None, refused.message)


def accepted(form: BaseForm, act: Callable[[dict[str, Any]], object]) -> bool:
    """Whether the form is valid and `act` took its data; a refusal becomes the form's error."""
    if not form.is_valid():
        return False
    try:
        act(form.cleaned_data)
    except DomainError as refused:
        add_refusal(form, refused)
        return False
    return True
