"""Sends logs and metrics home to the control plane, as they grow."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from http import HTTPStatus

from nodes.staging.bringing import REFUSALS_MAX, why
from nodes.staging.carried import PIECE_BYTES, Carried, pieces, size_of
from nodes.staging.control import Away, Control, Growth, Refused

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
MESSAGE_BYTES = 6 * 1024 * 1024
SMALLEST_BYTES = 4096  # of a line; a piece that small is refused for what it is, not for its size
HEAD_BYTES = 256  # about what stands in a message for each piece
WIDER_SECONDS = 600.0  # then large messages are tried again
Sent = list[tuple[Carried, Growth]]


class Grower:
    """Of one node; `present` gives the workloads that have their place on it.

    A message that is too large for something on the way is halved until it passes. Down to a single
    line, and that cut to some KB, what is refused is left out.
    """

    def __init__(self, control: Control, present: Callable[[], Iterable[Carried]]) -> None:
        self._control = control
        self._present = present
        self._limit = MESSAGE_BYTES
        self._limited_at = 0.0
        self._by_lines = False
        self._refusals = 0  # of everything, one after the other
        self._silent = False

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            sent = self._due()
            is_full = self._by_lines or any(
                len(piece.data) >= self._piece_bytes for _one, piece in sent
            )
            try:
                await self._send(sent)
            except (Away, Refused) as error:
                if _is_too_large(error) and self._send_less(sent):
                    continue
                self._wait(error)
                await asyncio.sleep(min(0.25 * 2 ** min(self._refusals, 9), 5.0))
                continue
            if self._silent:
                logger.info("logs and metrics are sent again")
            self._silent, self._refusals = False, 0
            await asyncio.sleep(0 if is_full else LOOK_SECONDS)

    @property
    def _piece_bytes(self) -> int:
        return min(PIECE_BYTES, self._limit)

    def _due(self) -> Sent:
        """What has grown, as much as one message takes."""
        due: Sent = []
        room = self._limit
        for one in self._present():
            for piece in pieces(one, self._piece_bytes):
                if self._by_lines:
                    return [(one, _first_line(piece))]
                if room <= 0:
                    return due
                due.append((one, piece))
                room -= len(piece.data) + HEAD_BYTES
        return due

    async def _send(self, sent: Sent) -> None:
        if not sent:
            return
        answers = await self._control.grow([piece for _one, piece in sent])
        for (one, piece), answer in zip(sent, answers, strict=True):
            _grown(one, piece, answer)
        self._by_lines = False
        if time.monotonic() - self._limited_at > WIDER_SECONDS:
            self._limit = MESSAGE_BYTES

    def _send_less(self, refused: Sent) -> bool:
        """After a refusal for its size: whether less of it may pass at once."""
        size = sum(len(piece.data) for _one, piece in refused)
        if size > SMALLEST_BYTES:
            self._limit, self._limited_at = max(size // 2, SMALLEST_BYTES), time.monotonic()
            return True
        if not self._by_lines:
            self._by_lines = True
            return True
        one, piece = refused[0]
        grown = one.grown[piece.file]
        # What stands in its place is refused, too: then nothing passes, and it may pass later.
        grown.left_out = 0 if grown.left_out else len(piece.data)
        return bool(grown.left_out)

    def _wait(self, error: Away | Refused) -> None:
        """Tells why nothing can be sent. What is refused for long holds up no end for ever."""
        if not self._silent:
            logger.warning("logs and metrics cannot be sent, and wait here: %s", error)
        self._silent = True
        self._refusals += 1
        gives_up = isinstance(error, Refused) and self._refusals >= REFUSALS_MAX
        for one in self._present():
            if one.is_sealed:
                continue
            one.way.hindrance = why(error)
            if gives_up and one.ended:
                logger.warning("workload %s: the rest of its log is given up", one.workload)
                for grown in one.grown.values():
                    grown.sealed = True


def _is_too_large(error: Exception) -> bool:
    """Whether something on the way refuses it for its size, and not the control plane by a rule."""
    large = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return isinstance(error, Refused) and error.status == large and not error.code


def _first_line(piece: Growth) -> Growth:
    """The same, up to the end of its first line or to some KB."""
    end = piece.data.find(b"\n", 0, SMALLEST_BYTES) + 1 or SMALLEST_BYTES
    return piece if len(piece.data) <= end else replace(piece, data=piece.data[:end], seal=False)


def _grown(one: Carried, piece: Growth, answer: dict[str, object]) -> None:
    if "refused" in answer:
        if not one.is_over:
            logger.warning("workload %s is not taken: %s", one.workload, answer.get("detail"))
        one.is_over = True
        return
    one.way.hindrance = ""
    grown = one.grown[piece.file]
    grown.next, grown.sent_at = int(str(answer["next"])), time.monotonic()
    if grown.left_out:
        what = (one.workload, grown.left_out, piece.file, piece.offset)
        logger.warning("workload %s: left out are %s bytes of its %s from byte %s on (413)", *what)
    grown.left_out = 0
    if piece.seal and grown.next >= size_of(one.paths[piece.file]):
        grown.sealed = True
