"""Short steps that the control plane's queue runs."""

import uuid

from datasets import services
from datasets.models import DatasetVersion, RecipeRun


def version_check(version_id: str) -> None:
    """Checks a small version here; a big one in a process of its own, so that the queue goes on."""
    version = DatasetVersion.objects.filter(pk=version_id).first()
    if version is None or version.state != DatasetVersion.State.CHECKING:
        return
    if version.bytes < services.SMALL:
        services.version_check(uuid.UUID(version_id))
    else:
        services.check_start(uuid.UUID(version_id))


def version_statistics(version_id: str) -> None:
    """Counts and compares a small version here, a big one in a process of its own."""
    version = DatasetVersion.objects.ready().filter(pk=version_id).first()
    if version is None:
        return
    if version.bytes < services.SMALL:
        services.version_statistics(version.pk)
    else:
        services.statistics_start(version.pk)


def recipe_run(run_id: str) -> None:
    """Runs a recipe on a small version here, on a big one in a process of its own."""
    run = RecipeRun.objects.filter(pk=run_id).select_related("source").first()
    if run is None or not run.is_active:
        return
    if run.source is None or run.source.bytes < services.SMALL:
        services.run_execute(run.pk)
    else:
        services.run_start(run.pk)


def retention_sweep() -> None:
    """Gives notice to versions that a rule lets go, and removes those whose time has come."""
    services.retention_sweep()


def datasets_sweep() -> None:
    """Finishes or removes what a killed process left."""
    services.sweep()
