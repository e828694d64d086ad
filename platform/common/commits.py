"""What is done once a change stands in the database."""

from collections.abc import Callable
from typing import ParamSpec

from django.db import transaction

P = ParamSpec("P")


def after_commit(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Calls the function after the commit. What goes wrong in it is logged: the change is made."""

    def call() -> None:
        function(*args, **kwargs)

    # Django names it in that log; what has no name of this kind would fail there.
    call.__qualname__ = getattr(function, "__qualname__", repr(function))
    transaction.on_commit(call, robust=True)
