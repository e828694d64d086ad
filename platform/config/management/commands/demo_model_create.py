"""`manage.py demo_model_create`: a small untrained base model to try the platform with."""

import shutil
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DomainError
from nodes.services import image_tool_run
from registry import services

ENGINE = "llamafactory"


class Command(BaseCommand):
    """Makes the demo's base model when it is missing."""

    help = "Make the demo's base model from our own corpus, when it is not there yet."

    def add_arguments(self, parser: CommandParser) -> None:
        """The text that the tokenizer is trained on."""
        default = Path(settings.BASE_DIR) / "deploy" / "demo" / "corpus.txt"
        parser.add_argument("--corpus", type=Path, default=default)

    def handle(self, *args: object, **options: object) -> None:
        """Makes it or says that it is there."""
        make = _make_in_container if settings.NODE_RUNNER == "docker" else None
        try:
            version, made = services.demo_model_create(Path(str(options["corpus"])), make)
        except DomainError as refused:
            raise CommandError(refused.message) from refused
        word = "made" if made else "is there already"
        self.stdout.write(f"demo model {word}: {version.parameters:,} parameters")


def _make_in_container(corpus: Path, folder: Path) -> None:
    """By the engine's image, which sees the corpus and an empty folder."""
    arguments = services.demo_arguments("/input", f"/workload/{folder.name}")
    with image_tool_run(ENGINE, arguments, read=corpus) as made:
        shutil.copytree(made / folder.name, folder)
