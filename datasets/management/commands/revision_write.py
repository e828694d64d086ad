"""Saves decisions on rows, and then others that wait: the process that the queue starts."""

from datasets import services
from datasets.management.started import StartedCommand


class Command(StartedCommand):
    """See the module."""

    help = "Saves decisions on rows as a version; the platform starts this by itself."
    service = staticmethod(services.revisions_run)
