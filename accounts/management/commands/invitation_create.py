"""`manage.py invitation_create`: an invitation from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Project
from accounts.services import invitation_create
from common.errors import DomainError
from common.texts import id_of


class Command(BaseCommand):
    """Makes an invitation and prints its code, which is shown this once."""

    help = "Make an invitation to register; its code is printed once and not kept."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("--uses", type=int, default=1, help="how many people may use it")
        parser.add_argument("--days", type=int, help="after how many days it expires")
        parser.add_argument("--note", default="", help="for whom it is")
        parser.add_argument("--project", help="id or name of a project they become members of")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints what was made, the code alone on the last line."""
        try:
            invitation, code = invitation_create(
                created_by=None,
                max_uses=options["uses"],
                expires_in_days=options["days"],
                note=options["note"],
                project=self._project(options["project"]) if options["project"] else None,
            )
        except DomainError as refused:
            raise CommandError(refused.message) from None
        until = f"until {invitation.expires_at:%Y-%m-%d}" if invitation.expires_at else "no end"
        self.stdout.write(f"Uses: {invitation.max_uses}, {until}. The code, shown this once:")
        self.stdout.write(code)

    @staticmethod
    def _project(wanted: str) -> Project:
        key = id_of(wanted)
        named = {"pk": key} if key else {"name": wanted, "personal_of": None}
        found = Project.objects.filter(**named)
        if len(found) != 1:
            raise CommandError(f"{len(found)} projects are called {wanted!r}; name it by its id.")
        return found[0]
