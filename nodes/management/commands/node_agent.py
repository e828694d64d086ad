"""`manage.py node_agent`: follows the workloads of this machine until it is told to stop."""

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from common.errors import DomainError
from nodes import agent
from nodes.management.permission import ask_for_this_node, refused_by_rule
from nodes.priority import give_way


class Command(BaseCommand):
    """One per node. Workloads go on without it; it takes them up again when it starts."""

    requires_system_checks: list[str] = []  # they load every page, which it never shows
    help = "Beats, follows and tidies up the workloads of this node."

    def add_arguments(self, parser: CommandParser) -> None:
        """The node's name."""
        parser.add_argument("--name", default=settings.NODE_NAME, help="the node's name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs until SIGTERM or SIGINT, if the control plane does not refuse this node."""
        give_way()
        ask_for_this_node(options["name"])
        try:
            asyncio.run(self._run(options["name"]))
        except DomainError as refused:
            raise refused_by_rule(refused) from None

    async def _run(self, name: str) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await agent.run(name, stop.wait())
