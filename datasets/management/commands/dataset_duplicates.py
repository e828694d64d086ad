"""Counts near duplicates of a version, then of others that wait: a process of the queue's."""

import os
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from datasets import services


class Command(BaseCommand):
    """See the module."""

    help = "Counts near duplicates of a dataset version; the platform starts this by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The version's id."""
        parser.add_argument("version", type=uuid.UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        """Counts with little claim on the processor: pages and trainings come first."""
        os.nice(5)
        services.duplicates_run(options["version"])
