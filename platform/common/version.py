"""The platform's version, and which versions work together."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def _own() -> str:
    """From the source beside this file; what is installed may be an older copy's."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    try:
        found = re.search(r'^version = "([^"]+)"', project.read_text("utf-8"), re.MULTILINE)
        return found.group(1) if found else version("llm-cloud-trainer")
    except (OSError, PackageNotFoundError):
        return "0"


VERSION = _own()


def fits(other: str) -> bool:
    """Whether code of that version may work on the same database: the first two numbers agree."""
    return other.split(".")[:2] == VERSION.split(".")[:2]
