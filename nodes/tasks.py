"""Short steps that run in django-q2's workers; each is one line over an idempotent service."""

import uuid

from nodes import services
from nodes.services import follow


def workload_start(workload_id: str, epoch: int) -> None:
    """On the node's own queue: claims and starts."""
    services.workload_start(uuid.UUID(workload_id), epoch)


def workload_stop(workload_id: str, epoch: int) -> None:
    """On the node's own queue: passes the stop on to the process."""
    follow.workload_signal(uuid.UUID(workload_id), epoch)


def sweep() -> None:
    """On the control plane's queue, every minute: works while no agent does."""
    services.nodes_sweep()


def images_publish() -> None:
    """On the control plane's queue: what the pages read of the engines in images."""
    services.images_publish()
