"""What the commands of a node ask before they start: the control plane, and the database."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError
from django.db import Error, connection
from django.db.migrations.recorder import MigrationRecorder

from common.errors import DomainError
from nodes.calls import Refused, Unanswered, hello
from nodes.models import Node
from nodes.services.sharing import node_key

logger = logging.getLogger(__name__)
EX_CONFIG = 78  # as in sysexits.h: trying again does not help, an operator has to act
EX_TEMPFAIL = 75  # as there: what is wrong may pass by itself, and trying again later helps
PASSING = {"clock_wrong", "version_unfit", "name_taken", "gpu_taken", "runner_differs"}


def ask(url: str, key: str) -> dict[str, Any] | None:
    """The control plane's welcome; None when it is away, which keeps no node from starting.

    Raises CommandError, with the reason, for a key, a version or a clock that it refuses.
    """
    try:
        return hello(url, key)
    except Refused as refused:
        raise refusal(f"The control plane refuses this node: {refused}", refused.code) from None
    except Unanswered as error:
        logger.warning("The control plane does not answer (%s); starting all the same.", error)
        return None


def refusal(text: str, code: str) -> CommandError:
    """A refusal to start, with a status that tells whether to try again."""
    return CommandError(text, returncode=EX_TEMPFAIL if code in PASSING else EX_CONFIG)


def refused_by_rule(error: DomainError) -> CommandError:
    """The same for a rule of the platform that said no."""
    return refusal(error.message, error.code)


def ask_for_this_node(name: str) -> None:
    """May this part start? Raises CommandError where it may not, or not yet.

    A node that was set up by hand is asked for from its second start on: it enters itself by the
    first.
    """
    with suppress(Error):  # a database that is away is waited for later
        _wait_for_migrations()
    if settings.CONTROL_URL and (settings.NODE_KEY or _is_known(name)):
        ask(settings.CONTROL_URL, node_key(name))


def _wait_for_migrations() -> None:
    """Refuses, for now, a database older than this code; what is newer than it is only noted."""
    try:
        applied = set(MigrationRecorder(connection).applied_migrations())
    finally:
        connection.close()  # the worker becomes another program
    mine = {
        (app.label, path.stem)
        for app in apps.get_app_configs()
        for path in Path(app.path).glob("migrations/0*.py")
        if Path(app.path).parent == Path(settings.BASE_DIR)  # the platform's own
    }
    missing = sorted(mine - applied)
    if missing:
        raise CommandError(
            f"The database is older than this code: {'.'.join(missing[0])} is missing. It is tried"
            " again; run `manage.py migrate` on the control plane.",
            returncode=EX_TEMPFAIL,
        )
    labels = {label for label, _name in mine}
    if newer := sorted(one for one in applied - mine if one[0] in labels):
        logger.warning(
            "The database is newer than this code (%s). Update this machine, too.",
            ".".join(newer[-1]),
        )


def _is_known(name: str) -> bool:
    """Whether a node that was set up by hand has entered itself."""
    try:
        return Node.objects.present().filter(name=name, key_hash="").exists()
    except Error:
        return False
    finally:
        connection.close()
