"""Answers to what the apps below ask."""

from typing import Any

from django.dispatch import receiver

from accounts.models import Project
from accounts.signals import Stage, project_emptying
from nodes import services


@receiver(project_emptying, dispatch_uid="nodes.project_emptying")
def empty(sender: object, *, project: Project, stage: Stage, until: float, **kwargs: Any) -> bool:
    """Removes the workloads when nothing above needs them any more."""
    return stage is Stage.THINGS and services.project_empty(project, until=until)
