"""Sharing a dataset with a person or with a project, to be read and used."""

import uuid

from django.db import transaction

from accounts.models import Project, User
from accounts.services import event_record, project_hold, user_named
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from common.texts import id_of
from datasets.models import Dataset, DatasetShare


@transaction.atomic
def share_create(
    dataset_id: uuid.UUID, *, by: User, user: str = "", project: str = ""
) -> DatasetShare:
    """Lets one person, by user name or e-mail address, or one project, by its id, read the data.

    Both are named exactly: nobody can look here for who and what there is. DomainError when there
    is no such receiver, and Conflict when the receiver sees the dataset already.
    """
    dataset = _locked(dataset_id, by)
    project_hold(dataset.project_id)
    if bool(user.strip()) == bool(project.strip()):
        raise DomainError(
            _("Name a person or a project; one of the two."), field="user", code="receiver"
        )
    if user.strip():
        person = user_named(user)
        if dataset.project.role_of(person) or dataset.is_public:
            raise _seen(dataset, person.username, "user")
        share, made = DatasetShare.objects.get_or_create(
            dataset=dataset, user=person, defaults={"created_by": by}
        )
    else:
        place = _project_named(project)
        if dataset.project_id == place.pk or dataset.is_public:
            raise _seen(dataset, place.name, "project")
        share, made = DatasetShare.objects.get_or_create(
            dataset=dataset, project=place, defaults={"created_by": by}
        )
    if not made:
        raise _seen(dataset, share.receiver, "user" if user.strip() else "project")
    _record(share, "shared", by)
    return share


@transaction.atomic
def share_delete(share_id: uuid.UUID, *, by: User) -> None:
    """Takes it back. What was begun with the data goes on; nothing new can be begun."""
    shares = DatasetShare.objects.editable_by(by)
    share = shares.select_related("dataset__project", "user", "project").get(pk=share_id)
    _locked(share.dataset_id, by)
    _record(share, "unshared", by)
    share.delete()


def _locked(dataset_id: uuid.UUID, by: User) -> Dataset:
    return (
        Dataset.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("project")
        .get(pk=dataset_id)
    )


def _project_named(text: str) -> Project:
    wanted = id_of(text.strip())
    found = Project.objects.filter(pk=wanted, deleted_at=None).first() if wanted else None
    if found is None:
        raise DomainError(
            _(
                "No project has this id. Its members find the id on the project's page, beside"
                " “Over the API”."
            ),
            field="project",
            code="project_unknown",
        )
    return found


def _seen(dataset: Dataset, name: str, field: str) -> Conflict:
    return Conflict(
        _("%(name)s sees “%(dataset)s” already.") % {"name": name, "dataset": dataset.name},
        field=field,
        code="shared_already",
    )


def _record(share: DatasetShare, verb: str, by: User) -> None:
    event_record(
        share.dataset,
        project=share.dataset.project,
        actor=by,
        verb=verb,
        data={
            "with": share.receiver,
            "user": str(share.user_id or ""),
            "project": str(share.project_id or ""),
        },
    )
