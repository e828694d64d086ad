"""Counts what a version's rows are like, and then others that wait: a process of the queue's."""

from datasets import services
from datasets.management.started import StartedCommand


class Command(StartedCommand):
    """See the module."""

    help = "Makes a dataset version's statistics; the platform starts this by itself."
    service = staticmethod(services.statistics_run)
