"""Runs workloads as containers of a Docker Engine. They outlive whoever started them.

In each container the supervisor `shim.py` stands beside the engine, as it does beside a process:
it writes the same files, keeps the time limit, and sends the output into the workload's own log
file. What the Engine says counts only where those files are missing. The container's name is the
lock against a second start; its labels tell whose it is. DOCKER_HOST names the Engine's socket.
"""

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import docker
from django.conf import settings
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container

from common.phrases import gettext as _
from nodes.runners import firewall, networks
from nodes.runners.answers import LOOK_SECONDS, answers, connect, said
from nodes.runners.base import (
    AlreadyStarted,
    CannotStart,
    Exit,
    Launch,
    Place,
    Sight,
    Unfit,
    Unreachable,
)
from nodes.runners.description import LABEL, bounds_of, description, name_of
from nodes.runners.files import (
    facts_of,
    first,
    is_void,
    not_started,
    renew_marker,
    take_marker,
    void_marker,
)

API_NEEDED = (1, 41)  # Docker Engine 20.10
START_SECONDS = 60.0  # for an answer to a create or a start, on a busy machine
REST_SECONDS = 2.0  # without a question to an Engine that did not answer
UNKNOWN = 255  # what an Engine notes of an end that it knows nothing of
GPU_KIND = "nvidia.com/gpu="
IN_CONTAINER = Path("/.dockerenv")
GPU_HOOKS = ("nvidia-container-runtime-hook", "nvidia-cdi-hook")  # the Engine looks for them, too
CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
NETWORK_SECONDS = 60.0  # between two looks at the rules of the node's own network
SEEN_SECONDS = 1.0  # how long a container that was seen running counts as running


class DockerRunner:
    """See `Runner`. `installation` tells the containers of one database and node from others."""

    def __init__(self, installation: str) -> None:
        self.installation = installation
        self._client: docker.DockerClient | None = None
        self._away_until = 0.0
        self._running: set[str] = set()
        self._running_at = float("-inf")
        self._is_open = False
        self._network_at = float("-inf")

    @contextmanager
    def _engine(self, timeout: float = LOOK_SECONDS) -> Iterator[docker.DockerClient]:
        """The Engine. After it gave no answer nobody asks, and waits, for a moment.

        One with an error of its own has answered: it may be about one container only.
        """
        if time.monotonic() < self._away_until:
            raise Unreachable("Docker did not answer a moment ago.")
        try:
            if self._client is None:
                self._client = connect(timeout)
            self._client.api.timeout = int(timeout)
            with answers():
                yield self._client
        except Unreachable as error:
            if isinstance(error.__cause__, APIError):
                raise
            self._client = None
            self._running_at = float("-inf")
            self._away_until = time.monotonic() + REST_SECONDS
            raise

    def check(self) -> dict[str, Any]:
        """What the Engine is and can; `Unfit` when it is too old or cannot keep limits."""
        with self._engine() as engine:
            version, info = engine.version(), engine.info()
        api = tuple(int(part) for part in str(version.get("ApiVersion", "0.0")).split("."))
        if api < API_NEEDED:
            raise Unfit(
                f"Docker Engine {version.get('Version')} is too old: it speaks version"
                f" {version.get('ApiVersion')} of the API, 1.41 (Engine 20.10) is needed."
            )
        options = " ".join(info.get("SecurityOptions") or ())
        for word in ("name=rootless", "name=userns"):
            if word in options:
                raise Unfit(
                    f"This Docker Engine maps users ({word.removeprefix('name=')}), so containers"
                    " could not read the platform's files. Use an Engine without it."
                )
        for limit in ("MemoryLimit", "PidsLimit"):
            if info.get(limit) is False:
                raise Unfit(
                    f"This machine's kernel does not let Docker keep limits ({limit}), so one"
                    " workload could harm all others. Switch its control groups on."
                )
        return {
            "docker": str(version.get("Version", "")),
            "docker_storage": str(info.get("Driver", "")),
            "docker_cgroups": str(info.get("CgroupVersion", "")),
            "docker_runtimes": sorted(info.get("Runtimes") or ()),
            "docker_live_restore": bool(info.get("LiveRestoreEnabled")),
            "docker_root": str(info.get("DockerRootDir", "")),
            "docker_gives_gpus": _gives_gpus(info),
            "network_is_open": self._network_is_open(),
        }

    def _network_is_open(self) -> bool:
        """Whether containers that fetch from a hub reach this machine and its neighbours."""
        if settings.CONTAINER_NETWORK or not settings.HUB_ONLINE:
            return False
        if time.monotonic() - self._network_at > NETWORK_SECONDS:
            with self._engine() as engine:
                self._is_open = not networks.is_closed(engine, self.installation)
            self._network_at = time.monotonic()
        return self._is_open

    def start(self, launch: Launch) -> None:
        """Lays out the directory, creates the container and starts it."""
        place = launch.place
        try:
            place.directory.mkdir(parents=True, exist_ok=True)
            launch.log.parent.mkdir(parents=True, exist_ok=True)
            take_marker(place)
            description = self._description(launch)
            with self._engine(START_SECONDS) as engine:
                container = _create(engine, description, place)
                if is_void(place):  # called off in the meantime
                    _discard(container)
                    raise AlreadyStarted(str(place.workload))
                _start(container)
        except OSError as error:
            raise not_started(error) from error

    def _description(self, launch: Launch) -> dict[str, Any]:
        with self._engine(START_SECONDS) as engine:
            try:
                image = engine.images.get(bounds_of(launch).image).attrs["Config"]
            except ImageNotFound as error:
                raise CannotStart(_("its image is not on this machine any more")) from error
            network = "none"
            if bounds_of(launch).fetches:
                network = settings.CONTAINER_NETWORK or networks.own(engine, self.installation)
        return description(self.installation, launch, image, network)

    def call_off(self, place: Place) -> None:
        """Voids the marker and takes a container away that was created and not started."""
        void_marker(place)
        container = self._find(place)
        if container is not None and container.status == "created":
            with self._engine():
                _discard(container)

    def adopt(self, place: Place) -> bool:
        """Whether its container runs."""
        return self._is_running(place)

    def poll(self, place: Place) -> tuple[Sight, Exit | None]:
        """Looks for the exit file first, asks the Engine then, and the file again at last."""
        facts = facts_of(place.file("exit"))
        if facts is not None:
            return Sight.ENDED, Exit.read(facts)
        if self._is_running(place):
            return Sight.ALIVE, None
        container = self._find(place)
        if container is not None:
            if container.status == "created":
                return Sight.BEGUN, None
            if container.status not in {"exited", "dead"}:
                return Sight.ALIVE, None
        facts = facts_of(place.file("exit"))
        if facts is not None:
            return Sight.ENDED, Exit.read(facts)
        began = place.file("process").exists()
        if container is not None and not (began and _is_unknown(container)):
            return Sight.ENDED, self._exit_of(container, place)
        if began:
            return Sight.GONE, None
        return (Sight.BEGUN if place.file("start").exists() else Sight.ABSENT), None

    def _is_running(self, place: Place) -> bool:
        """By a list of all containers, a second old at most. A missing one is no proof."""
        if time.monotonic() - self._running_at > SEEN_SECONDS:
            self._running = {
                name_of(workload, epoch)
                for workload, epoch, state, _id in self._list()
                if state == "running"
            }
            self._running_at = time.monotonic()
        return name_of(place.workload, place.epoch) in self._running

    def _list(self) -> list[tuple[UUID, int, str, str]]:
        """Workload, epoch, state and id of all containers of this installation's node."""
        mine = {"label": f"{LABEL}installation={self.installation}"}
        found = []
        with self._engine() as engine:
            for entry in engine.api.containers(all=True, filters=mine):
                labels = entry.get("Labels") or {}
                with suppress(KeyError, ValueError):
                    workload = UUID(labels[f"{LABEL}workload"])
                    epoch = int(labels[f"{LABEL}epoch"])
                    found.append((workload, epoch, str(entry["State"]), str(entry["Id"])))
        return found

    def _find(self, place: Place) -> Container | None:
        with self._engine() as engine:
            try:
                return engine.containers.get(name_of(place.workload, place.epoch))
            except NotFound:
                return None

    def _exit_of(self, container: Container, place: Place) -> Exit:
        """The end of one whose supervisor wrote nothing: it was killed, or never came up."""
        state = container.attrs["State"]
        status = int(state.get("ExitCode") or 0)
        killed = status > 128
        detail = str(state.get("Error") or "")
        if not detail and not place.file("process").exists():
            with self._engine(), suppress(APIError):
                detail = container.logs(tail=5).decode("utf-8", "replace").strip()[-500:]
        return Exit(
            code=None if killed else status,
            signal=status - 128 if killed else None,
            started_at=_seconds(state.get("StartedAt")),
            ended_at=_seconds(state.get("FinishedAt")),
            oom=bool(state.get("OOMKilled")) and status != 0,
            met_limit=None,  # an Engine counts kills by whatever was full
            detail=detail,
        )

    def renew(self, place: Place) -> None:
        """Touches the marker, which the supervisor watches."""
        renew_marker(place)

    def stop(self, place: Place, *, force: bool) -> None:
        """Signals the supervisor, which passes it on; or ends the whole container.

        The polite signal reaches it once: a second one could break into the saving that it began.
        The mark of that stays only where it did.
        """
        mark = place.file("stop")
        if not force and mark.exists():
            return
        container = self._find(place)
        if container is None or not (force or (container.status == "running" and first(mark))):
            return
        reached = force
        try:
            with self._engine():
                reached |= _signal(container, "SIGKILL" if force else "SIGTERM")
        finally:
            if not reached:
                mark.unlink(missing_ok=True)

    def memory(self, place: Place) -> int:
        """The kernel keeps a container's limit."""
        return 0

    def owned(self) -> Iterator[tuple[UUID, int, int]]:
        """All containers with this label, whatever their state."""
        for workload, epoch, _state, _id in self._list():
            yield workload, epoch, 0

    def owners(self, pids: Iterable[int]) -> dict[int, UUID]:
        """By the control group of a process, which has its container's id in its path."""
        mine = {container: workload for workload, _epoch, _state, container in self._list()}
        found = {}
        for pid in pids:
            with suppress(OSError, UnicodeDecodeError):
                group = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
                for container in mine.keys() & CONTAINER_ID.findall(group):
                    found[pid] = mine[container]
        return found

    def remove(self, workload: UUID, epoch: int, *, force: bool) -> None:
        """Asks a running container to end; takes one away that does not run, or with force any."""
        container = self._find(Place(workload, epoch, Path()))
        if container is None:
            return
        with self._engine(START_SECONDS):
            if container.status == "running" and not force:
                _signal(container, "SIGTERM")
            else:
                _discard(container)

    def clear(self, place: Place) -> None:
        """Takes the container away: its end stands in the database now."""
        self.remove(place.workload, place.epoch, force=True)

    def firewall_script(self, *, at_start: bool = False) -> str:
        """Closes the node's own network, by a shell of the machine with the right to; or has that
        done at each of the machine's starts.
        """
        with self._engine() as engine:
            network = networks.own(engine, self.installation)
        return firewall.at_start(network) if at_start else firewall.script(network)

    def leave(self) -> None:
        """Takes the node's own network away."""
        with self._engine() as engine:
            networks.remove(engine, self.installation)


def _gives_gpus(info: dict[str, Any]) -> bool:
    """Whether it hands NVIDIA's devices on: by their runtime, by CDI, or by the tools beside it.

    Who is in a container cannot see the tools, and has the devices that it sees from the Engine.
    """
    devices = [str(one.get("ID", "")) for one in info.get("DiscoveredDevices") or ()]
    return (
        "nvidia" in (info.get("Runtimes") or ())
        or any(name.startswith(GPU_KIND) for name in devices)
        or any(map(shutil.which, GPU_HOOKS))
        or IN_CONTAINER.exists()
    )


def _is_unknown(container: Container) -> bool:
    """Whether it vanished while no Engine looked, as when the machine lost its power."""
    return bool(container.attrs["State"].get("ExitCode") == UNKNOWN)


def _create(engine: docker.DockerClient, description: dict[str, Any], place: Place) -> Container:
    """The container, not started yet. Raises `AlreadyStarted`, `CannotStart` or `NoRoom`."""
    try:
        return engine.containers.create(**description)
    except APIError as error:
        if error.status_code == 409:
            raise AlreadyStarted(str(place.workload)) from error
        raise not_started(said(error)) from error


def _start(container: Container) -> None:
    """Starts it, or raises `AlreadyStarted`, `CannotStart` or `NoRoom` and leaves no container."""
    try:
        container.start()
    except NotFound as error:  # called off in the meantime
        raise AlreadyStarted(str(container.name)) from error
    except APIError as error:
        with suppress(APIError):  # what stays is an orphan
            _discard(container)
        raise not_started(said(error)) from error


def _discard(container: Container) -> None:
    with suppress(NotFound):
        try:
            container.remove(v=True, force=True)
        except APIError as error:
            if error.status_code != 409:  # somebody else takes it away just now
                raise


def _signal(container: Container, name: str) -> bool:
    """Whether it ran, so that the signal reached it."""
    try:
        container.kill(name)
        return True
    except APIError as error:
        if error.status_code not in {404, 409}:  # it has ended, or does not run yet
            raise
        return False


def _seconds(text: object) -> float:
    """The Engine's time, which has nanoseconds, as seconds since 1970; 0 where there is none."""
    try:
        moment = datetime.fromisoformat(str(text).split(".")[0].rstrip("Z")).replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return max(0.0, moment.timestamp())
