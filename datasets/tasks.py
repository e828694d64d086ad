"""Short steps that the control plane's queue runs."""

import uuid

from datasets import services
from datasets.models import DatasetVersion


def version_check(version_id: str) -> None:
    """Checks a small version here; a big one in a process of its own, so that the queue goes on."""
    version = DatasetVersion.objects.filter(pk=version_id).first()
    if version is None or version.state != DatasetVersion.State.CHECKING:
        return
    if version.bytes < services.SMALL:
        services.version_check(uuid.UUID(version_id))
    else:
        services.check_start(uuid.UUID(version_id))


def datasets_sweep() -> None:
    """Finishes or removes what a killed process left."""
    services.sweep()
