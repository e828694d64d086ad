"""Compares versions, and then others that wait: the process that the queue starts."""

import os
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from datasets import services


class Command(BaseCommand):
    """See the module."""

    help = "Compares two dataset versions row by row; the platform starts this by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The comparison's id."""
        parser.add_argument("comparison", type=uuid.UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        """Works with little claim on the processor: pages and trainings come first."""
        os.nice(5)
        services.comparisons_run(options["comparison"])
