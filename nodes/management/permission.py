"""What the commands of a node ask the control plane before they start."""

import logging
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from nodes.calls import Refused, Unanswered, hello

logger = logging.getLogger(__name__)
EX_CONFIG = 78  # as in sysexits.h: trying again does not help, an operator has to act


def ask(url: str, key: str) -> dict[str, Any] | None:
    """The control plane's welcome; None when it is away, which keeps no node from starting.

    Raises CommandError, with the reason, for a key, a version or a clock that it refuses.
    """
    try:
        return hello(url, key)
    except Refused as refused:
        raise CommandError(
            f"The control plane refuses this node: {refused}", returncode=EX_CONFIG
        ) from None
    except Unanswered as error:
        logger.warning("The control plane does not answer (%s); starting all the same.", error)
        return None


def ask_for_this_node() -> None:
    """The same, for a part of a node that joined; one that was set up by hand has no key."""
    if settings.CONTROL_URL and settings.NODE_KEY:
        ask(settings.CONTROL_URL, settings.NODE_KEY)
