"""Import of local directories as base models, by operators."""

import os
import shutil
import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.services import event_record
from common.errors import DomainError
from common.phrases import gettext as _
from registry import weights
from registry.models import Model, ModelVersion
from registry.services.names import clean_name, clean_template

DRAFT = ".import-"
DRAFT_KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Candidate:
    """A folder that an operator put under `models/import`; `problem` says why it cannot be used."""

    name: str
    bytes: int
    parameters: int
    architecture: str
    problem: str


def import_root() -> Path:
    """The one directory from which the pages and the API import."""
    root = Path(settings.TRAINER_HOME) / "models" / "import"
    root.mkdir(parents=True, exist_ok=True)
    return root


def import_candidates() -> list[Candidate]:
    """The folders under `models/import`, by name, each looked at."""
    found = []
    for path in sorted(import_root().iterdir()):
        if path.name.startswith(".") or (path.is_file() and not path.is_symlink()):
            continue
        try:
            facts = weights.inspect(path)
        except DomainError as refused:
            found.append(Candidate(path.name, 0, 0, "", refused.message))
        else:
            found.append(
                Candidate(path.name, facts.bytes, facts.parameters, facts.architecture, "")
            )
    return found


def folder_import(*, folder: str, name: str, template: str, by: User) -> ModelVersion:
    """Imports one of `import_candidates` by its name; the folder is gone afterwards.

    The name has to be one of the list: a path is never taken from a form or the API.
    """
    if folder not in {candidate.name for candidate in import_candidates()}:
        raise DomainError(
            _("There is no folder “%(name)s” in models/import.") % {"name": folder},
            field="folder",
            code="unknown_folder",
        )
    source = import_root() / folder
    try:
        version = model_import(source, name=name, template=template, by=by, link=True)
    except weights.BadWeights as refused:
        raise DomainError(refused.message, field="folder", code=refused.code) from refused
    shutil.rmtree(source, ignore_errors=True)
    return version


def model_import(
    directory: Path, *, name: str, template: str, by: User | None, link: bool = False
) -> ModelVersion:
    """Registers a copy of a local model as an enabled base model.

    The copy is complete before anything refers to it: killed at any point, this leaves the source
    as it was and nothing registered. With `link` the files are linked instead of copied, which
    needs one file system. Raises `BadWeights` for what cannot be used, `DomainError` for the rest.
    """
    name, template = clean_name(name), clean_template(template)
    if Model.objects.filter(project=None, name=name).exists():
        raise _taken(name)
    weights.inspect(directory)
    _drafts_remove()
    draft = Path(settings.TRAINER_HOME) / "models" / f"{DRAFT}{uuid.uuid4()}"
    try:
        _copy(directory, draft, link=link)
        return _register(draft, weights.inspect(draft), name=name, template=template, by=by)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@transaction.atomic
def _register(
    draft: Path, facts: weights.Weights, *, name: str, template: str, by: User | None
) -> ModelVersion:
    try:
        with transaction.atomic():
            model = Model.objects.create(name=name, created_by=by)
    except IntegrityError as error:
        raise _taken(name) from error
    version = ModelVersion(
        model=model,
        kind=ModelVersion.Kind.BASE,
        source=ModelVersion.Source.LOCAL,
        template=template,
        parameters=facts.parameters,
        bytes=facts.bytes,
        facts={"architecture": facts.architecture},
    )
    version.path = f"models/{version.pk}"
    version.save()
    event_record(model, project=None, actor=by, verb="imported", data={"name": name})
    draft.rename(draft.with_name(str(version.pk)))
    return version


def _taken(name: str) -> DomainError:
    return DomainError(
        _("There is already a base model called “%(name)s”.") % {"name": name},
        field="name",
        code="name_taken",
    )


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        raise DomainError(
            _(
                "models/import lies on another file system, where a copy takes long."
                " Use the command model_import."
            ),
            field="folder",
        ) from error
    return target


def _copy(source: Path, target: Path, *, link: bool) -> None:
    shutil.copytree(
        source,
        target,
        symlinks=True,
        copy_function=_linked if link else partial(shutil.copy2, follow_symlinks=False),
    )


def _drafts_remove() -> None:
    """Removes what a killed import left, a day later: a slow copy may still be at work."""
    for path in (Path(settings.TRAINER_HOME) / "models").glob(f"{DRAFT}*"):
        if time.time() - path.stat().st_mtime > DRAFT_KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
