"""What is remembered of versions that are deleted."""

import uuid
from collections.abc import Iterable, Sequence

from datasets.models import MADE, DatasetVersion, RecipeRun, RemovedVersion


def versions_remember(versions: Sequence[DatasetVersion]) -> None:
    """Writes down their places in the lineage; the caller is in a transaction and deletes them."""
    children = DatasetVersion.objects.filter(MADE, parent__in=versions, run=None)
    made = _by_source(children.values_list("parent_id", "pk"))
    runs = RecipeRun.objects.filter(source__in=versions)
    read = _by_source(runs.values_list("source_id", "pk"))
    also = RecipeRun.inputs.through.objects.filter(datasetversion__in=versions)
    mixed = _by_source(also.values_list("datasetversion_id", "reciperun_id"))
    derived = DatasetVersion.objects.filter(MADE, pk__in=[version.pk for version in versions])
    parents = dict(derived.values_list("pk", "parent_id"))
    RemovedVersion.objects.bulk_create(
        RemovedVersion(
            pk=version.pk,
            project=version.dataset.project,
            name=str(version),
            parent_id=parents.get(version.pk),
            run_id=version.run_id,
            children=made.get(version.pk, []),
            runs=read.get(version.pk, []) + mixed.get(version.pk, []),
            created_at=version.created_at,
        )
        for version in versions
    )


def _by_source(pairs: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> dict[uuid.UUID, list[str]]:
    found: dict[uuid.UUID, list[str]] = {}
    for source, made in pairs:
        found.setdefault(source, []).append(str(made))
    return found
