"""Ways of running workloads behind one small protocol."""

from nodes.runners.base import (
    AlreadyStarted,
    CannotStart,
    Container,
    Exit,
    Launch,
    NoRoom,
    Place,
    Runner,
    Sight,
    Unfit,
    Unreachable,
)
from nodes.runners.process import ProcessRunner

__all__ = [
    "RUNNERS",
    "AlreadyStarted",
    "CannotStart",
    "Container",
    "Exit",
    "Launch",
    "NoRoom",
    "Place",
    "Runner",
    "Sight",
    "Unfit",
    "Unreachable",
    "runner",
]
RUNNERS = ("process", "docker")


def runner(name: str, installation: str) -> Runner:
    """The runner of that name for what one installation's node runs. Raises KeyError."""
    if name == "docker":
        # Imported where it is used: a node without containers saves the memory of its client.
        from nodes.runners.docker import DockerRunner

        return DockerRunner(installation)
    return {"process": ProcessRunner}[name](installation)
