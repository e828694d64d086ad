"""Decides what runs where. A pure function: no database, no clock, no randomness.

Workloads are served by priority, then first come. Three rules keep that fair and the machines busy:

1. What no node could ever hold waits with its reason and holds up nobody.
2. The first workload that could run on a node but finds it busy keeps that node: what becomes free
   there is saved up for it, so that a stream of small workloads cannot starve a big one.
3. A later workload may still use a kept node when the kept workload, all that started there since
   it was queued, and the later one fit on the node together. Then the kept workload can start as
   soon as those that ran before it have ended, whatever the later one does.

Services run until somebody stops them, so waiting for one has no end. A node is kept only where the
workload fits beside the services; where it does not, nothing is held back for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

CPU_SLACK = 1e-6  # sums of fractions of CPUs are not exact


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU: its key and its memory in bytes."""

    key: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """A node: what it has, and whether it takes work. `engines` is None where it is not known."""

    key: UUID
    name: str
    cpus: float
    memory_bytes: int
    devices: tuple[Device, ...] = ()
    accepts: bool = True
    engines: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A waiting workload and what it asks for."""

    key: UUID
    priority: int
    queued_at: datetime
    engine: str = ""
    gpus: int = 0
    gpu_memory_bytes: int = 0
    cpus: float = 1.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Tenant:
    """A workload that holds a place on a node."""

    key: UUID
    machine: UUID
    placed_at: datetime
    cpus: float = 1.0
    memory_bytes: int = 0
    devices: frozenset[int] = frozenset()
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """The workload starts on this node with these devices."""

    request: UUID
    machine: UUID
    devices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """The workload waits: its place in the queue, and why, as a code with facts."""

    request: UUID
    place: int
    code: str
    args: dict[str, str | int | float] = field(default_factory=dict)


Decision = Placement | Wait


@dataclass(slots=True)
class _Room:
    """What is left of a machine while decisions are made."""

    machine: Machine
    tenants: list[Tenant]
    kept_for: list[Request] = field(default_factory=list)
    kept_devices: set[int] = field(default_factory=set)

    def free_cpus(self) -> float:
        return self.machine.cpus - sum(tenant.cpus for tenant in self.tenants)

    def free_memory(self) -> int:
        return self.machine.memory_bytes - sum(tenant.memory_bytes for tenant in self.tenants)

    def held(self, tenants: Iterable[Tenant]) -> set[int]:
        return {device for tenant in tenants for device in tenant.devices}

    def could_hold(self, request: Request, beside: Sequence[Tenant] = ()) -> bool:
        """Whether it would fit if only the tenants in `beside` were there."""
        held = self.held(beside)
        return (
            len(_suitable(self.machine, request, held)) >= request.gpus
            and request.cpus
            <= self.machine.cpus - sum(tenant.cpus for tenant in beside) + CPU_SLACK
            and request.memory_bytes
            <= self.machine.memory_bytes - sum(tenant.memory_bytes for tenant in beside)
        )

    def fit(self, request: Request) -> tuple[int, ...] | None:
        """The devices it would get now, or None when it does not fit or would delay who waits."""
        if request.cpus > self.free_cpus() + CPU_SLACK:
            return None
        if request.memory_bytes > self.free_memory():
            return None
        taken = self.held(self.tenants) | self.kept_devices
        devices = _suitable(self.machine, request, taken)
        if len(devices) < request.gpus or not self._spares_the_kept(request):
            return None
        return tuple(device.key for device in devices[: request.gpus])

    def _spares_the_kept(self, request: Request) -> bool:
        """Rule 3."""
        if not self.kept_for:
            return True
        since = min(kept.queued_at for kept in self.kept_for)
        late = [tenant for tenant in self.tenants if tenant.placed_at >= since or tenant.is_service]
        cpus = sum(kept.cpus for kept in self.kept_for) + sum(tenant.cpus for tenant in late)
        memory = sum(kept.memory_bytes for kept in self.kept_for)
        memory += sum(tenant.memory_bytes for tenant in late)
        return (
            cpus + request.cpus <= self.machine.cpus + CPU_SLACK
            and memory + request.memory_bytes <= self.machine.memory_bytes
        )

    def keep(self, request: Request) -> None:
        """Saves the machine up: its free devices first, then those that come free."""
        services = [tenant for tenant in self.tenants if tenant.is_service]
        unusable = self.held(services) | self.kept_devices
        busy = self.held(self.tenants)
        devices = sorted(
            _suitable(self.machine, request, unusable), key=lambda device: device.key in busy
        )
        self.kept_devices.update(device.key for device in devices[: request.gpus])
        self.kept_for.append(request)


def _suitable(machine: Machine, request: Request, taken: set[int]) -> list[Device]:
    """Devices big enough and not taken, the smallest first, so that big ones stay free."""
    fitting = (
        device
        for device in machine.devices
        if device.memory_bytes >= request.gpu_memory_bytes and device.key not in taken
    )
    return sorted(fitting, key=lambda device: (device.memory_bytes, device.key))


def order(waiting: Iterable[Request]) -> list[Request]:
    """The order in which workloads are served."""
    return sorted(waiting, key=lambda one: (-one.priority, one.queued_at, one.key))


def plan(
    waiting: Iterable[Request],
    running: Iterable[Tenant],
    nodes: Iterable[Machine],
    now: datetime,
) -> list[Decision]:
    """What to start and why the rest waits, in the order of the queue."""
    rooms = {machine.key: _Room(machine, []) for machine in sorted(nodes, key=lambda one: one.name)}
    for tenant in sorted(running, key=lambda one: one.key):
        if tenant.machine in rooms:
            rooms[tenant.machine].tenants.append(tenant)
    decisions: list[Decision] = []
    place = 0
    for request in order(waiting):
        placed = _place(request, rooms, now)
        if placed is not None:
            decisions.append(placed)
            continue
        place += 1
        code, args = _why(request, list(rooms.values()))
        decisions.append(Wait(request.key, place, code, args))
    return decisions


def _usable(request: Request, rooms: Iterable[_Room]) -> list[_Room]:
    """Machines that take work and could hold it when empty."""
    return [
        room
        for room in rooms
        if room.machine.accepts and _has_engine(room, request) and room.could_hold(request)
    ]


def _has_engine(room: _Room, request: Request) -> bool:
    return room.machine.engines is None or request.engine in room.machine.engines


def _place(request: Request, rooms: dict[UUID, _Room], now: datetime) -> Placement | None:
    """Takes the fullest machine on which it fits, so that big workloads find room on the others."""
    fits = [
        (room, devices)
        for room in _usable(request, rooms.values())
        if (devices := room.fit(request)) is not None
    ]
    if not fits:
        return None
    room, devices = min(fits, key=lambda fit: _tightness(fit[0], request))
    room.tenants.append(
        Tenant(
            request.key,
            room.machine.key,
            now,
            request.cpus,
            request.memory_bytes,
            frozenset(devices),
        )
    )
    return Placement(request.key, room.machine.key, devices)


def _tightness(room: _Room, request: Request) -> tuple[int, float, str]:
    """Fewest free GPUs first (a workload without GPUs stays away from them), then fewest CPUs."""
    free = len(room.machine.devices) - len(room.held(room.tenants))
    return (free, room.free_cpus(), room.machine.name)


def _why(request: Request, rooms: list[_Room]) -> tuple[str, dict[str, str | int | float]]:
    """Why it waits; keeps a machine for it where that helps."""
    if not rooms:
        return "no_nodes", {}
    usable = _usable(request, rooms)
    if not usable:
        return _why_never(request, rooms)
    waited_for = [
        room
        for room in usable
        if room.could_hold(request, [tenant for tenant in room.tenants if tenant.is_service])
    ]
    if not waited_for:
        return "services", {"node": usable[0].machine.name}
    free_of_it = [room for room in waited_for if not room.kept_for]
    if not free_of_it:
        return "behind", {"node": waited_for[0].machine.name}
    room = min(free_of_it, key=lambda one: (_missing(one, request), one.machine.name))
    code, args = _what_is_busy(request, room)
    room.keep(request)
    return code, args


def _missing(room: _Room, request: Request) -> tuple[int, float]:
    """How far a machine is from holding it now: GPUs, then CPUs."""
    free = len(_suitable(room.machine, request, room.held(room.tenants)))
    return (max(0, request.gpus - free), max(0.0, request.cpus - room.free_cpus()))


def _what_is_busy(request: Request, room: _Room) -> tuple[str, dict[str, str | int | float]]:
    node = room.machine.name
    free = len(_suitable(room.machine, request, room.held(room.tenants)))
    if free < request.gpus:
        return "busy_gpus", {"node": node, "free": free, "gpus": request.gpus}
    if request.cpus > room.free_cpus() + CPU_SLACK:
        return "busy_cpus", {"node": node, "cpus": request.cpus}
    return "busy_memory", {"node": node, "memory_bytes": request.memory_bytes}


def _why_never(request: Request, rooms: list[_Room]) -> tuple[str, dict[str, str | int | float]]:
    """What is missing everywhere, or which node would do if it took work."""
    able = [room for room in rooms if room.could_hold(request)]
    if not able:
        return _what_is_too_small(request, rooms)
    equipped = [room for room in able if _has_engine(room, request)]
    if not equipped:
        return "no_engine", {"engine": request.engine}
    return "away", {"node": equipped[0].machine.name}


def _what_is_too_small(
    request: Request, rooms: list[_Room]
) -> tuple[str, dict[str, str | int | float]]:
    if request.gpus and not any(
        len(_suitable(room.machine, request, set())) >= request.gpus for room in rooms
    ):
        return "no_gpus", {"gpus": request.gpus, "memory_bytes": request.gpu_memory_bytes}
    if not any(room.machine.cpus + CPU_SLACK >= request.cpus for room in rooms):
        return "no_cpus", {"cpus": request.cpus}
    if not any(room.machine.memory_bytes >= request.memory_bytes for room in rooms):
        return "no_memory", {"memory_bytes": request.memory_bytes}
    return "no_shape", {}
