"""`manage.py node_run`: this node's worker and agent, until Ctrl-C.

What runs on the node goes on when this ends; the next start finds it. Under systemd each of the two
has a unit of its own: see deploy/systemd.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.management.commands.serve import (
    Part,
    Supervisor,
    check_runner,
    lock_or_refuse,
)
from nodes.envfile import env_path, env_read
from nodes.management.permission import ask


class Command(BaseCommand):
    """After `node_join`, which writes the settings."""

    help = "Runs this node: its worker and its agent."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where the node's settings lie."""
        parser.add_argument("--env-file", type=Path, default=env_path())

    def handle(self, *args: Any, **options: Any) -> None:
        """Asks the control plane whether this node still fits, then runs."""
        try:
            values = env_read(options["env_file"])
        except (OSError, ValueError) as error:
            raise CommandError(f"No settings of a node: {error}. Join first.") from None
        self._ask(values)
        hints = check_runner(values.get("TRAINER_RUNNER", settings.NODE_RUNNER))
        self.stderr.writelines(hints)
        temp = Path(settings.TRAINER_HOME) / "temp"
        mine = temp / options["env_file"].stem  # machines may share the directory
        lock = lock_or_refuse(mine.with_suffix(".lock"))
        manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
        os.environ.update(values)  # for the parts, which inherit them
        parts = [
            Part("worker", [*manage, "node_worker"], gives_up=True),
            Part("agent", [*manage, "node_agent"], gives_up=True),
        ]
        try:
            status = asyncio.run(Supervisor(parts, mine.with_suffix(".json"), self._say).run())
        finally:
            lock.close()
        if status:
            raise SystemExit(status)

    def _ask(self, values: dict[str, str]) -> None:
        """A refusal ends the start; a control plane that is away does not: the database counts."""
        try:
            answer = ask(values["TRAINER_CONTROL_URL"], values["TRAINER_NODE_KEY"])
        except KeyError as missing:
            raise CommandError(f"The settings lack {missing}. Join again.") from None
        if answer is not None:
            self._say(f"This is {answer['name']}, {answer['state']}.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
