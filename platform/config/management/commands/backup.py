"""`manage.py backup FOLDER`: everything the platform knows, while it runs."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.backup import BackupError, backup


class Command(BaseCommand):
    """See `config.backup`."""

    help = "Writes database, files and secret key into a new folder; nothing has to be stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to."""
        parser.add_argument("to", type=Path, help="a folder that is new or empty")
        parser.add_argument(
            "--with-hubs", action="store_true", help="also what was fetched from model hubs"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Says what was copied."""
        try:
            done = backup(options["to"].absolute(), with_hubs=options["with_hubs"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{done.files} files, {done.bytes / 2**20:.1f} MB in {options['to']}")
        if done.vanished:
            self.stdout.write(f"{len(done.vanished)} files were deleted meanwhile and are left out")
