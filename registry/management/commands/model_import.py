"""`manage.py model_import`: a local directory as a base model."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DomainError
from registry import services


class Command(BaseCommand):
    """Copies a local model into the platform and registers it, enabled."""

    help = "Import a directory with config.json, a tokenizer and safetensors as a base model."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where it lies and how it is called."""
        parser.add_argument("--name", required=True)
        parser.add_argument("--path", required=True, type=Path)
        parser.add_argument("--template", default="", help="chat template; empty: the model's own")
        parser.add_argument(
            "--link", action="store_true", help="link the files instead of copying them"
        )

    def handle(self, *args: object, **options: object) -> None:
        """Imports and says what was found."""
        try:
            version = services.model_import(
                Path(str(options["path"])).absolute(),
                name=str(options["name"]),
                template=str(options["template"]),
                by=None,
                link=bool(options["link"]),
            )
        except DomainError as refused:
            raise CommandError(refused.message) from refused
        self.stdout.write(f"{version}: {version.parameters:,} parameters, {version.bytes:,} bytes")
