"""Builds of images. Each holds a lock for as long as it lives, so that its death is noticed."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from common.phrases import gettext as _
from nodes.models import Image
from nodes.services.images import image_failed


def _lock(image: Image) -> Path:
    return Path(settings.TRAINER_HOME) / "temp" / f"build-{image.pk}.lock"


def _cut_off() -> str:
    return _("The build was cut off. Start it again.")


@contextmanager
def image_build_held(image: Image) -> Iterator[None]:
    """While this lasts the image is being built by this process; without an end it has failed."""
    path = _lock(image)
    draft = path.with_suffix(".draft")  # nobody may find it unlocked
    with draft.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        draft.replace(path)
        try:
            yield
        finally:
            image_failed(image.pk, _cut_off())  # changes nothing where it is ready, or why is known
            path.unlink()


def images_cut_off() -> None:
    """Builds of this machine at which nobody works any more have failed."""
    for image in Image.objects.filter(state=Image.State.BUILDING):
        path = _lock(image)
        try:
            with path.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another machine's, or somebody works at it
            continue
        image_failed(image.pk, _cut_off())
        path.unlink(missing_ok=True)
