"""What workloads on nodes without the shared directory read: the control plane's side."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from common import store
from common.errors import DomainError
from common.texts import whole
from nodes.models import Workload
from nodes.staging.digests import digest_of
from nodes.staging.trees import Entry, entries_of, is_inside

logger = logging.getLogger(__name__)
PIECE_BYTES = 1024 * 1024
LINK_SECONDS = 6 * 3600  # a node asks anew when a link has expired


class NoSuchInput(DomainError):
    """The workload has no input of that name, or its files are gone."""

    http_status = 404
    code = "no_such_input"


def input_root(workload: Workload, name: str) -> Path:
    """Where an input's files lie on the control plane; fetched from the store should they be gone.

    Raises `NoSuchInput`.
    """
    home = Path(settings.TRAINER_HOME).resolve()
    value = str(workload.inputs.get(name, ""))
    root = (home / value).resolve()
    if not value or value.startswith("hub:") or not root.is_relative_to(home) or root == home:
        raise NoSuchInput(f"The workload has no input “{name}” that a node could fetch.")
    if not root.exists() and not (store.is_remote() and store.bring(root)):
        raise NoSuchInput(f"The files of the input “{name}” are not there any more.")
    return root


def input_entries(workload: Workload, name: str) -> list[Entry]:
    """Its files with size and SHA-256; the first time for a file that reads all of it."""
    return entries_of(_files(input_root(workload, name)), digest_of)


def input_links(workload: Workload, name: str, entries: Iterable[Entry]) -> dict[str, str]:
    """Path → an address in the store from which a node may read the same contents."""
    if not store.is_remote():
        return {}
    root, links = input_root(workload, name), {}
    try:
        for entry in entries:
            stored = store.found(store.key_of(root / entry.path if entry.path else root))
            if stored is not None and (stored.size, stored.sha256) == (entry.size, entry.sha256):
                links[entry.path] = store.link(stored.key, seconds=LINK_SECONDS, inside=True)
    except (*store.Failed, ValueError) as error:
        logger.warning("workload %s: the store is not used: %s", workload.pk, error)
    return links


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Relative path and place of every file; links count as long as they stay in the home."""
    if root.is_file():
        yield "", root
        return
    home = Path(settings.TRAINER_HOME).resolve()
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and path.resolve().is_relative_to(home):
                yield path.relative_to(root).as_posix(), path


def input_file(workload: Workload, name: str, path: str) -> Path:
    """One file of it. Raises `NoSuchInput`."""
    root = input_root(workload, name)
    if not path or is_inside(path):
        found = (root / path).resolve()
        if found.is_relative_to(Path(settings.TRAINER_HOME).resolve()) and found.is_file():
            return found
    raise NoSuchInput(f"The input “{name}” has no file “{path[:200]}”.")


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a file that a request asks for: from `start` up to but without `end`."""

    start: int
    end: int
    size: int

    @property
    def content_range(self) -> str:
        """For the header of that name."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def span_of(header: str, size: int) -> Span | None:
    """What a Range header of one span asks for; None when there is nothing of it in the file.

    A header that we do not understand asks for the whole file, as the standard wants it.
    """
    unit, _equals, text = header.partition("=")
    first, dash, last = text.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in text:
        return Span(0, size, size)
    start, final = whole(first, 18), whole(last, 18)
    if (first and start is None) or (final is None and (last or not first)):
        return Span(0, size, size)
    if start is None:  # the last so many
        return Span(max(0, size - final), size, size) if final and size else None
    end = size if final is None else min(final + 1, size)
    return Span(start, end, size) if start < end else None


async def pieces(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    """The bytes of a span in pieces, read beside the event loop."""
    descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while start < end:
            piece = await asyncio.to_thread(
                os.pread, descriptor, min(PIECE_BYTES, end - start), start
            )
            if not piece:
                return
            start += len(piece)
            yield piece
    finally:
        os.close(descriptor)
