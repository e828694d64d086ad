"""What the engine says of itself, installed here or in its image, and what is known without it."""

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from common.engines import engine_folder
from common.phrases import gettext as _
from common.phrases import ngettext

HERE = Path(__file__).parent
NAME = "llamafactory"


def _file(name: str) -> Path:
    return engine_folder(NAME) / name


@lru_cache(maxsize=16)
def _read(path: Path, changed_at: int) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _installed(name: str) -> Any:
    """The file's contents, read again when it changed; None when no engine is installed here."""
    path = _file(name)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return None


def engine_facts() -> dict[str, Any]:
    """`engine.json`; empty when no engine is installed here."""
    return dict(_installed("engine.json") or {})


def capability(name: str) -> tuple[bool, str]:
    """Whether the installed engine can do something, and why not."""
    facts = engine_facts()
    if not facts:
        return False, _("the engine is not installed on this machine")
    said = facts.get("capabilities", {}).get(name) or {}
    if said.get("available"):
        return True, ""
    missing = said.get("missing") or []
    if not missing:
        return False, _("not available")
    why = ngettext(
        "%(packages)s is not installed in the engine's environment",
        "%(packages)s are not installed in the engine's environment",
        len(missing),
    )
    return False, why % {"packages": ", ".join(missing)}


def arguments() -> dict[str, dict[str, Any]]:
    """Every argument of a training, of the installed engine or else of the release we know."""
    found = _installed("arguments.json")
    packaged = HERE / "arguments.json"
    return dict(found or _read(packaged, packaged.stat().st_mtime_ns))


def templates() -> list[str]:
    """Names of chat templates; empty when no engine is installed here."""
    return list(_installed("templates.json") or [])


@cache
def layers(kind: str) -> dict[str, Any]:
    """The packaged template of a kind of job."""
    text = (HERE / "templates" / f"{kind}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))
