"""`manage.py storage_sync`: keeps the store in step with the directory until it is told to stop."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connection

from common import store
from config.storing import store_round

PAUSE_SECONDS = 10.0


class Command(BaseCommand):
    """One for the installation. It may be killed at any moment: the next start goes on."""

    help = "Keeps in the S3 store what has settled in TRAINER_HOME."

    def add_arguments(self, parser: CommandParser) -> None:
        """Once, or for ever."""
        parser.add_argument("--once", action="store_true", help="one round, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rounds until SIGTERM or SIGINT."""
        if not store.is_remote():
            raise CommandError("There is no store: set TRAINER_S3_BUCKET and its neighbours.")
        if options["once"]:
            done = store_round()
            self.stdout.write(f"{done.kept} stored, {done.deleted} deleted, {done.failed} failed")
            if done.failed:
                raise CommandError(f"{settings.S3_BUCKET} does not hold all.")
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.is_set():
            try:
                store_round()
            except Error as error:
                self.stderr.write(f"the database does not answer: {error}")
                connection.close()
            stop.wait(PAUSE_SECONDS)
