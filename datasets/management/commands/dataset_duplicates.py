"""Counts near duplicates of a version, then of others that wait: a process of the queue's."""

from datasets import services
from datasets.management.started import StartedCommand


class Command(StartedCommand):
    """See the module."""

    help = "Counts near duplicates of a dataset version; the platform starts this by itself."
    service = staticmethod(services.duplicates_run)
