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

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

CPU_SLACK = 1e-6  # sums of fractions of CPUs are not exact
Facts = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU: its key and its memory in bytes."""

    key: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """A node: what it has, and whether it takes work.

    `engines` is None where it is not known, `gpu_engines` where all of them can use GPUs. One that
    does not give its GPUs takes only what needs none. What asks for one of its `missing_images` it
    cannot start.
    """

    key: UUID
    name: str
    cpus: float
    memory_bytes: int
    devices: tuple[Device, ...] = ()
    accepts: bool = True
    engines: frozenset[str] | None = None
    gpu_engines: frozenset[str] | None = None
    gives_gpus: bool = True
    missing_images: frozenset[str] = frozenset()


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
    image: UUID | None = None  # that it asks for; else any of its engine's


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
    """The workload waits: its place in the queue, and why, as a code with facts.

    `lasting`: every later workload of the same shape waits for the same reason.
    """

    request: UUID
    place: int
    code: str
    args: Facts = field(default_factory=dict)
    lasting: bool = False


Decision = Placement | Wait


Shape = tuple[str, int, int, float, int, UUID | None]


def shape_of(request: Request) -> Shape:
    """All that decides where a workload fits."""
    return (
        request.engine,
        request.gpus,
        request.gpu_memory_bytes,
        request.cpus,
        request.memory_bytes,
        request.image,
    )


class _Room:
    """What is left of a machine while decisions are made. It only ever gets fuller."""

    def __init__(self, machine: Machine, tenants: Sequence[Tenant]) -> None:
        self.machine = machine
        self.tenants: list[Tenant] = []
        self.free_cpus = machine.cpus
        self.free_memory = machine.memory_bytes
        self.free_devices = sorted(machine.devices, key=_by_size)
        self.kept_for: list[Request] = []
        self.kept_devices: set[int] = set()
        for tenant in tenants:
            self.add(tenant)
        self.services = [tenant for tenant in tenants if tenant.is_service]

    def add(self, tenant: Tenant) -> None:
        """Takes what the tenant holds off what is free."""
        self.tenants.append(tenant)
        self.free_cpus -= tenant.cpus
        self.free_memory -= tenant.memory_bytes
        if tenant.devices:
            self.free_devices = [
                device for device in self.free_devices if device.key not in tenant.devices
            ]

    def could_hold(self, request: Request, beside: Sequence[Tenant] = ()) -> bool:
        """Whether it would fit if only the tenants in `beside` were there."""
        cpus, memory = self.machine.cpus, self.machine.memory_bytes
        for tenant in beside:
            cpus -= tenant.cpus
            memory -= tenant.memory_bytes
        if request.cpus > cpus + CPU_SLACK or request.memory_bytes > memory:
            return False
        held = {device for tenant in beside for device in tenant.devices}
        return len(_suitable(self.machine.devices, request, held)) >= request.gpus

    def missing_gpus(self, request: Request) -> int:
        """How many suitable ones are not free."""
        return max(0, request.gpus - len(_suitable(self.free_devices, request)))

    def fit(self, request: Request) -> tuple[int, ...] | None:
        """The devices it would get now, or None when it does not fit or would delay who waits."""
        if request.cpus > self.free_cpus + CPU_SLACK or request.memory_bytes > self.free_memory:
            return None
        if request.gpus > len(self.free_devices):
            return None
        devices = _suitable(self.free_devices, request, self.kept_devices)
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
        never = {device for tenant in self.services for device in tenant.devices}
        free = {device.key for device in self.free_devices}
        devices = sorted(
            _suitable(self.machine.devices, request, never | self.kept_devices),
            key=lambda device: device.key not in free,
        )
        self.kept_devices.update(device.key for device in devices[: request.gpus])
        self.kept_for.append(request)


def _by_size(device: Device) -> tuple[int, int]:
    return (device.memory_bytes, device.key)


def _suitable(
    devices: Sequence[Device], request: Request, taken: Set[int] = frozenset()
) -> list[Device]:
    """Devices big enough and not taken, the smallest first, so that big ones stay free."""
    if not request.gpus:
        return []
    fitting = (
        device
        for device in devices
        if device.memory_bytes >= request.gpu_memory_bytes and device.key not in taken
    )
    return sorted(fitting, key=_by_size)


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
    tenants: dict[UUID, list[Tenant]] = {}
    for tenant in sorted(running, key=lambda one: one.key):
        tenants.setdefault(tenant.machine, []).append(tenant)
    rooms = [
        _Room(machine, tenants.get(machine.key, ()))
        for machine in sorted(nodes, key=lambda one: one.name)
    ]
    queue = order(waiting)
    # What starts now came after all that waits, even where the clock that queued is ahead.
    planner = _Planner(rooms, max([now, *(request.queued_at for request in queue)]))
    decisions: list[Decision] = []
    place = 0
    for request in queue:
        placed = planner.place(request)
        if placed is not None:
            decisions.append(placed)
            continue
        place += 1
        decisions.append(planner.wait(request, place))
    return decisions


class _Planner:
    """One run of `plan`.

    Rooms only get fuller during a run: where a shape did not fit, it does not fit later in the run
    either, and a lasting reason stays. Both are remembered, which makes a long queue cheap.
    """

    def __init__(self, rooms: list[_Room], now: datetime) -> None:
        self.rooms = rooms
        self.now = now
        self.candidates: dict[Shape, list[_Room]] = {}
        self.usable: dict[Shape, list[_Room]] = {}
        self.beside_services: dict[Shape, list[_Room]] = {}
        self.reasons: dict[Shape, tuple[str, Facts]] = {}

    def _usable(self, request: Request) -> list[_Room]:
        """Machines that take work and could hold it when empty."""
        shape = shape_of(request)
        if shape not in self.usable:
            self.usable[shape] = [
                room
                for room in self.rooms
                if _accepts(room, request)
                and _has_engine(room, request)
                and room.could_hold(request)
            ]
        return self.usable[shape]

    def place(self, request: Request) -> Placement | None:
        """Takes the fullest machine on which it fits: big workloads find room on the others."""
        shape = shape_of(request)
        before = self.candidates.get(shape)
        fits = [
            (room, devices)
            for room in (self._usable(request) if before is None else before)
            if (devices := room.fit(request)) is not None
        ]
        self.candidates[shape] = [room for room, _devices in fits]
        if not fits:
            return None
        room, devices = min(fits, key=lambda fit: _tightness(fit[0]))
        held = frozenset(devices)
        key = room.machine.key
        room.add(Tenant(request.key, key, self.now, request.cpus, request.memory_bytes, held))
        return Placement(request.key, key, devices)

    def wait(self, request: Request, place: int) -> Wait:
        """Why it waits; keeps a machine for it where that helps."""
        shape = shape_of(request)
        if shape not in self.reasons:
            lasting = self._lasting_reason(request)
            if lasting is None:
                return Wait(request.key, place, *self._keep_one(request))
            self.reasons[shape] = lasting
        return Wait(request.key, place, *self.reasons[shape], lasting=True)

    def _lasting_reason(self, request: Request) -> tuple[str, Facts] | None:
        """A reason that holds for every later workload of the same shape as well."""
        if not self.rooms:
            return "no_nodes", {}
        usable = self._usable(request)
        if not usable:
            return _why_never(request, self.rooms)
        shape = shape_of(request)
        if shape not in self.beside_services:
            self.beside_services[shape] = [
                room
                for room in usable
                if not room.services or room.could_hold(request, room.services)
            ]
        rooms = self.beside_services[shape]
        if not rooms:
            return "services", {"node": usable[0].machine.name}
        if all(room.kept_for for room in rooms):
            # Always the first of them, so that the reason stays the same from plan to plan.
            return "behind", {"node": rooms[0].machine.name}
        return None

    def _keep_one(self, request: Request) -> tuple[str, Facts]:
        room = min(
            (room for room in self.beside_services[shape_of(request)] if not room.kept_for),
            key=lambda one: (
                one.missing_gpus(request),
                max(0.0, request.cpus - one.free_cpus),
                one.machine.name,
            ),
        )
        reason = _what_is_busy(request, room)
        room.keep(request)
        return reason


def _accepts(room: _Room, request: Request) -> bool:
    return room.machine.accepts and (room.machine.gives_gpus or not request.gpus)


def _has_engine(room: _Room, request: Request) -> bool:
    machine = room.machine
    engines = machine.engines
    if request.gpus and machine.gpu_engines is not None:
        engines = machine.gpu_engines
    if str(request.image) in machine.missing_images:
        return False
    return engines is None or request.engine in engines


def _tightness(room: _Room) -> tuple[int, float, str]:
    """Fewest free GPUs first (a workload without GPUs stays away from them), then fewest CPUs."""
    return (len(room.free_devices), room.free_cpus, room.machine.name)


def _what_is_busy(request: Request, room: _Room) -> tuple[str, Facts]:
    node = room.machine.name
    missing = room.missing_gpus(request)
    if missing:
        return "busy_gpus", {"node": node, "free": request.gpus - missing, "gpus": request.gpus}
    if request.cpus > room.free_cpus + CPU_SLACK:
        return "busy_cpus", {"node": node, "cpus": request.cpus}
    return "busy_memory", {"node": node, "memory_bytes": request.memory_bytes}


def _why_never(request: Request, rooms: list[_Room]) -> tuple[str, Facts]:
    """What is missing everywhere, or which node would do if it took work."""
    able = [room for room in rooms if room.could_hold(request)]
    if not able:
        return _what_is_too_small(request, rooms)
    equipped = [room for room in able if _has_engine(room, request)]
    if not equipped:
        return "no_engine", {"engine": request.engine}
    machine = equipped[0].machine
    return "gpus_away" if machine.accepts else "away", {"node": machine.name}


def _what_is_too_small(request: Request, rooms: list[_Room]) -> tuple[str, Facts]:
    if not any(len(_suitable(room.machine.devices, request)) >= request.gpus for room in rooms):
        return "no_gpus", {"gpus": request.gpus, "memory_bytes": request.gpu_memory_bytes}
    if not any(room.machine.cpus + CPU_SLACK >= request.cpus for room in rooms):
        return "no_cpus", {"cpus": request.cpus}
    if not any(room.machine.memory_bytes >= request.memory_bytes for room in rooms):
        return "no_memory", {"memory_bytes": request.memory_bytes}
    return "no_shape", {}
