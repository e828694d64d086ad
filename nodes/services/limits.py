"""How much memory a container may hold."""

from django.conf import settings

from nodes.models import Node, Workload

RESERVE_BYTES = 2 * 2**30  # of a node's memory, for the node itself; a tenth at most
ASKED_TIMES = 1.5  # what was asked for is an estimate, and a little more ends nothing


def memory_room(node: Node) -> int:
    """What the node has for all workloads. Bytes."""
    return node.memory_bytes - min(RESERVE_BYTES, node.memory_bytes // 10)


def memory_bound(workload: Workload, node: Node) -> int:
    """Its own limit; else the part of the node's memory that goes with its GPUs or CPUs. Bytes.

    How much of that part, operators say by TRAINER_WORKLOAD_MEMORY_PERCENT; with 0 the node's
    memory alone counts. It is never less than what was asked for.
    """
    if workload.memory_limit_bytes:
        return workload.memory_limit_bytes
    room = memory_room(node)
    most = max(room, workload.memory_bytes)
    if not settings.WORKLOAD_MEMORY_PERCENT:
        return most
    part = workload.cpus / node.cpu_count
    if workload.gpus:
        part = max(part, workload.gpus / max(1, node.gpus.filter(is_present=True).count()))
    share = room * part * settings.WORKLOAD_MEMORY_PERCENT / 100
    return min(most, round(max(share, ASKED_TIMES * workload.memory_bytes)))
