"""Models and their versions: published by jobs, renamed and deleted by people."""

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max, ProtectedError

from accounts.models import Project, User
from accounts.services import event_record
from common.commits import after_commit
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from registry import weights
from registry.models import Model, ModelVersion
from registry.services.names import below_home, clean_name, safe_name
from registry.signals import version_deleting


@transaction.atomic
def version_publish(
    *,
    project: Project,
    model_name: str,
    kind: str,
    source: str,
    template: str,
    base: ModelVersion | None,
    path: str | Path,
    parameters: int | None = None,
    facts: Mapping[str, object] | None = None,
    created_by: User | None = None,
) -> ModelVersion:
    """Registers weights that lie at `path` as the next version of the project's model of that name.

    The model is made when it is the first. Nothing is moved. Publishing the same path again returns
    the version that is there, so that a repeated task registers once.
    """
    relative = below_home(path)
    found = ModelVersion.objects.filter(path=relative, model__project=project).first()
    if found is not None:
        return found
    directory = Path(settings.TRAINER_HOME) / relative
    if not directory.is_dir():
        raise DomainError(_("There are no files to register."), field="path", code="no_files")
    model, _made = Model.objects.get_or_create(
        project=project, name=safe_name(model_name), defaults={"created_by": created_by}
    )
    Model.objects.select_for_update().get(pk=model.pk)
    newest = model.versions.aggregate(newest=Max("number"))["newest"] or 0
    version = ModelVersion.objects.create(
        model=model,
        number=newest + 1,
        kind=kind,
        source=source,
        template=template,
        base=base,
        path=relative,
        parameters=parameters or weights.parameters_of(directory) or None,
        bytes=weights.size_of(directory),
        facts=dict(facts or {}),
    )
    event_record(
        version,
        project=project,
        actor=created_by,
        verb="published",
        new=kind,
        data={"model": model.name, "number": version.number},
    )
    return version


@transaction.atomic
def model_update(
    model_id: uuid.UUID, *, by: User, name: str | None = None, remark: str | None = None
) -> Model:
    """Renames a model or changes its remark; a name that is taken is refused."""
    model = Model.objects.editable_by(by).select_for_update().get(pk=model_id)
    old = model.name
    if name is not None:
        model.name = clean_name(name)
    if remark is not None:
        model.remark = remark.strip()[:2000]
    try:
        with transaction.atomic():
            model.save(update_fields=["name", "remark"])
    except IntegrityError as error:
        raise DomainError(
            _("There is already a model called “%(name)s”.") % {"name": model.name},
            field="name",
            code="name_taken",
        ) from error
    if old != model.name:
        event_record(
            model,
            project=model.project,
            actor=by,
            verb="renamed",
            data={"old": old, "new": model.name},
        )
    return model


@transaction.atomic
def version_delete(version_id: uuid.UUID, *, by: User) -> None:
    """Deletes a version and, after commit, its files; refused while something uses it.

    A model goes with its last version.
    """
    version = (
        ModelVersion.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("model__project")
        .get(pk=version_id)
    )
    model = version.model
    _version_remove(version, by=by)
    if not model.versions.exists():
        model.delete()


@transaction.atomic
def model_delete(model_id: uuid.UUID, *, by: User) -> None:
    """Deletes a model with all its versions; refused while something outside it uses one."""
    model = Model.objects.editable_by(by).select_for_update().get(pk=model_id)
    # The newest first: within a model, later versions come from earlier ones.
    for version in model.versions.select_related("model__project").order_by("-number"):
        _version_remove(version, by=by)
    model.delete()


def _version_remove(version: ModelVersion, *, by: User) -> None:
    version_deleting.send(sender=ModelVersion, version=version)
    name, pk, directory = str(version), version.pk, version.directory
    project = version.model.project
    shared = (
        ModelVersion.objects.filter(path=version.path).exclude(pk=pk).exists()
        if version.path
        else True
    )
    try:
        with transaction.atomic():
            event_record(version, project=project, actor=by, verb="deleted", data={"name": name})
            version.delete()
    except ProtectedError as error:
        users = sorted({_described(item) for item in error.protected_objects})
        raise Conflict(
            _("%(name)s is in use by %(users)s. Delete those first.")
            % {"name": name, "users": ", ".join(users[:5]) + (" …" if len(users) > 5 else "")},
            code="in_use",
            data={"users": users[:50]},
        ) from error
    if directory is not None and not shared:
        after_commit(_files_remove, directory)


def _described(item: object) -> str:
    meta = getattr(item, "_meta", None)
    return f"{meta.verbose_name} “{item}”" if meta else str(item)


def _files_remove(directory: Path) -> None:
    """Moves the files aside first, so that a half-removed model is never taken for a whole one."""
    doomed = Path(settings.TRAINER_HOME) / "temp" / f"deleted-{uuid.uuid4()}"
    try:
        directory.rename(doomed)
    except FileNotFoundError:
        return
    except OSError:
        doomed = directory  # the directories lie on different file systems
    shutil.rmtree(doomed, ignore_errors=True)
