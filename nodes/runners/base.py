"""What every way of running workloads can do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID


class AlreadyStarted(Exception):
    """Somebody else started this epoch of the workload."""


class CannotStart(Exception):
    """The start failed for a reason that trying again does not remove; the text says which."""


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
class Launch:
    """Everything a start needs. `env` may hold secrets: it is never written to a file."""

    place: Place
    command: tuple[str, ...]
    log: Path
    env: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Path] = field(default_factory=dict)
    wall_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. Either `code` or `signal` is set."""

    code: int | None
    signal: int | None
    started_at: float
    ended_at: float
    max_rss_bytes: int = 0
    oom: bool = False
    timeout: bool = False

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Exit":
        """From the JSON of an exit file."""
        return cls(
            code=facts.get("code"),
            signal=facts.get("signal"),
            started_at=float(facts.get("started_at", 0)),
            ended_at=float(facts.get("ended_at", 0)),
            max_rss_bytes=int(facts.get("max_rss_bytes", 0)),
            oom=bool(facts.get("oom")),
            timeout=bool(facts.get("timeout")),
        )


class Sight(StrEnum):
    """What is seen of a workload."""

    ABSENT = "absent"  # nobody has begun to start it
    BEGUN = "begun"  # somebody has begun; there is no process yet
    ALIVE = "alive"
    ENDED = "ended"  # with an exit to read
    GONE = "gone"  # it was there, and left no exit behind


class Runner(Protocol):
    """Starts, finds, watches and stops workloads on this machine."""

    def start(self, launch: Launch) -> None:
        """Starts it once. Raises `AlreadyStarted` or `CannotStart`."""

    def call_off(self, place: Place) -> None:
        """Makes sure that a start which has begun and left no process will not bring one."""

    def adopt(self, place: Place) -> bool:
        """Whether its process lives on this machine."""

    def poll(self, place: Place) -> tuple[Sight, Exit | None]:
        """What is to be seen of it now."""

    def stop(self, place: Place, *, force: bool) -> None:
        """Asks it to end, or ends it. Harmless when it has ended."""

    def memory(self, place: Place) -> int:
        """Bytes of memory that its processes hold now."""

    def owned(self) -> Iterable[tuple[UUID, int, int]]:
        """Workload, epoch and process number of every process of this installation's node."""

    def remove(self, workload: UUID, epoch: int, *, force: bool) -> None:
        """Signals every process that carries these labels, whatever is known of it."""
