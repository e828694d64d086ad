"""Carries a node's files to and from the control plane, for nodes that do not share its directory.

The agent says which workloads have their place here and asks three things: are the inputs here, is
everything the workload wrote at home, what is there to tidy up. The answers come at once; the work
is done beside it in the event loop, and begins anew wherever it stood when the agent is restarted:
offsets are asked for, contents that are there are not sent again.
"""

import asyncio
import logging
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from django.conf import settings

from nodes.models import Workload
from nodes.runners import NoRoom
from nodes.runners.files import FULL
from nodes.staging.bringing import Bringer
from nodes.staging.cache import InputCache
from nodes.staging.carried import Carried, Way, carried
from nodes.staging.control import Away, Control, Refused, patiently_asleep
from nodes.staging.growing import Grower
from nodes.staging.trees import Entry

logger = logging.getLogger(__name__)

CACHE = "cache"
LOOK_SECONDS = 0.1
PARALLEL = 4  # files on their way at a time
WRONG_MAX = 3  # contents that come wrong so often are given up
BEGUN = (Workload.State.STARTING, Workload.State.RUNNING, Workload.State.STOPPING)


class NotBrought(Exception):
    """Inputs cannot be brought here, or outputs home; the text says why."""


class Carrier:
    """One node's. `look`, `inputs_of` and `is_home` may be called from any thread."""

    def __init__(self, control: Control, home: Path, cache: InputCache) -> None:
        self._control = control
        self._home = home
        self._cache = cache
        self._carried: dict[uuid.UUID, Carried] = {}
        self._files = asyncio.Semaphore(PARALLEL)
        self._bringer = Bringer(control, self._files)
        self._grower = Grower(control, lambda: list(self._carried.values()))

    def look(self, rows: Sequence[Workload]) -> None:
        """These workloads have their place here now; what is not among them is dropped."""
        present = {}
        for row in rows:
            if row.state not in BEGUN:
                continue
            known = self._carried.get(row.pk)
            if known is None or known.epoch != row.epoch:
                known = carried(row)
                try:
                    self._cache.note(row.pk)
                except OSError as error:
                    if error.errno not in FULL:
                        raise
                    known.lacks_room, known.trouble = True, str(error)
            present[row.pk] = known
        self._carried = present

    def inputs_of(self, row: Workload) -> dict[str, Path] | None:
        """Where its inputs lie; None while they are brought. Raises `NotBrought` or `NoRoom`."""
        known = self._of(row)
        if known is None:
            return None
        known.wants_inputs = True
        if known.trouble:
            raise (NoRoom if known.lacks_room else NotBrought)(known.trouble)
        return known.fetched

    def is_home(self, row: Workload) -> bool:
        """Its process has ended: whether all that it wrote is at the control plane.

        Raises `NotBrought` when it will never be.
        """
        known = self._of(row)
        if known is None:
            return False
        known.with_outputs = not row.is_service and row.stop_mode != "kill"
        known.ended = True
        if known.given_up and known.with_outputs:
            raise NotBrought(known.given_up)
        return known.is_home or known.is_over

    def keep(self, row: Workload) -> Path:
        """Has kept on this node, for a while, what never comes home; where it will lie."""
        return self._cache.keep(row.pk)

    def way_of(self, row: Workload) -> Way:
        """How far what an ended one wrote is on its way."""
        known = self._of(row)
        return known.way if known is not None else Way()

    def _of(self, row: Workload) -> Carried | None:
        known = self._carried.get(row.pk)
        return known if known is not None and known.epoch == row.epoch else None

    def left_over(self) -> set[uuid.UUID]:
        """Workloads that had their place here and of which something may still lie here."""
        return set(self._cache.users()) - self._carried.keys()

    def tidy_up(self, workload: uuid.UUID) -> None:
        """Removes what an ended workload left here; what it read stays in the cache."""
        left = self._home / "output" / str(workload)
        self._cache.take_kept(workload, left)
        shutil.rmtree(left, ignore_errors=True)
        (self._home / "logs" / f"{workload}.log").unlink(missing_ok=True)
        self._cache.release(workload)

    async def run(self) -> None:
        """Works until it is cancelled."""
        seen: dict[uuid.UUID, Carried] = {}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._grower.run())
                while True:
                    for one in list(self._carried.values()):
                        self._begin_what_is_due(one)
                    for key, one in seen.items():
                        if self._carried.get(key) is not one:
                            _cancel(one)
                    seen = dict(self._carried)
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            for one in seen.values():
                _cancel(one)
            await self._control.close()

    def _begin_what_is_due(self, one: Carried) -> None:
        if one.is_over:
            return
        if one.wants_inputs and one.fetching is None and one.fetched is None and not one.trouble:
            one.fetching = asyncio.create_task(self._fetch(one))
        busy = one.bringing is not None and not one.bringing.done()
        if busy or one.is_home or (one.given_up and one.with_outputs):
            return
        if one.ended and one.is_sealed:
            one.bringing = asyncio.create_task(self._bringer.bring(one, ""))
        elif one.checkpoint and not one.ended:
            name, one.checkpoint = one.checkpoint, ""
            one.bringing = asyncio.create_task(self._bringer.bring(one, f"output/{name}"))

    async def _fetch(self, one: Carried) -> None:
        """Brings the inputs, however long the control plane is away."""
        tries = 0
        while True:
            try:
                await self._fetch_all(one)
            except Away as error:
                logger.warning("workload %s: its inputs cannot be fetched: %s", one.workload, error)
                await patiently_asleep(tries)
                tries += 1
                continue
            except Refused as error:
                one.is_over = error.code in {"over", "not_yours"}
                one.trouble = error.detail
            except (NoRoom, NotBrought, OSError) as error:
                full = isinstance(error, OSError) and error.errno in FULL
                one.lacks_room = full or isinstance(error, NoRoom)
                one.trouble = str(error)
            except Exception as error:
                logger.exception("workload %s: its inputs cannot be fetched", one.workload)
                one.trouble = repr(error)
            one.wanted = set()
            return

    async def _fetch_all(self, one: Carried) -> None:
        started = time.monotonic()
        trees: dict[str, list[Entry]] = {}
        one.links = {}
        for name in one.inputs:
            trees[name], links = await self._control.input(one.workload, one.epoch, name)
            one.links |= {(name, path): link for path, link in links.items()}
        entries = [entry for tree in trees.values() for entry in tree]
        one.wanted = {entry.sha256 for entry in entries}
        missing = await asyncio.to_thread(self._cache.missing, entries)
        if missing:
            size = sum(entry.size for entry in missing)
            keep = partial(self._wanted, one)
            await asyncio.to_thread(self._cache.make_room, size, keep)
            await self._fetch_files(one, trees, missing)
            seconds = time.monotonic() - started
            _say(one.paths["log"], f"fetched {size / 2**20:.1f} MB of inputs in {seconds:.1f} s")
        one.fetched = {
            name: await asyncio.to_thread(self._cache.tree, one.workload, tree)
            for name, tree in trees.items()
        }

    def _wanted(self, *more: Carried) -> set[str]:
        """The SHA-256 of all that is on its way. May be called from any thread."""
        return {sha256 for one in (*self._carried.values(), *more) for sha256 in one.wanted}

    async def keep_reserve(self) -> None:
        """Lets inputs go that nobody reads, where outputs have taken what is to be left free."""
        await asyncio.to_thread(self._cache.forget_kept)
        with suppress(NoRoom):
            await asyncio.to_thread(self._cache.make_room, 0, self._wanted)

    async def _fetch_files(
        self, one: Carried, trees: dict[str, list[Entry]], missing: Sequence[Entry]
    ) -> None:
        names = {entry.sha256: name for name, tree in trees.items() for entry in tree}
        try:
            async with asyncio.TaskGroup() as group:
                for entry in missing:
                    group.create_task(self._fetch_file(one, names[entry.sha256], entry))
        except* Away as errors:
            raise errors.exceptions[0] from None
        except* (Refused, NotBrought, OSError) as errors:
            raise errors.exceptions[0] from None

    async def _fetch_file(self, one: Carried, name: str, entry: Entry) -> None:
        part = self._cache.part(entry.sha256)
        async with self._files:
            for _try in range(WRONG_MAX):
                if self._cache.blob(entry.sha256).exists():  # another workload wanted it, too
                    return
                with part.open("ab") as file:
                    offset = file.tell()
                    if offset < entry.size:
                        await self._receive(one, name, entry, offset, file.fileno())
                if await asyncio.to_thread(self._cache.settle, entry):
                    return
        raise NotBrought(f"{name}/{entry.path}: what came is not what its SHA-256 says")

    async def _receive(
        self, one: Carried, name: str, entry: Entry, offset: int, descriptor: int
    ) -> None:
        """From the store where it has the file, else from the control plane."""
        link = one.links.pop((name, entry.path), "")  # once: what follows a failure is the other
        if link:
            try:
                async with self._control.linked_bytes(link, offset) as stream:
                    await _write(descriptor, stream)
                return
            except (Away, Refused) as error:
                logger.warning("workload %s: the store does not answer: %s", one.workload, error)
                offset = os.fstat(descriptor).st_size
        got = self._control.input_bytes(one.workload, one.epoch, name, entry.path, offset)
        async with got as stream:
            await _write(descriptor, stream)


def carrier_make(url: str, key: str) -> Carrier:
    """The carrier of this machine's node."""
    home = Path(settings.TRAINER_HOME)
    cache = InputCache(home / CACHE, settings.NODE_CACHE_BYTES, settings.NODE_RESERVE_BYTES)
    return Carrier(Control(url, key), home, cache)


def carrier_made() -> bool:
    """Whether this machine had one before: then it is known not to share the directory."""
    return (Path(settings.TRAINER_HOME) / CACHE / "uses").is_dir()


async def _write(descriptor: int, stream: AsyncIterator[bytes]) -> None:
    async for chunk in stream:
        rest = memoryview(chunk)
        while rest:
            rest = rest[await asyncio.to_thread(os.write, descriptor, rest) :]


def _cancel(one: Carried) -> None:
    for task in (one.fetching, one.bringing):
        if task is not None:
            task.cancel()


def _say(log: Path, line: str) -> None:
    """Adds a line of ours to the workload's log, before its process does."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"trainer: {line}\n")
