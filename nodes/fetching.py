"""Brings images to a node with Docker: those that a placed workload lacks, then those new on the
operators' list. Each in a thread; the agent's steps write down how far they are.

One at a time, as they share disk and line. While none of them hears a word, as from a registry that
takes a question and never answers, the next one is begun beside them.
"""

import logging
import threading
import time
from collections.abc import Set
from uuid import UUID

from common.phrases import gettext as _
from nodes import services
from nodes.models import Image, Node, Workload
from nodes.runners import NoRoom, Unreachable
from nodes.runners.images import CannotFetch, Found, fetch
from nodes.services import follow
from nodes.services.planning import nudge

logger = logging.getLogger(__name__)

MOST = 4  # at a time
SILENT_SECONDS = 10.0  # without a word; then another one may begin
MISSING_SECONDS = 600.0  # so long what only other nodes have is left to them


class Fetch:
    """One image on its way."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.is_listed = image.state == Image.State.READY  # known to the list; this node lacks it
        self.doing, self.percent = "", 0
        self.heard_at = time.monotonic()
        self.found: Found | None = None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    @property
    def is_silent(self) -> bool:
        """Whether nothing was heard of it for a while."""
        return time.monotonic() - self.heard_at > SILENT_SECONDS

    @property
    def reason(self) -> str:
        """Why it could not be had."""
        why = _("The image %(name)s could not be fetched: %(error)s")
        return why % {"name": self.image, "error": self.error}

    def lies_elsewhere(self, node: Node) -> bool:
        """Whether its registry has lost what lies on another node than this one."""
        if not self.is_listed or not isinstance(self.error, CannotFetch):
            return False
        return bool({*services.images_on_nodes([self.image])[self.image.pk]} - {node.name})

    def _work(self) -> None:
        name = self.image.digest if self.is_listed else self.image.reference
        try:
            self.found = fetch(name, self._tell)
        except (CannotFetch, NoRoom, Unreachable) as error:
            self.error = error
        except Exception as error:
            logger.exception("image %s", name)
            self.error = CannotFetch(f"{type(error).__name__}: {error}")

    def _tell(self, doing: str, percent: int) -> None:
        self.doing, self.percent, self.heard_at = doing, percent, time.monotonic()


class Placed:
    """The workloads placed on a node, and the images that lie on it. Raises `Unreachable`."""

    def __init__(self, node: Node) -> None:
        placed = Workload.objects.filter(node=node, state=Workload.State.PLACED)
        self.rows = list(placed.select_related("node", "image").order_by("placed_at"))
        self.here: Set[UUID] = services.images_here() if self.rows else set()

    def images(self) -> dict[Image, list[Workload]]:
        """What they run with, in their order."""
        found: dict[Image, list[Workload]] = {}
        for workload in self.rows:
            try:
                found.setdefault(services.image_of(workload, self.here), []).append(workload)
            except services.ImageRefused:
                continue
        return found


class Fetcher:
    """What a node's agent asks about once a second."""

    def __init__(self) -> None:
        self.fetches: list[Fetch] = []
        self._missing: dict[UUID, float] = {}  # images of the list, and since when

    @property
    def missing(self) -> Set[UUID]:
        """Images that other nodes have, and that this one could not fetch lately."""
        now = time.monotonic()
        return {pk for pk, since in self._missing.items() if now - since < MISSING_SECONDS}

    def step(self, node: Node) -> None:
        """Notes how far the present ones are, ends those that are over, and begins the next."""
        try:
            placed = Placed(node)
        except Unreachable:
            return
        waiting = placed.images()
        for one in list(self.fetches):
            if one.thread.is_alive():
                _note(one, waiting.get(one.image, []))
            else:
                self.fetches.remove(one)
                self._end(node, one, waiting.get(one.image, []))
        if len(self.fetches) < MOST and all(one.is_silent for one in self.fetches):
            image = self._lacking(waiting, placed.here) or services.image_claim(node)
            self.fetches += [Fetch(image)] if image is not None else []

    def _end(self, node: Node, ended: Fetch, waiting: list[Workload]) -> None:
        """What waits for an image that only other nodes have goes to one of them."""
        if not ended.lies_elsewhere(node):
            _end(node, ended, waiting)
            return
        self._missing[ended.image.pk] = time.monotonic()
        for workload in waiting:
            follow.workload_return_without_image(workload, ended.reason, self.missing)

    def _lacking(self, waiting: dict[Image, list[Workload]], here: Set[UUID]) -> Image | None:
        """The first image that a placed workload waits for and nobody brings yet."""
        busy = {one.image.pk for one in self.fetches}
        return next((image for image in waiting if image.pk not in here | busy), None)


def _note(present: Fetch, waiting: list[Workload]) -> None:
    if not present.is_listed:
        services.image_progress(present.image.pk, present.doing, present.percent)
        return
    facts = {"name": present.image, "percent": present.percent}
    reason = _("Fetching the image %(name)s: %(percent)s %%") % facts
    services.workloads_fetched_for(waiting)
    for workload in waiting:
        follow.workload_note(workload.pk, workload.epoch, reason=reason)


def _end(node: Node, ended: Fetch, waiting: list[Workload]) -> None:
    if isinstance(ended.error, Unreachable):
        logger.warning("image %s: %s", ended.image, ended.error)
        services.image_give_back(ended.image.pk)
    elif not ended.is_listed and ended.found is not None:
        services.image_ready(ended.image.pk, ended.found)
    elif not ended.is_listed:
        services.image_failed(ended.image.pk, str(ended.error))
    elif ended.error is not None:
        for workload in waiting:
            if isinstance(ended.error, NoRoom):
                follow.workload_return(workload.pk, workload.epoch, reason=ended.reason)
            else:
                follow.workload_refuse(workload.pk, workload.epoch, reason=ended.reason)
    else:
        for workload in waiting:
            nudge(workload, node)
