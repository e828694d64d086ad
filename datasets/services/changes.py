"""Changes of a dataset that leave its contents as they are, and its end."""

import shutil
import uuid

from django.db import transaction
from django.db.models import ProtectedError

from accounts.models import Role, User
from accounts.services import event_record, role_require
from common.commits import after_commit
from common.errors import Conflict
from common.phrases import gettext as _
from datasets.models import Dataset, DatasetVersion
from datasets.services.comparisons import comparisons_drop
from datasets.services.edits import revisions_refuse
from datasets.services.files import data_root
from datasets.services.info import info_write
from datasets.services.moves import dataset_touch
from datasets.services.removed import versions_remember
from datasets.services.runs import runs_refuse
from datasets.services.uploads import name_checked
from datasets.signals import dataset_deleting


@transaction.atomic
def dataset_update(
    dataset_id: uuid.UUID,
    *,
    by: User,
    name: str | None = None,
    remark: str | None = None,
    is_public: bool | None = None,
) -> Dataset:
    """Renames, remarks, publishes or hides. Publishing is a manager's decision.

    A public dataset can be changed by operators only, which the queryset says.
    """
    dataset = (
        Dataset.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("project")
        .get(pk=dataset_id)
    )
    if name is not None and name.strip() != dataset.name:
        _rename(dataset, name_checked(name), by=by)
    if remark is not None and remark.strip() != dataset.remark:
        dataset.remark = remark.strip()[:2000]
        event_record(dataset, project=dataset.project, actor=by, verb="remarked")
    if is_public is not None and is_public != dataset.is_public:
        role_require(by, dataset.project, Role.MANAGER)
        dataset.is_public = is_public
        event_record(
            dataset,
            project=dataset.project,
            actor=by,
            verb="published" if is_public else "made_private",
        )
    dataset.save(update_fields=["name", "remark", "is_public"])
    dataset_touch(dataset)
    return Dataset.objects.get(pk=dataset.pk)


def _rename(dataset: Dataset, name: str, *, by: User) -> None:
    taken = Dataset.objects.filter(project=dataset.project, name=name).exclude(pk=dataset.pk)
    if taken.exists():
        raise Conflict(
            _("%(project)s already has a dataset “%(name)s”.")
            % {"project": dataset.project.name, "name": name},
            field="name",
            code="name_taken",
        )
    event_record(
        dataset,
        project=dataset.project,
        actor=by,
        verb="renamed",
        old=dataset.name[:24],
        new=name[:24],
    )
    dataset.name = name


@transaction.atomic
def dataset_delete(dataset_id: uuid.UUID, *, by: User) -> None:
    """Deletes a dataset with all versions and files; Conflict that names the jobs that use it."""
    dataset = (
        Dataset.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("project")
        .get(pk=dataset_id)
    )
    dataset_remove(dataset, by=by)


def dataset_remove(dataset: Dataset, *, by: User | None) -> None:
    """Deletes a dataset whoever may; the caller is in a transaction. Conflict while jobs use it.

    The files go after the commit; what a killed process leaves of them is swept away.
    """
    versions = list(dataset.versions.all())
    runs_refuse(versions, dataset, by=by)
    revisions_refuse(versions)
    dataset_deleting.send(Dataset, dataset=dataset, versions=versions, by=by)
    event_record(dataset, project=dataset.project, actor=by, verb="deleted", old=dataset.name[:24])
    folder = data_root() / str(dataset.pk)
    versions_remember(versions)
    comparisons_drop(versions)
    _delete(dataset)
    after_commit(info_write)
    after_commit(shutil.rmtree, folder, ignore_errors=True)


@transaction.atomic
def version_delete(version_id: uuid.UUID, *, by: User) -> None:
    """Deletes one version with its files; the last one goes only with its dataset."""
    version = (
        DatasetVersion.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("dataset__project")
        .get(pk=version_id)
    )
    version_remove(version, by=by)


def version_remove(version: DatasetVersion, *, by: User | None) -> None:
    """Deletes a locked version whoever may; the caller is in a transaction. Conflict as above."""
    dataset = version.dataset
    if dataset.versions.count() == 1:
        raise Conflict(
            _("This is the only version of “%(name)s”. Delete the dataset instead.")
            % {"name": dataset.name}
        )
    runs_refuse([version], by=by)
    revisions_refuse([version])
    dataset_deleting.send(Dataset, dataset=dataset, versions=[version], by=by)
    event_record(
        dataset,
        project=dataset.project,
        actor=by,
        verb="version_deleted",
        old=f"v{version.number}",
    )
    folder = version.directory
    versions_remember([version])
    comparisons_drop([version])
    _delete(version)
    dataset_touch(dataset)
    after_commit(shutil.rmtree, folder, ignore_errors=True)


def _delete(thing: Dataset | DatasetVersion) -> None:
    """The database refuses, too, should a user of the data not have spoken up."""
    try:
        thing.delete()
    except ProtectedError as error:
        raise Conflict(
            _("A job has just begun to use the data. Try again, and you see what to delete first."),
            code="in_use",
        ) from error
