"""What every way of running workloads can do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

LATEST = 2.0**32  # of times, in seconds since 1970
MOST_BYTES = 2.0**60


class AlreadyStarted(Exception):
    """Somebody else started this epoch of the workload."""


class CannotStart(Exception):
    """The start failed for a reason that trying again does not remove; the text says which."""


class NoRoom(Exception):
    """A disk of this machine is full, and nothing was started: later or elsewhere it may be."""


class Unreachable(Exception):
    """What runs the workloads does not answer now. Nothing is known, nothing may be concluded."""


class Unfit(Exception):
    """This machine cannot run workloads in this way; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """One epoch of one workload, and where its files lie."""

    workload: UUID
    epoch: int
    directory: Path

    def file(self, kind: str) -> Path:
        """The file of this epoch for `start`, `stop`, `process`, `exit` or `result`."""
        suffix = "lock" if kind in {"start", "stop"} else "json"
        return self.directory / f"{kind}-{self.epoch}.{suffix}"


@dataclass(frozen=True, slots=True)
class Container:
    """What a start in a container needs beside that; memory in bytes."""

    image: str  # the id
    fetches: bool  # something from a hub: nothing else needs a network
    cpus: float  # its part where CPUs are short
    cpus_at_most: int
    memory_bytes: int  # what it asked for: who holds more is ended first where memory is short
    memory_limit_bytes: int
    room_bytes: int  # what the machine has for all


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything a start needs. `env` may hold secrets: it is never written to a file.

    `command` is the whole command of a process; a container adds it to its image's entrypoint.
    Paths are this machine's; the runner says in the environment where the workload sees them.
    """

    place: Place
    command: tuple[str, ...]
    log: Path
    env: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Path] = field(default_factory=dict)
    wall_seconds: int | None = None
    lease_seconds: float | None = None  # held still while nobody renews it for longer
    gpus: tuple[str, ...] = ()  # UUIDs of the devices it holds
    socket: Path | None = None  # where a service listens
    caches: Mapping[str, Path] = field(default_factory=dict)  # of hubs, by the variable's name
    container: Container | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. Either `code` or `signal` is set."""

    code: int | None
    signal: int | None
    started_at: float
    ended_at: float
    max_rss_bytes: int = 0
    oom: bool = False
    # Its own limit of memory; else, of an `oom`, the machine's was full. None where nobody saw.
    met_limit: bool | None = False
    timeout: bool = False
    detail: str = ""  # what the system says of it, for people

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Exit":
        """From the JSON of an exit file. The workload may write there: what cannot be, is not."""
        code, number = _within(facts, "code", 255), _within(facts, "signal", 64)
        return cls(
            code=None if code is None else int(code),
            signal=None if number is None else int(number),
            started_at=float(_within(facts, "started_at", LATEST) or 0),
            ended_at=float(_within(facts, "ended_at", LATEST) or 0),
            max_rss_bytes=int(_within(facts, "max_rss_bytes", MOST_BYTES) or 0),
            oom=bool(facts.get("oom")),
            met_limit=bool(facts.get("met_limit")),
            timeout=bool(facts.get("timeout")),
        )


def _within(facts: Mapping[str, Any], name: str, most: float) -> float | None:
    """The number of this name if it lies between 0 and `most`."""
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= most else None


class Sight(StrEnum):
    """What is seen of a workload."""

    ABSENT = "absent"  # nobody has begun to start it
    BEGUN = "begun"  # somebody has begun; there is no process yet
    ALIVE = "alive"
    ENDED = "ended"  # with an exit to read
    GONE = "gone"  # it was there, and left no exit behind


class Runner(Protocol):
    """Starts, finds, watches and stops workloads on this machine. All raise `Unreachable`."""

    def check(self) -> dict[str, Any]:
        """Facts worth showing about what runs the workloads. Raises `Unfit`."""

    def start(self, launch: Launch) -> None:
        """Starts it once. Raises `AlreadyStarted`, `CannotStart` or `NoRoom`."""

    def call_off(self, place: Place) -> None:
        """Makes sure that a start which has begun and left no process will not bring one."""

    def adopt(self, place: Place) -> bool:
        """Whether its process lives on this machine."""

    def poll(self, place: Place) -> tuple[Sight, Exit | None]:
        """What is to be seen of it now."""

    def renew(self, place: Place) -> None:
        """Says that the workload is still this node's; see `Launch.lease_seconds`."""

    def stop(self, place: Place, *, force: bool) -> None:
        """Asks it to end, or ends it. Harmless when it has ended."""

    def memory(self, place: Place) -> int:
        """Bytes of memory that its processes hold now; 0 where the system keeps the limit."""

    def owned(self) -> Iterable[tuple[UUID, int, int]]:
        """Workload, epoch and process number (0: unknown) of all that this node's start left."""

    def owners(self, pids: Iterable[int]) -> dict[int, UUID]:
        """To which of them the machine's processes of these numbers belong; others are left out."""

    def remove(self, workload: UUID, epoch: int, *, force: bool) -> None:
        """Ends all that carries these labels, whatever is known of it, and what is left of it."""

    def clear(self, place: Place) -> None:
        """Gives up what is kept of an ended one, once its end has been written down."""

    def leave(self) -> None:
        """Takes away what it made for this node: it is one no longer."""
