"""`manage.py node_join`: makes this machine a node of a platform, with a token of its operators."""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DomainError
from common.sealing import Unsealable, seal_with, unseal_with
from common.version import VERSION
from nodes.calls import Refused, Unanswered, call
from nodes.envfile import env_path, env_write
from nodes.machine import machine_id
from nodes.runners import RUNNERS
from nodes.services.tokens import token_parts


class Command(BaseCommand):
    """Asks the control plane, and writes what it answers to a file that only its owner reads."""

    help = "Makes this machine a node of the platform at URL, with a token from its nodes page."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where, and with what."""
        parser.add_argument("--url", required=True, help="address of the platform")
        parser.add_argument(
            "--token",
            default=os.environ.get("TRAINER_NODE_TOKEN", ""),
            help="the token; better in TRAINER_NODE_TOKEN, where no list of processes shows it",
        )
        parser.add_argument("--name", default="", help="the node's name; else the machine's")
        parser.add_argument("--runner", choices=RUNNERS, default=settings.NODE_RUNNER)
        parser.add_argument("--env-file", type=Path, default=env_path())
        parser.add_argument(
            "--again", action="store_true", help="replaces what an earlier join has written"
        )
        parser.add_argument(
            "--once", action="store_true", help="does nothing where an earlier join has written"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Joins once; prints nothing of what it got but the name."""
        path: Path = options["env_file"]
        if path.exists() and options["once"]:
            return
        if path.exists() and not options["again"]:
            raise CommandError(
                f"{path} is there already: this machine has joined. To join anew, add --again."
            )
        url = options["url"].rstrip("/")
        try:
            public, key = token_parts(options["token"])
        except DomainError as refused:
            raise CommandError(refused.message) from None
        said = {
            "name": options["name"] or socket.gethostname().partition(".")[0],
            "version": VERSION,
            "clock": time.time(),
            "machine": machine_id(),
            "runner": options["runner"],
        }
        welcome = self._ask(url, public, key, said)
        values = {str(name): str(value) for name, value in welcome["settings"].items()}
        values |= {"TRAINER_CONTROL_URL": url, "TRAINER_RUNNER": options["runner"]}
        env_write(path, values)
        self.stdout.write(f"{welcome['name']} has joined {url}. Its settings lie in {path}.")

    def _ask(self, url: str, public: str, key: bytes, said: dict[str, Any]) -> dict[str, Any]:
        message = {"token": public, "sealed": seal_with(key, json.dumps(said))}
        try:
            answer = call(f"{url}/api/v1/agent/join/", message)
            welcome = json.loads(unseal_with(key, str(answer["sealed"])))
        except Refused as refused:
            raise CommandError(f"{url} refused this machine: {refused}") from None
        except (Unanswered, Unsealable, KeyError, ValueError) as error:
            raise CommandError(f"{url} does not answer as the platform does: {error}") from None
        if not isinstance(welcome, dict):
            raise CommandError(f"{url} does not answer as the platform does.")
        return welcome
