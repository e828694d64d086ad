"""Fetches data for an import, and then for others that wait: the process that the queue starts."""

from datasets import services
from datasets.management.started import StartedCommand


class Command(StartedCommand):
    """See the module."""

    help = "Fetches the data of an import; the platform starts this by itself."
    service = staticmethod(services.imports_run)
