"""Short steps that the control plane's queue runs."""

import uuid

from datasets import services
from datasets.models import Comparison, DatasetVersion, Import, RecipeRun, Revision, TokenCount


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


def version_duplicates(version_id: str) -> None:
    """Counts the near duplicates of a small version here, of a big one in a process of its own."""
    version = DatasetVersion.objects.ready().filter(pk=version_id).first()
    if version is None:
        return
    if version.rows_path.stat().st_size < services.SMALL:  # what was uploaded may be compressed
        services.version_duplicates(version.pk)
    else:
        services.duplicates_start(version.pk)


def recipe_run(run_id: str) -> None:
    """Runs a recipe on a small version here; on a big one, or where models are asked or read into
    memory, in a process of its own.
    """
    run = RecipeRun.objects.filter(pk=run_id).select_related("source").first()
    if run is None or not run.is_active:
        return
    small = run.source is None or run.source.bytes < services.SMALL
    if small and not run.asks_models and not services.steps_embed(run.steps):
        services.run_execute(run.pk)
    else:
        services.run_start(run.pk)


def import_run(import_id: str) -> None:
    """Fetches in a process of its own: how long that takes is up to others."""
    if Import.objects.active().filter(pk=import_id).exists():
        services.import_start(uuid.UUID(import_id))


def revision_write(revision_id: str) -> None:
    """Saves decisions on rows of a small version here, of a big one in a process of its own."""
    revision = Revision.objects.filter(pk=revision_id).select_related("version").first()
    if revision is None or not revision.is_saving:
        return
    if revision.version.bytes < services.SMALL:
        services.revision_write(revision.pk)
    else:
        services.revision_start(revision.pk)


def comparison_run(comparison_id: str) -> None:
    """Compares small versions here, big ones in a process of their own."""
    comparison = (
        Comparison.objects.select_related("before", "after").filter(pk=comparison_id).first()
    )
    if comparison is None or comparison.state != Comparison.State.WAITING:
        return
    if max(comparison.before.bytes, comparison.after.bytes) < services.SMALL:
        services.comparison_run(comparison.pk)
    else:
        services.comparison_start(comparison.pk)


def tokens_count() -> None:
    """Counts in processes of their own: whose tokenizers, and what they take, is up to others."""
    if TokenCount.objects.waiting().exists():
        services.tokens_start()


def rows_index(version_id: str, wanted: list[str], person: str) -> None:
    """Makes an index in a process of its own: whose rows, and what they take, is up to others."""
    services.index_start(uuid.UUID(version_id), wanted, person)


def retention_sweep() -> None:
    """Gives notice to versions that a rule lets go, and removes those whose time has come."""
    services.retention_sweep()


def datasets_sweep() -> None:
    """Finishes or removes what a killed process left."""
    services.sweep()
