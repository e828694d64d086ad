"""Counts tokens, and then for others that wait: the process that the queue starts."""

import os
import resource
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from datasets import services

MEMORY = 6 * 2**30  # bytes of address space, of which threads of the tokenizer reserve most
SECONDS = 3600  # of processor time


class Command(BaseCommand):
    """See the module."""

    help = "Counts a dataset version's tokens; the platform starts this by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The count's id."""
        parser.add_argument("count", type=uuid.UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        """Works with little claim on the machine: a model's tokenizer may be anything."""
        os.nice(5)
        for kind, limit in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS)):
            _soft, hard = resource.getrlimit(kind)
            mine = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (mine, hard))
        services.tokens_run(options["count"])
