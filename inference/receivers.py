"""News from below: workloads, the node agent's tick, a version that is to be deleted."""

import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection
from django.dispatch import receiver

from inference import services
from nodes.signals import agent_tick, workload_changed
from registry.models import ModelVersion
from registry.signals import version_deleting

logger = logging.getLogger(__name__)
# The question whether a replica is ready may take seconds, and the agent must not wait for it.
_sweeper = ThreadPoolExecutor(1, thread_name_prefix="deployments")
_sweeping = threading.Lock()


@receiver(workload_changed)
def workload_follow(sender: object, *, workload_id: uuid.UUID, **kwargs: Any) -> None:
    """The deployment follows its workload."""
    services.workload_sync(workload_id)


@receiver(agent_tick)
def deployments_tick(sender: object, *, node_id: uuid.UUID, **kwargs: Any) -> None:
    """Sweeps in a thread of its own, one sweep at a time."""
    if _sweeping.acquire(blocking=False):
        _sweeper.submit(_sweep, node_id)


def _sweep(node_id: uuid.UUID) -> None:
    try:
        if connection.vendor != "sqlite":
            connection.close_if_unusable_or_obsolete()
        services.deployments_sweep(node_id=node_id)
    except Exception:
        logger.exception("sweeping deployments failed; the next tick tries again")
    finally:
        _sweeping.release()


@receiver(version_deleting)
def version_in_service(sender: object, *, version: ModelVersion, **kwargs: Any) -> None:
    """A version in service is not deleted."""
    services.version_guard(version)
