"""`manage.py datasets_public_sync`: the public datasets of the list."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.errors import DomainError
from datasets import services


class Command(BaseCommand):
    """See the module."""

    help = "Make the datasets of the list known; nothing is fetched, and nothing is removed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Another list than the installation's."""
        parser.add_argument("--file", type=Path, help="default: data/dataset_info_public.json")

    def handle(self, *args: Any, **options: Any) -> None:
        """Says what changed."""
        try:
            synced = services.public_sync(options["file"])
        except DomainError as refused:
            raise CommandError(refused.message) from refused
        for word, names in (
            ("added", synced.added),
            ("changed", synced.changed),
            ("read from a file", synced.fetched),
            ("kept, though not in the list any more", synced.missing),
        ):
            if names:
                self.stdout.write(f"Public datasets {word}: {', '.join(names)}")
        for key, why in synced.problems.items():
            self.stderr.write(f"{key}: {why}")
