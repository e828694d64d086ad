"""`manage.py operator_create`: the first user of an installation."""

import getpass
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services import operator_create
from common.errors import DomainError

PASSWORD_VARIABLE = "TRAINER_OPERATOR_PASSWORD"  # noqa: S105  the name of a variable


class Command(BaseCommand):
    """Makes an operator: on a fresh installation the first user."""

    help = (
        "Make an operator. The password comes from --password, from the environment variable "
        f"{PASSWORD_VARIABLE}, or is asked for."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("--username", required=True)
        parser.add_argument("--email", required=True)
        parser.add_argument("--password", help=f"better: {PASSWORD_VARIABLE} or the prompt")
        parser.add_argument(
            "--if-missing", action="store_true", help="do nothing when the user name exists"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Makes the operator; CommandError when the name exists or something is refused."""
        name = options["username"]
        if User.objects.filter(username__iexact=name).exists():
            if options["if_missing"]:
                self.stdout.write(f"{name} exists already; nothing was changed.")
                return
            raise CommandError(
                f"A user called {name} exists already. Choose another name, or give --if-missing."
            )
        password = options["password"] or os.environ.get(PASSWORD_VARIABLE) or self._ask()
        try:
            operator_create(username=name, email=options["email"], password=password)
        except DomainError as refused:
            raise CommandError(f"{refused.field}: {refused.message}") from None
        self.stdout.write(f"{name} is an operator and can log in now.")

    @staticmethod
    def _ask() -> str:
        if not sys.stdin.isatty():
            raise CommandError(f"Give a password by --password or {PASSWORD_VARIABLE}.")
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            raise CommandError("The two passwords differ. Nothing was made.")
        return password
