"""Ways of running workloads behind one small protocol."""

from nodes.runners.base import (
    AlreadyStarted,
    CannotStart,
    Exit,
    Launch,
    Place,
    Runner,
    Sight,
)
from nodes.runners.process import ProcessRunner

__all__ = ["AlreadyStarted", "CannotStart", "Exit", "Launch", "Place", "Runner", "Sight", "runner"]


def runner(name: str, installation: str) -> Runner:
    """The runner of that name for the processes of one installation's node. Raises KeyError."""
    return {"process": ProcessRunner}[name](installation)
