"""What the engine knows of models: its catalogue of names and its chat templates."""

import json
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

from common.engines import engine_folder


class Entry(TypedDict):
    """A model that the engine supports."""

    name: str
    hf_id: str
    ms_id: str
    template: str


def directory() -> Path:
    """Where the engine keeps what it knows."""
    return engine_folder("llamafactory")


@lru_cache(maxsize=8)
def _read(path: Path, changed_at: float) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


def _load(name: str) -> object:
    path = directory() / name
    return _read(path, path.stat().st_mtime) if path.exists() else []


def entries() -> list[Entry]:
    """The engine's own list; empty while the engine is not installed."""
    found = _load("catalogue.json")
    return found if isinstance(found, list) else []


def templates() -> list[str]:
    """Names of the engine's chat templates; empty while the engine is not installed."""
    found = _load("templates.json")
    return sorted(str(name) for name in found) if isinstance(found, list | dict) else []
