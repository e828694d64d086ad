"""Counts tokens: the process that the queue starts, and one for each count that waits."""

import os
import resource
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from datasets import services

# The address space in bytes, of which threads of the tokenizer reserve most.
LIMITS = (
    (resource.RLIMIT_AS, 6 * 2**30),
    (resource.RLIMIT_CPU, services.COUNT_SECONDS),
    (resource.RLIMIT_CORE, 0),
)


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
        for kind, limit in LIMITS:
            _soft, hard = resource.getrlimit(kind)
            mine = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (mine, hard))
        services.tokens_count(options["count"])
