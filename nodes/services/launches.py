"""What a node's runner is told to start for a workload."""

from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from common.phrases import gettext as _
from nodes.models import Gpu, Workload
from nodes.runners import CannotStart, Container, Launch, Place
from nodes.services.choices import image_of, images_here, local_id
from nodes.services.engines import engine_caches, engine_command, engine_environment
from nodes.services.limits import memory_bound, memory_room
from nodes.services.verdicts import is_contained

LEASE_SHARE = 0.8  # of the time after which others give a silent node's workloads up


def launch_of(workload: Workload, place: Place, inputs: Mapping[str, Path] | None) -> Launch:
    """How the present epoch of a claimed workload is started on this machine, its node's.

    `inputs` says where its inputs lie when that is not where the workload says. Raises
    `EngineMissing`, `ImageRefused`, `CannotStart` or `Unreachable`.
    """
    if workload.is_service:
        workload.socket_path.unlink(missing_ok=True)
    contained = is_contained(workload)
    return Launch(
        place=place,
        command=(workload.verb,) if contained else engine_command(workload.engine, workload.verb),
        log=workload.log_path,
        env=engine_environment(workload, contained=contained),
        files=workload.files,
        inputs=_shared_inputs(workload) if inputs is None else inputs,
        wall_seconds=workload.wall_seconds,
        lease_seconds=LEASE_SHARE * settings.NODE_LOST_SECONDS,
        gpus=_devices(workload),
        socket=workload.socket_path if workload.is_service else None,
        caches=engine_caches(workload),
        container=_container(workload) if contained else None,
    )


def _shared_inputs(workload: Workload) -> dict[str, Path]:
    """Where its inputs lie in the directory that this machine shares with the control plane."""
    home = Path(settings.TRAINER_HOME)
    inputs: dict[str, Path] = {}
    for name, value in workload.inputs.items():
        if value.startswith("hub:"):
            continue
        source = (home / value).resolve()
        if not source.is_relative_to(home):
            raise CannotStart(_("the input %(name)s lies outside of the home") % {"name": name})
        inputs[name] = source
    return inputs


def _devices(workload: Workload) -> tuple[str, ...]:
    """The UUIDs of the devices it holds."""
    leased = Gpu.objects.filter(leases__workload=workload, leases__released_at=None)
    return tuple(leased.order_by("index").values_list("uuid", flat=True))


def _container(workload: Workload) -> Container:
    """The image that runs it and the bounds it is kept in; its past keeps both."""
    node = workload.node
    assert node is not None
    image, bound = image_of(workload, images_here()), memory_bound(workload, node)
    if (workload.image, workload.memory_bound_bytes) != (image, bound):
        workload.image, workload.memory_bound_bytes = image, bound
        workload.save(update_fields=["image", "memory_bound_bytes"])
    return Container(
        image=local_id(image) or image.image_id,
        fetches=_fetches(workload),
        cpus=workload.cpus,
        cpus_at_most=node.cpu_count,
        memory_bytes=workload.memory_bytes,
        memory_limit_bytes=bound,
        room_bytes=memory_room(node),
    )


def _fetches(workload: Workload) -> bool:
    """Whether it gets something from a hub: nothing else needs a network."""
    on_hub = any(value.startswith("hub:") for value in workload.inputs.values())
    return settings.HUB_ONLINE and on_hub
