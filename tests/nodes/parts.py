"""Nodes and workloads as the tests of this app need them."""

from typing import Any

from nodes import services
from nodes.models import Node, Workload
from nodes.services.machines import Device
from nodes.services.silence import Witness

GIB = 2**30


def device(node: str, index: int, **fields: Any) -> Device:
    values = {"uuid": f"{node}-{index}", "name": "A100", "memory_bytes": 80 * GIB}
    return Device(index, **{**values, **fields})


def register(name: str = "gpu-01", gpus: int = 2, **fields: Any) -> Node:
    values = {
        "cpu_count": 8,
        "memory_bytes": 64 * GIB,
        "disk_bytes": 1000 * GIB,
        "facts": {"engines": ["small"], "system": "Linux"},
        "devices": [device(name, index) for index in range(gpus)],
        "address": "10.0.0.7",
    }
    return services.node_register(name, **{**values, **fields})


def submit(project, name: str = "secret-model", **fields: Any) -> Workload:
    values = {
        "created_by": None,
        "engine": "small",
        "verb": "train",
        "inputs": {},
        "files": {},
        "gpus": 1,
    }
    return services.workload_submit(project=project, name=name, **{**values, **fields})


def runs(workload: Workload) -> Workload:
    """Claimed and started, as its node's worker would."""
    services.workload_claim(workload.pk, workload.epoch)
    services.workload_started(workload.pk, workload.epoch + 1)
    workload.refresh_from_db()
    return workload


def ends(workload: Workload, outcome: str) -> Workload:
    services.follow.workload_end(workload.pk, workload.epoch, outcome=outcome, reason="")
    workload.refresh_from_db()
    return workload


def load(node: str = "gpu-01", index: int = 0, **figures: Any) -> dict[str, Any]:
    values = {"index": index, "uuid": f"{node}-{index}", "memory_used_bytes": GIB}
    return {**values, **figures}


def figures(*gpus: dict[str, Any], **values: Any) -> dict[str, Any]:
    found = {
        "cpu_percent": 37.5,
        "memory_used_bytes": 16 * GIB,
        "disk_used_bytes": 500 * GIB,
        "disks": [{"path": "/data", "total_bytes": 1000 * GIB, "used_bytes": 500 * GIB}],
        "gpus": list(gpus),
    }
    return {**found, **values}


def witnessed(seconds: int, *, every: int = 2) -> Witness:
    """A judge that has heard of no node for so long; its clock is simulated."""
    witness = Witness()
    for now in range(0, seconds + every, every):
        witness.look(float(now))
    return witness
