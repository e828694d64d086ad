"""Runs a recipe, and then others that wait: the process that the queue starts."""

from datasets import services
from datasets.management.started import StartedCommand


class Command(StartedCommand):
    """See the module."""

    help = "Runs a recipe on a dataset version; the platform starts this by itself."
    service = staticmethod(services.runs_run)
