"""Whose turn it is to have an index made: one person's at a time in each of a few lanes.

Only who asks again and again waits. When a lane is free, those come first whose turn was longest
ago, so that nobody's many wishes keep the others waiting.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from datasets.models.versions import INDEXES
from datasets.reading.locks import locked
from datasets.services.files import data_root

LANES = 2  # indexes that are made at once
WAITS_SECONDS = 15  # after somebody asked last


def turn_asked(person: str, version_id: object) -> None:
    """Notes that somebody waits for an index of the version now."""
    folder = _root() / "asked"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{person}.{version_id}").touch()


def turn_take(person: str, begin: Callable[[Path], object]) -> None:
    """Has work begun that holds the folder of a lane, if it is this person's turn."""
    root = _root()
    root.mkdir(parents=True, exist_ok=True)
    with locked(root) as is_choosing:
        if is_choosing and (lane := _lane_for(person)):
            (lane / "person").write_text(person)
            (root / "served").mkdir(exist_ok=True)
            (root / "served" / person).touch()
            begin(lane)


def turns_forget(seconds: float) -> None:
    """Forgets who asked and who was served so long ago."""
    for note in (*_root().glob("asked/*"), *_root().glob("served/*")):
        if time.time() - _when(note) > seconds:
            note.unlink(missing_ok=True)


def _root() -> Path:
    return data_root() / ".indexing"


def _lane_for(person: str) -> Path | None:
    """A free lane; None when there is none, the person has another, or somebody comes before."""
    free, busy = [], set()
    for number in range(LANES):
        lane = _root() / str(number)
        lane.mkdir(exist_ok=True)
        with locked(lane) as is_free:
            if is_free:
                free.append(lane)
            else:
                busy.add((lane / "person").read_text())
    served = _served(person)
    before = any(_served(other) < served for other in _waiting() if other not in busy)
    return None if before or not free or person in busy else free[0]


def _served(person: str) -> float:
    return _when(_root() / "served" / person)


def _waiting() -> Iterator[str]:
    """Who asked lately for an index of a version of which none is made now."""
    for note in _root().glob("asked/*"):
        if time.time() - _when(note) > WAITS_SECONDS:
            continue
        person, version_id = note.name.split(".")
        with locked(data_root() / INDEXES / version_id) as is_free:
            if is_free:
                yield person


def _when(note: Path) -> float:
    """When something was noted; 0 for never."""
    with suppress(FileNotFoundError):
        return note.stat().st_mtime
    return 0
