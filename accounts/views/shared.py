"""What the app's pages share."""

from collections.abc import Callable
from typing import Any

from django.forms import Form

from common.errors import DomainError


def accepted(form: Form, act: Callable[[dict[str, Any]], object]) -> bool:
    """Whether the form is valid and `act` took its data; a refusal becomes the form's error."""
    if not form.is_valid():
        return False
    try:
        act(form.cleaned_data)
    except DomainError as refused:
        form.add_error(refused.field if refused.field in form.fields else None, refused.message)
        return False
    return True
