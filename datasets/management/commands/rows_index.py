"""Makes an index of a column, or of words in it: a process that the queue starts."""

import json
import os
import uuid
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand

from common.disks import DiskFull
from datasets import services
from datasets.management.limits import limited
from datasets.statistics.indexes import Index


class Command(BaseCommand):
    """See the module."""

    help = "Makes an index of a dataset version's column; the platform starts this by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The version's id. Column and words are in the environment, see `INDEX_ASKED`."""
        parser.add_argument("version", type=uuid.UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        """Makes it with little claim on the machine."""
        os.nice(5)
        asked = json.loads(os.environ[services.INDEX_ASKED])
        limited(memory=services.INDEX_BYTES, seconds=services.INDEX_SECONDS)
        with suppress(DiskFull):  # it is noted, for those who wait
            services.index_make(options["version"], Index(*asked))
