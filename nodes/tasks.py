"""Short steps that run in django-q2's workers; each is one line over an idempotent service."""

import logging
import uuid

from django.conf import settings

from nodes import services
from nodes.services import follow
from nodes.staging.digests import digests_sweep
from nodes.staging.outputs import incoming_sweep

logger = logging.getLogger(__name__)


def workload_start(workload_id: str, epoch: int) -> None:
    """On the node's own queue: claims and starts."""
    try:
        services.workload_start(uuid.UUID(workload_id), epoch, node=settings.NODE_NAME)
    except services.ForeignWorkload as refused:  # the message is older than the placing
        logger.info("%s", refused.message)


def workload_stop(workload_id: str, epoch: int) -> None:
    """On the node's own queue: passes the stop on to the process."""
    follow.workload_signal(uuid.UUID(workload_id), epoch, node=settings.NODE_NAME)


def sweep() -> None:
    """On the control plane's queue, every minute: works while no agent does."""
    witness = services.witness_of_control()
    services.nodes_sweep(witness)
    incoming_sweep()
    digests_sweep()
    services.alerts_silence(witness)
    services.deliveries_sweep()


def alert_deliver(delivery_id: str) -> None:
    """On the control plane's queue: one attempt to tell of an alert."""
    services.delivery_send(uuid.UUID(delivery_id))


def forget() -> None:
    """On the control plane's queue, once a day: drops what is too old to matter."""
    services.alerts_forget()
    services.errors_forget()
    services.samples_forget()


def images_publish() -> None:
    """On the control plane's queue: what the pages read of the engines in images."""
    services.images_publish()
