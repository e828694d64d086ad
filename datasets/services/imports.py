"""Imports: asked for, chosen from, called off, and the one door to their state."""

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import Project, Role, User
from accounts.services import event_record, role_require
from common.errors import Conflict, DomainError
from common.outbound import BadTarget, target_read
from common.phrases import gettext as _
from common.sealing import Unsealable, seal, unseal
from datasets.importing.hubs import HuggingFace, ModelScope, repository_read, revision_read
from datasets.importing.listing import Place
from datasets.importing.objects import Objects, address_read, endpoint_of
from datasets.importing.shared import Entry, Shared, path_read
from datasets.models import Dataset, DatasetVersion, Import
from datasets.services.files import data_root
from datasets.services.uploads import Wish, name_checked, refuse_taken
from datasets.services.work import work_move

OPEN_MAX = 20  # of one person at a time
PATTERNS_MAX = 50
REGION = "us-east-1"
PURPOSE = "dataset-import"
_HUBS = (Import.Kind.HUGGINGFACE, Import.Kind.MODELSCOPE)
_SECRETS = {
    Import.Kind.HUGGINGFACE: ("token",),
    Import.Kind.MODELSCOPE: ("token",),
    Import.Kind.S3: ("access_key", "secret_key"),
    Import.Kind.DIRECTORY: (),
}


def imports_root() -> Path:
    """Where imports keep what has arrived; each has a folder of its own there while it lasts."""
    root = data_root() / ".imports"
    root.mkdir(parents=True, exist_ok=True)
    return root


def hub_endpoints() -> dict[str, str]:
    """The addresses of the hubs that data sets come from here, by kind."""
    return {
        Import.Kind.HUGGINGFACE.value: settings.HF_ENDPOINT,
        Import.Kind.MODELSCOPE.value: settings.MODELSCOPE_ENDPOINT,
    }


def import_kinds() -> dict[str, str]:
    """The kinds of places, each with why nothing can be imported from it here, or nothing."""
    closed = _(
        "This installation fetches nothing from hubs. Ask an operator to allow it"
        " (TRAINER_HUB_ONLINE), or download the files elsewhere and upload them."
    )
    no_roots = _(
        "No directory is open for this. Operators name some in TRAINER_SHARED_DIRECTORIES."
    )
    return {
        kind.value: closed
        if kind in _HUBS and not settings.HUB_ONLINE
        else no_roots
        if kind == Import.Kind.DIRECTORY and not settings.SHARED_DIRECTORIES
        else ""
        for kind in Import.Kind
    }


@transaction.atomic
def import_create(
    *,
    project: Project,
    created_by: User,
    kind: str,
    reference: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    name: str = "",
    dataset_id: uuid.UUID | None = None,
    wish: Wish | None = None,
) -> Import:
    """Has the data of another place made into a version in the background.

    `reference` says where, see `Import.reference`; what else stands in it is left out. `secrets`
    (a token, or access_key and secret_key) are sealed and forgotten when the import ends. With
    `dataset_id` the version is a further one of that dataset, else of a new one called `name`,
    which follows from the place where it is left empty. DomainError or Conflict say what is wrong.
    """
    if kind not in Import.Kind.values:
        raise DomainError(_("There is no such kind of import."), field="kind", code="kind")
    if why := import_kinds()[kind]:
        raise DomainError(why, field="kind", code="closed")
    dataset = None
    if dataset_id is not None:
        editable = Dataset.objects.editable_by(created_by).select_related("project")
        dataset = editable.get(pk=dataset_id)
        project = dataset.project
    role_require(created_by, project, Role.RESEARCHER)
    place = {**_place(Import.Kind(kind), reference), **_wanted(reference)}
    _refuse_more(created_by)
    sealed = _sealed(Import.Kind(kind), secrets or {})
    found = Import(
        project=project,
        created_by=created_by,
        kind=kind,
        reference=place,
        secret=sealed,
        needs_secret=bool(sealed),
        dataset=dataset,
        wish=asdict(wish) if wish else {},
    )
    if dataset is None:
        found.name = name_checked(name.strip() or _name_of(found.place))
        refuse_taken(project, found.name)
    found.save()
    event_record(found, project=project, actor=created_by, verb="submitted")
    async_task("datasets.tasks.import_run", str(found.pk), cluster="web")
    return found


def _refuse_more(by: User) -> None:
    if Import.objects.filter(created_by=by).active().count() >= OPEN_MAX:
        raise Conflict(
            _("You have %(limit)s imports under way. Wait for some, or cancel them.")
            % {"limit": OPEN_MAX},
            code="too_many_imports",
        )


def _name_of(place: str) -> str:
    """What a new dataset is called: the last word of the place."""
    last = PurePosixPath(place.rstrip("/")).name
    return "".join(sign for sign in last if sign.isalnum() or sign in "-_. ").strip(". ")[:80]


def _place(kind: Import.Kind, given: Mapping[str, Any]) -> dict[str, str]:
    """What is kept of where the data is. DomainError names the field that is wrong."""
    if kind in _HUBS:
        return {
            "repository": repository_read(_text(given, "repository"), kind, hub_endpoints()[kind]),
            "revision": revision_read(_text(given, "revision")),
        }
    if kind == Import.Kind.S3:
        path = _text(given, "path")
        address_read(path)
        region = _text(given, "region") or REGION
        endpoint = endpoint_of(_text(given, "endpoint"), region, path)
        try:
            plain = target_read(endpoint).path == "/" and region.replace("-", "").isalnum()
        except BadTarget:
            plain = False
        if not plain:
            raise DomainError(
                _("An address begins with https:// or http:// and names a host, nothing else."),
                field="endpoint",
                code="address",
            )
        return {"path": path, "endpoint": endpoint, "region": region}
    root = _text(given, "directory") or next(iter(settings.SHARED_DIRECTORIES), "")
    if root not in settings.SHARED_DIRECTORIES:
        raise DomainError(
            _("This directory is not open. Choose one of: %(names)s.")
            % {"names": ", ".join(settings.SHARED_DIRECTORIES)},
            field="directory",
            code="directory",
        )
    path = path_read(_text(given, "path"))
    Shared(Path(root), path, home=Path(settings.TRAINER_HOME)).entries()  # is it there?
    return {"directory": root, "path": path}


def _text(given: Mapping[str, Any], name: str) -> str:
    return str(given.get(name) or "").strip()[:1000]


def _wanted(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Patterns of files and names of offers, where the person gave some."""
    found = {}
    for name in ("files", "choices"):
        values = [str(one).strip()[:300] for one in given.get(name) or () if str(one).strip()]
        if len(values) > PATTERNS_MAX:
            raise DomainError(
                _("Name at most %(limit)s of them.") % {"limit": PATTERNS_MAX}, field=name
            )
        if values:
            found[name] = values
    return found


def _sealed(kind: Import.Kind, secrets: Mapping[str, str]) -> str:
    kept = {name: secrets.get(name, "").strip() for name in _SECRETS[kind]}
    if not any(kept.values()):
        return ""
    missing = next((name for name, value in kept.items() if not value), None)
    if missing is not None:
        raise DomainError(_("Give both keys, or none."), field=missing, code="keys")
    if any(not value.isascii() or not value.isprintable() for value in kept.values()):
        raise DomainError(
            _("A key has letters, digits and signs only; this one was copied with more."),
            field=next(iter(kept)),
            code="keys",
        )
    return seal(json.dumps(kept), purpose=PURPOSE)


def place_of(found: Import) -> Place:
    """The place as files are fetched from it. DomainError when its secret cannot be read."""
    given: dict[str, str] = found.reference
    secrets = _unsealed(found)
    if found.kind == Import.Kind.DIRECTORY:
        root = given["directory"]
        if root not in settings.SHARED_DIRECTORIES:
            raise DomainError(_("The directory is not open any more. Ask an operator."))
        return Shared(Path(root), given["path"], home=Path(settings.TRAINER_HOME))
    if found.kind == Import.Kind.S3:
        keys = (secrets["access_key"], secrets["secret_key"]) if secrets else None
        host = urlsplit(given["endpoint"]).hostname or ""
        return Objects(
            given["endpoint"],
            given["region"],
            given["path"],
            keys,
            trusted=host in settings.IMPORT_HOSTS,
            patterns=found.reference.get("files", ()),
        )
    if why := import_kinds()[found.kind]:
        raise DomainError(why, code="closed")
    token = secrets.get("token", "")
    if found.kind == Import.Kind.MODELSCOPE:
        endpoint = settings.MODELSCOPE_ENDPOINT
        return ModelScope(endpoint, given["repository"], given["revision"], token)
    return HuggingFace(settings.HF_ENDPOINT, given["repository"], given["revision"], token)


def _unsealed(found: Import) -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads(unseal(found.secret, purpose=PURPOSE))
    except Unsealable:
        if not found.secret:
            return {}
        raise DomainError(
            _("The stored key cannot be read any more. Import again, with the key."), code="keys"
        ) from None
    return kept


def shared_entries(root: str, path: str) -> list[Entry]:
    """What lies in a folder of an open directory. DomainError when it cannot be read."""
    if root not in settings.SHARED_DIRECTORIES:
        raise DomainError(_("This directory is not open."), field="directory", code="directory")
    return Shared(Path(root), path, home=Path(settings.TRAINER_HOME)).entries()


@transaction.atomic
def import_choose(import_id: uuid.UUID, choices: Sequence[str], *, by: User) -> Import:
    """Goes on with the chosen offers. Conflict when nothing is to be chosen."""
    found = _editable(import_id, by)
    if found.state != Import.State.CHOOSING:
        raise Conflict(_("Nothing is to be chosen for this import now."))
    known = {offer["name"] for offer in found.offers}
    if not choices or set(choices) - known:
        raise DomainError(
            _("Choose at least one of what there is."), field="choices", code="choices"
        )
    reference = {**found.reference, "choices": list(choices)}
    found = work_move(found, Import.State.WAITING, by=by, reference=reference, offers=[])
    async_task("datasets.tasks.import_run", str(found.pk), cluster="web")
    return found


@transaction.atomic
def import_resume(
    import_id: uuid.UUID, *, by: User, secrets: Mapping[str, str] | None = None
) -> Import:
    """Has a failed import go on with what has arrived; `secrets` as when it was asked for.

    Conflict when nothing of it is kept. DomainError when it had secrets and gets none.
    """
    found = _editable(import_id, by)
    if not found.can_resume:
        raise Conflict(_("Nothing of this import is kept to go on with. Import again."))
    _refuse_more(by)
    sealed = _sealed(Import.Kind(found.kind), secrets or {})
    if found.needs_secret and not sealed:
        raise DomainError(
            _("Give the token or the keys again: they were forgotten when the import ended."),
            field=_SECRETS[Import.Kind(found.kind)][0],
            code="keys",
        )
    if found.name:
        refuse_taken(found.project, found.name)
    work_move(
        found,
        Import.State.WAITING,
        by=by,
        created_by=by,
        secret=sealed,
        needs_secret=bool(sealed),
        problem="",
        ended_at=None,
    )
    async_task("datasets.tasks.import_run", str(found.pk), cluster="web")
    return found


@transaction.atomic
def import_cancel(import_id: uuid.UUID, *, by: User) -> Import:
    """Ends an import, also one that failed and could go on; nothing that has arrived is kept.

    Conflict when it has ended otherwise.
    """
    found = _editable(import_id, by)
    if found.state == Import.State.FAILED and not found.can_resume:
        raise Conflict(_("Nothing of this import is kept."))
    found = work_move(found, Import.State.CANCELLED, by=by)
    directory = found.directory
    transaction.on_commit(lambda: shutil.rmtree(directory, ignore_errors=True))
    return found


def _editable(import_id: uuid.UUID, by: User) -> Import:
    rows = Import.objects.editable_by(by).select_for_update(of=("self",)).select_related("project")
    return rows.get(pk=import_id)


def imports_forget() -> None:
    """Ends imports in which nobody has chosen for as long as an upload may stand still."""
    before = timezone.now() - timedelta(seconds=settings.UPLOAD_KEEP_SECONDS)
    old = Import.objects.filter(state=Import.State.CHOOSING, created_at__lt=before)
    for row in old:
        with transaction.atomic():
            found = Import.objects.select_for_update().get(pk=row.pk)
            if found.state == Import.State.CHOOSING:
                problem = _("Nobody chose what to import.")
                work_move(found, Import.State.FAILED, by=None, problem=problem)


def version_made(found: Import, version: DatasetVersion) -> None:
    """Notes the end of an import within the transaction that stores its version."""
    locked = (
        Import.objects.select_for_update(of=("self",)).select_related("project").get(pk=found.pk)
    )
    work_move(locked, Import.State.SUCCEEDED, by=None, version=version, progress={})
