"""`manage.py node_firewall`: prints the rules that this node may not set itself."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from nodes.runners import CannotStart, Unreachable
from nodes.runners.docker import DockerRunner
from nodes.services import installation_id


class Command(BaseCommand):
    """For a shell of the machine: an agent in a container has no right over its network."""

    requires_system_checks: list[str] = []  # they load every page, which it never shows
    help = "Print a shell script that keeps containers from this machine and its neighbours."

    def handle(self, *args: Any, **options: Any) -> None:
        """Makes the node's own network where there is none yet."""
        if settings.NODE_RUNNER != "docker" or settings.CONTAINER_NETWORK:
            raise CommandError("This node has no network of its own for containers.")
        try:
            script = DockerRunner(installation_id(settings.NODE_NAME)).firewall_script()
        except (CannotStart, Unreachable) as error:
            raise CommandError(f"The node's network could not be found: {error}") from error
        self.stdout.write(script, ending="")
