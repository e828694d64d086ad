"""`manage.py node_firewall`: prints the rules that this node may not set itself."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from nodes.runners import CannotStart, Unreachable
from nodes.runners.docker import DockerRunner
from nodes.services import installation_id


class Command(BaseCommand):
    """For a shell of the machine: an agent in a container has no right over its network."""

    requires_system_checks: list[str] = []  # they load every page, which it never shows
    help = "Print a shell script that keeps containers from this machine and its neighbours."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to have them set at each start of the machine."""
        parser.add_argument(
            "--at-start",
            action="store_true",
            help="print a script that has systemd set the rules now and at each start",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Makes the node's own network where there is none yet."""
        if settings.NODE_RUNNER != "docker" or settings.CONTAINER_NETWORK:
            raise CommandError("This node has no network of its own for containers.")
        try:
            runner = DockerRunner(installation_id(settings.NODE_NAME))
            script = runner.firewall_script(at_start=options["at_start"])
        except (CannotStart, Unreachable) as error:
            raise CommandError(f"The node's network could not be found: {error}") from error
        self.stdout.write(script, ending="")
