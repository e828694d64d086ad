"""Checks an uploaded version, and then others that wait: the process that the queue starts."""

from datasets import services
from datasets.management.started import StartedCommand


class Command(StartedCommand):
    """See the module."""

    help = "Checks an uploaded dataset version; the platform starts this by itself."
    service = staticmethod(services.checks_run)
