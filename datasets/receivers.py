"""Answers to what the apps below ask."""

from typing import Any

from django.dispatch import receiver

from accounts.models import Project
from accounts.signals import project_usage
from datasets import services


@receiver(project_usage, dispatch_uid="datasets.project_usage")
def tell_storage(sender: object, *, project: Project, **kwargs: Any) -> dict[str, int]:
    """What the project's datasets store."""
    return {"storage_bytes": services.storage_used(project)}
