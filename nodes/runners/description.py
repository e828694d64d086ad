"""What a container is made of: every argument that the Docker Engine gets of a workload's."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from docker.types import DeviceRequest, LogConfig, Mount

from common.phrases import gettext as _
from nodes.runners.base import CannotStart, Launch
from nodes.runners.base import Container as Bounds
from nodes.runners.files import copy_once, folders, input_path, labels_of, write_files

SHIM = Path(__file__).with_name("shim.py")
LABEL = "trainer."
USER = 10001  # of containers where the platform runs as root; else they have the platform's user
HOME = "/workload"
LOG = "/trainer/log"
SUPERVISOR = "/trainer/shim.py"
SOCKET = "serve.sock"
CACHES = "/cache"
TEMPORARY = "size=4g,mode=1777,nosuid,nodev,exec"  # compiled kernels are loaded from there
PROCESSES = 4096  # and threads
SCORE_MOST, SCORE_LEAST = 999, 100  # who is ended first where the machine's memory is short


def name_of(workload: UUID, epoch: int) -> str:
    """The name that only one container can have."""
    return f"trainer-{workload}-{epoch}"


def container_user() -> tuple[int, int]:
    """User and group in containers; never root's user.

    The group is the platform's: what processes of the platform made is readable by their group.
    """
    return os.getuid() or USER, os.getgid()


def description(
    installation: str, launch: Launch, image: dict[str, Any], network: str
) -> dict[str, Any]:
    """All arguments of the container; `network` is the one it gets, "none" for most."""
    place = launch.place
    engine = [*(image.get("Entrypoint") or ()), *launch.command]
    if not image.get("Entrypoint"):
        raise CannotStart(_("its image has no entrypoint"))
    user, group = container_user()
    bounds = bounds_of(launch)
    limit = bounds.memory_limit_bytes
    mounts = [*_own_files(launch, user, group), *_inputs(launch), *_caches(launch, user, group)]
    return {
        "image": bounds.image,
        "name": name_of(place.workload, place.epoch),
        "entrypoint": [engine[0], "-I", "-S", SUPERVISOR],
        "command": [json.dumps(_supervision(launch, engine))],
        "environment": {**_environment(launch), **labels_of(installation, place)},
        "labels": {
            f"{LABEL}installation": installation,
            f"{LABEL}workload": str(place.workload),
            f"{LABEL}epoch": str(place.epoch),
        },
        "user": f"{user}:{group}",
        "working_dir": HOME,
        "hostname": "workload",
        "extra_hosts": {"workload": "127.0.0.1"},
        "mounts": mounts,
        "tmpfs": {"/tmp": TEMPORARY},  # noqa: S108  the container's own
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "network_mode": network,
        "cpu_shares": max(2, round(1024 * bounds.cpus)),
        "nano_cpus": bounds.cpus_at_most * 10**9,
        "mem_limit": limit,
        "memswap_limit": limit,
        "shm_size": limit // 2,
        "pids_limit": PROCESSES,
        "oom_score_adj": _score(bounds),
        "device_requests": _devices(launch),
        "log_config": LogConfig(type="local", config={"max-size": "10m", "max-file": "2"}),
    }


def bounds_of(launch: Launch) -> Bounds:
    """Image and limits. CannotStart where none were chosen."""
    if launch.container is None:
        raise CannotStart(_("no image was chosen for it"))
    return launch.container


def _score(bounds: Bounds) -> int:
    """Of all that hold more than they asked for, the one that asked for least is ended first."""
    asked = 1000 - round(1000 * bounds.memory_bytes / bounds.room_bytes)
    return min(SCORE_MOST, max(SCORE_LEAST, asked))


def _devices(launch: Launch) -> list[DeviceRequest]:
    if not launch.gpus:
        return []
    return [DeviceRequest(device_ids=list(launch.gpus), capabilities=[["gpu"]])]


def _supervision(launch: Launch, engine: list[str]) -> dict[str, Any]:
    """What the supervisor has to know. Everything in it may be seen."""
    place = launch.place

    def inside(kind: str) -> str:
        return f"{HOME}/{place.file(kind).name}"

    return {
        "contained": True,
        "workload": str(place.workload),
        "epoch": place.epoch,
        "directory": HOME,
        "log": LOG,
        "command": engine,
        "wall_seconds": launch.wall_seconds,
        "lease_seconds": launch.lease_seconds,
        "marker": inside("start"),
        "process_file": inside("process"),
        "exit_file": inside("exit"),
    }


def _environment(launch: Launch) -> dict[str, str]:
    devices = ",".join(launch.gpus)
    env = {
        **launch.env,
        "HOME": "/tmp",  # noqa: S108  the container's own
        "USER": "trainer",  # libraries ask for the name of a user that is in no list
        "LOGNAME": "trainer",
        "CUDA_VISIBLE_DEVICES": devices,
        "NVIDIA_VISIBLE_DEVICES": devices or "void",  # images tend to ask for all
    }
    env |= {name: f"{CACHES}/{name.lower()}" for name in launch.caches}
    if launch.socket is not None:
        env["TRAINER_SOCKET"] = f"{HOME}/{SOCKET}"
    return env


def _own_files(launch: Launch, user: int, group: int) -> list[Mount]:
    """The one directory and the one file that the workload may write to, and the supervisor."""
    place = launch.place
    made = write_files(launch)
    launch.log.touch(0o640)
    if os.getuid() == 0:
        for path in (*made, launch.log):
            os.chown(path, user, group, follow_symlinks=False)
    if launch.socket is not None:
        launch.socket.unlink(missing_ok=True)
        launch.socket.symlink_to(place.directory / SOCKET)
    return [
        _mount(HOME, place.directory, read_only=False),
        _mount(LOG, launch.log, read_only=False),
        # The Engine takes paths of the machine; the platform's code may lie in a container itself.
        _mount(SUPERVISOR, copy_once(SHIM, Path(settings.TRAINER_HOME) / "supervisors")),
    ]


def _inputs(launch: Launch) -> list[Mount]:
    """Each is seen where a process finds its link; nobody writes to it."""
    folders(launch.place.directory, ("inputs",))
    mounts = []
    for name, source in launch.inputs.items():
        path = input_path(launch, name)
        if source.is_dir():
            path.mkdir()
        else:
            path.touch()
        target = path.relative_to(launch.place.directory)
        mounts.append(_mount(f"{HOME}/{target}", source.resolve()))
    return mounts


def _caches(launch: Launch, user: int, group: int) -> list[Mount]:
    """Of hubs. Only who may fetch may write: they are shared by all."""
    mounts = []
    fetches = bounds_of(launch).fetches
    for name, path in launch.caches.items():
        path.mkdir(parents=True, exist_ok=True)
        if fetches and os.getuid() == 0:
            os.chown(path, user, group, follow_symlinks=False)
        mounts.append(_mount(f"{CACHES}/{name.lower()}", path, read_only=not fetches))
    return mounts


def _mount(target: str, source: Path, *, read_only: bool = True) -> Mount:
    """A bind mount, which unlike a volume is refused when the source is not there."""
    return Mount(target, str(source), type="bind", read_only=read_only)
