"""Which of the images that may run a node takes for a workload.

A node can have what lies on it, and what a registry has. What was built on another machine and is
in no registry it cannot have, whatever the list says.
"""

import uuid
from collections.abc import Iterable, Iterator, Set
from itertools import product
from typing import Any

from django.db.models import Q

from common.errors import DomainError
from common.phrases import gettext as _
from nodes.models import Image, Node, Workload


class ImageRefused(Exception):
    """No image that may run it; the text says which is missing and what to do."""


def choose(images: Iterable[Image], here: Set[uuid.UUID], *, on_gpus: bool) -> Image | None:
    """Of an engine's images, as `allowed` orders them, the one that runs on a node.

    `here` are those that lie on it. Only what was built for GPUs runs on them. Without GPUs either
    kind does: the one that is here, and of two the one that was built for that.
    """
    within = [image for image in images if image.digest or image.pk in here]
    for_gpus = next((image for image in within if image.variant != Image.Variant.CPU), None)
    if on_gpus:
        return for_gpus
    without = next((image for image in within if image.variant != Image.Variant.CUDA), None)
    found = [image for image in (without, for_gpus) if image is not None]
    return min(found, key=lambda image: image.pk not in here, default=None)


def image_named(name: str, *, engine: str) -> Image:
    """The engine's image of this name or id on the list. `DomainError` when it is not on it."""
    named = Q(reference=name) | Q(image_id=name) | Q(digest=name)
    image = Image.objects.allowed().filter(named, engine=engine).first()
    if image is None:
        raise DomainError(
            _(
                "The image %(name)s is not on the list of images that may run. Ask an operator to"
                " add it."
            )
            % {"name": name[:200]},
            field="image",
            code="image_not_allowed",
        )
    return image


def image_of(workload: Workload, here: Set[uuid.UUID]) -> Image:
    """The image that runs it on a node that has these: the one it names, else its engine's.

    A name may mean what was built under it on each node. Raises `ImageRefused`.
    """
    allowed = Image.objects.allowed().filter(engine=workload.engine)
    if workload.image is None:
        image = choose(allowed, here, on_gpus=bool(workload.gpus))
    elif workload.image.is_enabled:
        named = (workload.image, *allowed.filter(reference=workload.image.reference))
        image = next((one for one in named if one.digest or one.pk in here), None)
    else:
        raise ImageRefused(
            _("The image %(name)s was taken off the list of images that may run.")
            % {"name": workload.image}
        )
    if image is not None:
        return image
    if not allowed.exists():
        raise ImageRefused(
            _("No image of %(engine)s is on the list of images that may run.")
            % {"engine": workload.engine}
        )
    raise ImageRefused(
        _(
            "No image of %(engine)s that could run it is on %(node)s. Build one there with `make"
            " images`, or add one from a registry."
        )
        % {"engine": workload.engine, "node": workload.node}
    )


def images_here() -> set[uuid.UUID]:
    """Those of the list that may run and lie on this machine. Raises `Unreachable`."""
    from nodes.runners import images  # see `nodes.runners.runner`

    allowed = list(Image.objects.allowed())
    held = images.held() if allowed else frozenset()
    return {image.pk for image in allowed if held & {image.image_id, image.digest}}


def images_on_nodes(images: Iterable[Image]) -> dict[uuid.UUID, list[str]]:
    """The names of the nodes on which each of these lies, as they say themselves."""
    nodes = list(Node.objects.present().filter(runner="docker"))
    return {image.pk: [node.name for node in nodes if _has(node, image)] for image in images}


def _has(node: Node, image: Image) -> bool:
    return str(image.pk) in node.facts.get("images", ())


def _by_engine() -> dict[str, list[Image]]:
    engines: dict[str, list[Image]] = {}
    for image in Image.objects.allowed():
        engines.setdefault(image.engine, []).append(image)
    return engines


def images_by_default() -> set[uuid.UUID]:
    """Those that some node takes for what names none; before there are nodes, that one would."""
    nodes = list(Node.objects.present().filter(runner="docker"))
    return {image.pk for images in _by_engine().values() for image in _taken(images, nodes)}


def _taken(images: list[Image], nodes: Iterable[Node]) -> Iterator[Image]:
    """Of an engine's images those that these nodes take, with GPUs or without."""
    places = [{image.pk for image in images if _has(node, image)} for node in nodes]
    for here, on_gpus in product(places or [{image.pk for image in images}], (False, True)):
        image = choose(images, here, on_gpus=on_gpus)
        if image is not None:
            yield image


def images_offer(missing: Set[uuid.UUID] = frozenset()) -> tuple[list[str], dict[str, Any]]:
    """Engines that containers on this machine can run, and facts: those that can use GPUs, the
    images that lie here, and those that are missing. Raises `Unreachable`.

    `missing` could not be fetched lately: what would run with these is for other nodes.
    """
    here, engines = images_here(), _by_engine()
    lacks = missing - here

    def able(*, on_gpus: bool) -> list[str]:
        found = {name: choose(images, here, on_gpus=on_gpus) for name, images in engines.items()}
        return sorted(name for name, image in found.items() if image and image.pk not in lacks)

    facts = {
        "gpu_engines": able(on_gpus=True),
        "images": sorted(map(str, here)),
        "missing_images": sorted(map(str, lacks)),
    }
    return able(on_gpus=False), facts


def local_id(image: Image) -> str:
    """Its id on this machine, empty when it is not here. Raises `Unreachable`."""
    from nodes.runners import images  # see `nodes.runners.runner`

    return images.present(image.image_id, image.digest)


def image_is_here(workload: Workload) -> bool:
    """Whether its start needs no fetching. Raises `Unreachable`."""
    here = images_here()
    try:
        return image_of(workload, here).pk in here
    except ImageRefused:
        return True  # the start will say so
