"""What versions share with the evaluation sets of their project."""

import hashlib
import uuid
from collections import defaultdict
from dataclasses import asdict
from itertools import islice
from typing import Any

from django.db import transaction

from common.phrases import dump
from datasets.models import DatasetVersion
from datasets.previews import mapping_of
from datasets.services.checks import reporter
from datasets.signals import evaluation_sets
from datasets.statistics.overlaps import Sets, overlaps_count

PARTS = ("validation", "test")
WAITING = 1000  # versions that are named at once


def sets_by_project() -> dict[uuid.UUID, list[uuid.UUID]]:
    """The evaluation sets of each project: validation and test parts that recipes made, and what
    others name.
    """
    named: set[tuple[uuid.UUID, uuid.UUID]] = set()
    for _receiver, pairs in evaluation_sets.send(DatasetVersion):
        named.update(pairs if isinstance(pairs, list) else [])
    parts = DatasetVersion.objects.filter(lineage__part__in=PARTS)
    named.update(parts.values_list("dataset__project_id", "pk"))
    found: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    wanted = {version_id for _project, version_id in named}
    ready = DatasetVersion.objects.ready().filter(pk__in=wanted).order_by("-created_at")
    projects = defaultdict(list)
    for project_id, version_id in named:
        projects[version_id].append(project_id)
    for version_id in ready.values_list("pk", flat=True):
        for project_id in projects[version_id]:
            found[project_id].append(version_id)
    return found


def evaluation_sets_of(version: DatasetVersion) -> list[uuid.UUID]:
    """The evaluation sets of the version's project other than itself, the newest first."""
    sets = sets_by_project()[version.dataset.project_id]
    return [one for one in sets if one != version.pk]


def uncompared() -> list[uuid.UUID]:
    """Counted versions that were compared with other evaluation sets than their project has now;
    at most `WAITING` of them.
    """
    wanted = {project: _digest(sets) for project, sets in sets_by_project().items()}
    counted = DatasetVersion.objects.ready().filter(
        statistics__isnull=False, dataset__project_id__in=list(wanted)
    )
    facts = counted.values_list("pk", "dataset__project_id", "compared").iterator()
    return list(islice((pk for pk, project, one in facts if one != wanted[project]), WAITING))


def _digest(sets: list[uuid.UUID]) -> str:
    told = ",".join(sorted(map(str, sets)))
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _missing(
    version_id: uuid.UUID, sets: list[uuid.UUID], overlaps: dict[str, Any]
) -> list[uuid.UUID]:
    return [one for one in sets if one != version_id and str(one) not in overlaps]


def overlaps_find(version: DatasetVersion) -> None:
    """Compares a counted version with the evaluation sets it was not compared with.

    The caller holds the version's lock.
    """
    sets = sets_by_project()[version.dataset.project_id]
    missing = _missing(version.pk, sets, version.overlaps)
    if not missing:
        _keep(version, sets, {})
    while missing:
        together, named = Sets(), []
        while missing and not together.is_full:
            other = DatasetVersion.objects.ready().filter(pk=missing.pop(0)).first()
            if other is not None:
                together.add(other.rows_path, mapping_of(other))
                named.append(str(other.pk))
        overlaps_count(version.rows_path, mapping_of(version), together, progress=reporter(version))
        found = dict(zip(named, map(asdict, together.found), strict=True))
        _keep(version, sets, found)


def overlaps_forget(version: DatasetVersion) -> None:
    """Has all sets compared anew: what was found before may be of an older way to compare."""
    version.overlaps = {}
    DatasetVersion.objects.filter(pk=version.pk).update(overlaps={}, compared="")


def overlaps_give_up(version: DatasetVersion, message: str) -> None:
    """Notes for all that is left why it was not compared."""
    sets = sets_by_project()[version.dataset.project_id]
    left = _missing(version.pk, sets, version.overlaps)
    _keep(version, sets, {str(one): {"error": dump(message)} for one in left})


@transaction.atomic
def _keep(version: DatasetVersion, sets: list[uuid.UUID], found: dict[str, Any]) -> None:
    """Adds what was found, forgets sets that are none any more, and notes when none is missing."""
    row = DatasetVersion.objects.select_for_update(of=("self",)).filter(pk=version.pk).first()
    if row is None:
        return
    wanted = {str(one) for one in sets}
    row.overlaps = {key: one for key, one in (row.overlaps | found).items() if key in wanted}
    row.compared = "" if _missing(row.pk, sets, row.overlaps) else _digest(sets)
    row.save(update_fields=["overlaps", "compared"])
    version.overlaps = row.overlaps
