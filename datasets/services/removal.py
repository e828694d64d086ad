"""Datasets and recipes of a project that was deleted."""

import time

from django.db import transaction

from accounts.models import Project
from accounts.services import event_record, project_commons
from common.errors import Conflict
from datasets.models import Dataset, Import, Provider, Recipe, RecipeRun, Upload
from datasets.services.changes import dataset_remove
from datasets.services.resumable import uploads_delete


def project_empty(project: Project, *, until: float) -> bool:
    """Removes the project's recipes, providers and datasets; whether some are left.

    What jobs of other projects learnt from goes to the operators instead, as public or private as
    it was, so that their history and their repetition stay. `until` is of the monotonic clock.
    """
    RecipeRun.objects.filter(project=project).delete()  # what still works at one finds it gone
    Import.objects.filter(project=project, version=None).delete()
    Recipe.objects.filter(project=project).delete()
    Provider.objects.filter(project=project).delete()
    uploads_delete(Upload.objects.filter(project=project))
    for dataset in Dataset.objects.filter(project=project).select_related("project"):
        if time.monotonic() > until:
            break
        try:
            with transaction.atomic():
                dataset_remove(dataset, by=None)
        except Conflict:
            _hand_over(dataset)
    Import.objects.filter(project=project, version=None).delete()  # of datasets that went
    return Dataset.objects.filter(project=project).exists()


@transaction.atomic
def _hand_over(dataset: Dataset) -> None:
    old, dataset.project = dataset.project, project_commons()
    name, number = dataset.name, 1
    while Dataset.objects.filter(project=dataset.project, name=dataset.name).exists():
        number += 1
        dataset.name = f"{name[:70]} {number}"
    dataset.save(update_fields=["project", "name"])
    # What is handed over goes on to say where it came from.
    Import.objects.filter(version__dataset=dataset).update(project=dataset.project)
    dataset.shares.all().delete()  # they were the deleted project's word
    event_record(
        dataset,
        project=dataset.project,
        actor=None,
        verb="handed_over",
        data={"from": old.name, "name": name},
    )
