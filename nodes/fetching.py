"""Brings images to a node with Docker: those new on the operators' list, and those that a placed
workload lacks. One at a time, in a thread; the agent's steps write down how far it is.
"""

import logging
import threading
from collections.abc import Iterator

from django.db.models import QuerySet

from common.phrases import gettext as _
from nodes import services
from nodes.models import Image, Node, Workload
from nodes.runners import NoRoom, Unreachable
from nodes.runners.images import CannotFetch, Found, fetch
from nodes.services import follow

logger = logging.getLogger(__name__)


class Fetch:
    """One image on its way."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.is_listed = image.state == Image.State.READY  # known to the list; this node lacks it
        self.doing, self.percent = "", 0
        self.found: Found | None = None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        name = self.image.digest if self.is_listed else self.image.reference
        try:
            if not name:
                raise CannotFetch(
                    _("It was built on another machine. Build it here too, or use a registry.")
                )
            self.found = fetch(name, self._tell)
        except (CannotFetch, NoRoom, Unreachable) as error:
            self.error = error
        except Exception as error:
            logger.exception("image %s", name)
            self.error = CannotFetch(f"{type(error).__name__}: {error}")

    def _tell(self, doing: str, percent: int) -> None:
        self.doing, self.percent = doing, percent


class Fetcher:
    """What a node's agent asks about once a second."""

    def __init__(self) -> None:
        self.fetch: Fetch | None = None

    def step(self, node: Node) -> None:
        """Notes how far the present one is, ends it, or begins the next one."""
        if self.fetch is None:
            image = services.image_claim(node) or _lacking(node)
            self.fetch = Fetch(image) if image is not None else None
        elif self.fetch.thread.is_alive():
            _note(node, self.fetch)
        else:
            _end(node, self.fetch)
            self.fetch = None


def _placed(node: Node) -> QuerySet[Workload]:
    placed = Workload.objects.filter(node=node, state=Workload.State.PLACED)
    return placed.select_related("node", "image").order_by("placed_at")


def _lacking(node: Node) -> Image | None:
    """The image of the first placed workload that waits for it."""
    for workload in _placed(node):
        try:
            if not services.image_is_here(workload):
                return services.image_of(workload)
        except Unreachable:
            return None
    return None


def _waiting_for(node: Node, image: Image) -> Iterator[Workload]:
    for workload in _placed(node):
        try:
            if services.image_of(workload) == image:
                yield workload
        except services.ImageRefused:
            continue


def _note(node: Node, present: Fetch) -> None:
    if not present.is_listed:
        services.image_progress(present.image.pk, present.doing, present.percent)
        return
    facts = {"name": present.image, "percent": present.percent}
    reason = _("Fetching the image %(name)s: %(percent)s %%") % facts
    for workload in _waiting_for(node, present.image):
        follow.workload_note(workload.pk, workload.epoch, reason=reason)


def _end(node: Node, ended: Fetch) -> None:
    if isinstance(ended.error, Unreachable):
        logger.warning("image %s: %s", ended.image, ended.error)
        services.images_give_back(node)
    elif not ended.is_listed and ended.found is not None:
        services.image_ready(ended.image.pk, ended.found)
    elif not ended.is_listed:
        services.image_failed(ended.image.pk, str(ended.error))
    elif ended.error is not None:
        why = _("The image %(name)s could not be fetched: %(error)s")
        reason = why % {"name": ended.image, "error": ended.error}
        for workload in _waiting_for(node, ended.image):
            if isinstance(ended.error, NoRoom):
                follow.workload_return(workload.pk, workload.epoch, reason=reason)
            else:
                follow.workload_refuse(workload.pk, workload.epoch, reason=reason)
