"""What the processes have in common that the queue starts for work on data."""

import os
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand


class StartedCommand(BaseCommand):
    """Does one piece of work, then others of its kind that wait."""

    service: Callable[[uuid.UUID], None]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The id of what to begin with."""
        parser.add_argument("id", type=uuid.UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        """Works with little claim on the processor: pages and trainings come first."""
        os.nice(5)
        self.service(options["id"])
