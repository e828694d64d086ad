"""What a press of a button does, and what the next page says of it."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest

from common.errors import DomainError


def acted(request: HttpRequest, act: Callable[[], object], said: str = "") -> bool:
    """Whether it was done. The next page says so, where there is something to say, or else why it
    was refused.
    """
    try:
        act()
    except DomainError as refused:
        messages.error(request, refused.message)
        return False
    if said:
        messages.success(request, said)
    return True
