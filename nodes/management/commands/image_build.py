"""`manage.py image_build`: builds engines' images on this machine and lists them."""

import os
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DomainError
from nodes import services
from nodes.machine import Machine
from nodes.runners import Unreachable
from nodes.runners.images import CannotFetch, build

PASSED_ON = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
NOTE_SECONDS = 1.0


class Command(BaseCommand):
    """One image for each engine; what has not changed is not built again."""

    help = "Build the images of engines and put them on the list of images that may run."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which engines, and what they are built on."""
        deploy = Path(settings.BASE_DIR) / "deploy"
        images = {path.parent.name for path in deploy.glob("images/*/Dockerfile")}
        known = sorted(path.name for path in deploy.glob("engines/*") if path.name in images)
        parser.add_argument("engines", nargs="*", choices=[*known, []], metavar="ENGINE")
        parser.add_argument("--base", default="", help="the image that they stand on")
        parser.add_argument("--build-base", default="", help="used for fetching the packages only")
        parser.add_argument("--variant", choices=("cpu", "cuda"), help="by the driver that is here")
        parser.add_argument("--network", default="", help="of the build, for example host")
        parser.set_defaults(known=known)

    def handle(self, *args: Any, **options: Any) -> None:
        """Builds one after the other."""
        services.images_cut_off()
        for engine in options["engines"] or options["known"]:
            try:
                self._build(engine, options)
            except DomainError as refused:
                raise CommandError(refused.message) from refused
            except (CannotFetch, Unreachable) as error:
                raise CommandError(f"The image of {engine} could not be built: {error}") from error
        services.images_publish()

    def _build(self, engine: str, options: dict[str, Any]) -> None:
        variant = options["variant"] or _variant()
        reference = f"llm-cloud-trainer/{engine}:{variant}"
        deploy = Path(settings.BASE_DIR) / "deploy"
        args = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
        args["VARIANT"] = variant
        if options["base"]:
            args["BASE"] = options["base"]
        if options["build_base"] or options["base"]:
            args["BUILD_BASE"] = options["build_base"] or options["base"]
        image = services.image_build_begin(reference)
        noted = 0.0

        def tell(line: str, percent: int) -> None:
            nonlocal noted
            self.stdout.write(f"{percent:>3} % {line}")
            self.stdout.flush()
            if time.monotonic() - noted > NOTE_SECONDS:
                noted = time.monotonic()
                services.image_progress(image.pk, line, percent)

        with services.image_build_held(image):
            try:
                found = build(
                    deploy,
                    f"images/{engine}/Dockerfile",
                    reference,
                    args=args,
                    network=options["network"],
                    tell=tell,
                )
            except (CannotFetch, Unreachable) as error:
                services.image_failed(image.pk, str(error))
                raise
            services.image_ready(image.pk, found)
        size = found.size / 2**30
        self.stdout.write(f"{reference} is ready and may run ({size:.1f} GiB, {found.id[7:19]})")


def _variant() -> str:
    """Which build of the engine this machine can use."""
    return "cuda" if Machine(Path(settings.TRAINER_HOME)).gpus() else "cpu"
