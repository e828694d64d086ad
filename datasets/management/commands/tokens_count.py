"""Counts tokens: the process that the queue starts, and one for each count that waits."""

import os
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from datasets import services
from datasets.management.limits import limited

MEMORY = 6 * 2**30  # bytes of address space, of which threads of the tokenizer reserve most


class Command(BaseCommand):
    """See the module."""

    help = "Counts tokens of dataset versions; the platform starts this by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The count's id; without it all that wait are counted, each in a process of its own."""
        parser.add_argument("count", type=uuid.UUID, nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        """Counts with little claim on the machine: a model's tokenizer may be anything."""
        if options["count"] is None:
            services.tokens_run()
            return
        os.nice(5)
        limited(memory=MEMORY, seconds=services.COUNT_SECONDS)
        services.tokens_count(options["count"])
