"""News from below: workloads, the node agent's tick, a version that is to be deleted."""

import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.dispatch import receiver
from django.urls import reverse

from accounts.models import Project, User
from accounts.signals import Stage, project_contents, project_emptying, project_working
from common.phrases import gettext as _
from common.phrases import ngettext
from datasets.signals import deployment_opening, deployments_offered
from inference import services
from inference.generation import DeploymentDoor, deployment_door
from inference.models import Conversation, Deployment, Replica
from nodes.signals import agent_tick, workload_changed, workloads_linked
from registry.models import ModelVersion
from registry.signals import version_deleting

MOST_OFFERED = 500
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


@receiver(workloads_linked, dispatch_uid="inference.workloads_linked")
def link(sender: object, *, workload_ids: list[uuid.UUID], **kwargs: Any) -> dict[uuid.UUID, str]:
    """The pages of deployments."""
    found = Replica.objects.filter(workload__in=workload_ids).values_list("workload", "deployment")
    return {
        workload: reverse("inference:deployment_detail", args=[deployment])
        for workload, deployment in found
    }


@receiver(project_working, dispatch_uid="inference.project_working")
def tell_service(sender: object, *, project: Project, **kwargs: Any) -> list[str]:
    """Deployments that hold or wait for a place."""
    return [
        _("“%(name)s” is in service. Stop it first.") % {"name": deployment.name}
        for deployment in Deployment.objects.filter(project=project).active()
    ]


@receiver(project_contents, dispatch_uid="inference.project_contents")
def tell_contents(sender: object, *, project: Project, **kwargs: Any) -> list[str]:
    """How many deployments and conversations the project has."""
    served = Deployment.objects.filter(project=project).count()
    chats = Conversation.objects.filter(project=project).count()
    told = [
        (served, ngettext("%(n)s deployment", "%(n)s deployments", served)),
        (chats, ngettext("%(n)s conversation", "%(n)s conversations", chats)),
    ]
    return [text % {"n": number} for number, text in told if number]


@receiver(project_emptying, dispatch_uid="inference.project_emptying")
def empty(sender: object, *, project: Project, stage: Stage, until: float, **kwargs: Any) -> bool:
    """Removes the project's deployments and conversations."""
    return stage is Stage.WORK and services.project_empty(project, until=until)


@receiver(deployments_offered, dispatch_uid="inference.deployments_offered")
def offer(sender: object, *, user: User | AnonymousUser, **kwargs: Any) -> list[tuple[str, str]]:
    """Models in service that the user may ask, newest first."""
    rows = Deployment.objects.editable_by(user).active()
    return [(str(row.pk), row.name) for row in rows[:MOST_OFFERED]]


@receiver(deployment_opening, dispatch_uid="inference.deployment_opening")
def open_door(
    sender: object, *, user: User, deployment_id: uuid.UUID, **kwargs: Any
) -> DeploymentDoor | None:
    """The way to one of them."""
    return deployment_door(user, deployment_id)


@receiver(version_deleting)
def version_in_service(sender: object, *, version: ModelVersion, **kwargs: Any) -> None:
    """A version in service is not deleted."""
    services.version_guard(version)
