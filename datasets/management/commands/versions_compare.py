"""Compares versions, and then others that wait: the process that the queue starts."""

from datasets import services
from datasets.management.started import StartedCommand


class Command(StartedCommand):
    """See the module."""

    help = "Compares two dataset versions row by row; the platform starts this by itself."
    service = staticmethod(services.comparisons_run)
