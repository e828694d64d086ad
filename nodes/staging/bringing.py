"""Brings what a workload wrote home to the control plane: checkpoints, and all of it at its end."""

import asyncio
import logging
from http import HTTPStatus
from pathlib import Path

from common.phrases import gettext as _
from nodes.staging.carried import PIECE_BYTES, Carried, folder_names, outputs, read_piece
from nodes.staging.control import Away, Control, Refused, patiently_asleep
from nodes.staging.trees import Entry, entries_of, sha256_of

logger = logging.getLogger(__name__)

REFUSALS_MAX = 240  # by something on the way, or by the disk here: an hour
RULES_MAX = 3  # by a rule of the control plane: in an hour it is the same
OVER = frozenset({"over", "not_yours"})
BODY_MIB = 16  # what has to get through; see docs/operations.md


class Bringer:
    """Of one node; `files` limits how many are on their way at a time."""

    def __init__(self, control: Control, files: asyncio.Semaphore) -> None:
        self._control = control
        self._files = files
        self._digests: dict[tuple[str, int, int], str] = {}

    async def bring(self, one: Carried, below: str) -> None:
        """Brings a checkpoint, or with an empty `below` the whole output, home.

        What may pass is waited for; for the whole output everything else is, too, up to a limit.
        """
        tries = 0
        while below or one.with_outputs:
            try:
                await self._bring_all(one, below)
                break
            except (Away, Refused, OSError) as error:
                hindrance: Exception = error
            except Exception as error:
                logger.exception("workload %s: its output cannot be sent", one.workload)
                hindrance = error
            if _is_final(one, below, hindrance):
                return
            await patiently_asleep(tries)
            tries += 1
        one.is_home = not below

    async def _bring_all(self, one: Carried, below: str) -> None:
        files = await asyncio.to_thread(lambda: list(outputs(one.directory, below)))
        entries = await asyncio.to_thread(entries_of, files, self._digest)
        paths = {entry.sha256: one.directory / entry.path for entry in entries}
        sizes = {entry.sha256: entry for entry in entries}
        wanted = await self._control.outputs_offer(one.workload, one.epoch, entries)
        one.way.size = sum(sizes[sha256].size - offset for sha256, offset in wanted.items())
        one.way.sent, one.way.hindrance = 0, ""
        try:
            async with asyncio.TaskGroup() as group:
                for sha256, offset in wanted.items():
                    group.create_task(self._send(one, sizes[sha256], paths[sha256], offset))
        except* Away as errors:
            raise errors.exceptions[0] from None
        except* (Refused, OSError) as errors:
            raise errors.exceptions[0] from None
        folders = await asyncio.to_thread(folder_names, one.directory / "output")
        await self._control.outputs_keep(one.workload, one.epoch, below, entries, folders)

    async def _send(self, one: Carried, entry: Entry, path: Path, offset: int) -> None:
        async with self._files:
            while True:
                data = await asyncio.to_thread(read_piece, path, offset, 4 * PIECE_BYTES)
                if not data and offset < entry.size:
                    raise FileNotFoundError(path)  # it became shorter
                following = await self._control.output_send(
                    one.workload, one.epoch, entry, offset, data[: entry.size - offset]
                )
                one.way.sent += following - offset
                offset = following
                if offset >= entry.size:
                    return

    def _digest(self, path: Path) -> str:
        facts = path.stat()
        key = (str(path), facts.st_size, facts.st_mtime_ns)
        if key not in self._digests:
            if len(self._digests) > 50_000:
                self._digests.clear()
            self._digests[key] = sha256_of(path)
        return self._digests[key]


def _is_final(one: Carried, below: str, error: Exception) -> bool:
    """Notes why its output cannot be sent now. Whether no other try is worth it."""
    code = error.code if isinstance(error, Refused) else ""
    one.is_over = one.is_over or code in OVER
    if below and isinstance(error, FileNotFoundError):
        return True  # the engine keeps only some of them
    what = below or "its output"
    logger.warning("workload %s: %s cannot be sent: %s", one.workload, what, error)
    one.way.hindrance = why(error)
    if isinstance(error, Away):
        return False
    if below or one.is_over:
        return True  # a checkpoint comes with the next, or with all
    one.refusals += 1
    if one.refusals >= (RULES_MAX if code else REFUSALS_MAX):
        one.given_up = one.way.hindrance
    return bool(one.given_up)


def why(error: Exception) -> str:
    """For people."""
    if not isinstance(error, Refused):
        return str(error) or repr(error)
    if error.code:
        return error.detail
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _(
            "Something between this node and the control plane refuses requests of that size (413)."
            " Let it take %(size)s MB."
        ) % {"size": BODY_MIB}
    return f"HTTP {error.status}: {error.detail[:200]}"
