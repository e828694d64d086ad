"""`manage.py restore FOLDER`: a backup into a new home and an empty database."""

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.backup import (
    BackupError,
    manifest_of,
    refuse_used,
    restore_database,
    restore_files,
)
from nodes.services import restored


class Command(BaseCommand):
    """See `config.backup`. The second half runs in a process that knows the restored secret key."""

    help = "Puts a backup into a new TRAINER_HOME and an empty database."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where from."""
        parser.add_argument("folder", type=Path, help="what `backup` wrote")
        parser.add_argument("--settle", action="store_true", help="only the second half")

    def handle(self, *args: Any, **options: Any) -> None:
        """Files, database, migrations; then what ran is given up as lost and tried again."""
        folder = options["folder"].absolute()
        if options["settle"]:
            lost = restored()
            self.stdout.write(f"{lost} workloads ran when the backup was made, and are lost now")
            return
        try:
            with (Path(settings.TRAINER_HOME) / "temp" / "serve.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                content = manifest_of(folder)
                refuse_used()
                done = restore_files(folder, with_secret=content["holds_secret"])
                restore_database(folder)
        except BlockingIOError:
            raise CommandError("The platform is being served from this directory.") from None
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{done.files} files, {done.bytes / 2**20:.1f} MB of {content['made_at']}"
        )
        self.stdout.flush()
        manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
        for words in (
            ["migrate", "--verbosity", "0"],
            ["createcachetable"],
            ["restore", str(folder), "--settle"],
        ):
            if subprocess.run([*manage, *words], check=False).returncode:
                raise CommandError(f"`manage.py {words[0]}` failed after the restore.")
