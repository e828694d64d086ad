"""Public datasets of the installation's list: made known at once, fetched when an operator asks."""

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import User
from accounts.services import event_record, project_commons
from common.errors import DomainError
from common.phrases import gettext as _
from datasets.importing.catalogue import Entry, entry_read
from datasets.models import Dataset, Import, PublicSource
from datasets.services.files import LocalFile, data_root
from datasets.services.imports import hub_endpoints, import_create
from datasets.services.uploads import Wish, name_checked, refuse_taken, version_add

LIST = "dataset_info_public.json"
LIST_MAX = 16 * 2**20  # bytes


@dataclass(slots=True)
class Synced:
    """What the list brought, by the names in it. `problems` say why entries were left out."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # known from before, not in the list any more
    fetched: list[str] = field(default_factory=list)  # from files beside the list
    problems: dict[str, str] = field(default_factory=dict)


def public_list() -> Path:
    """The list that counts: the installation's own in its data directory, else the one that comes
    with the platform.
    """
    own = data_root() / LIST
    return own if own.exists() else Path(settings.BASE_DIR) / "data" / LIST


def public_sync(path: Path | None = None) -> Synced:
    """Brings the public datasets in step with the list; nothing is fetched from anywhere.

    May run as often as wanted. What is not in the list any more stays as it is. DomainError when
    the list cannot be read.
    """
    path = path or public_list()
    entries = _entries(path)
    synced = Synced()
    for key, given in entries.items():
        try:
            entry = entry_read(given, hub_endpoints())
            source = _source(key, given, entry, synced)
            if entry.file_name:
                _fetch_beside(path, source, entry, synced)
        except DomainError as refused:
            synced.problems[key] = refused.message
    known = PublicSource.objects.values_list("key", flat=True)
    synced.missing = sorted(set(known) - set(entries))
    return synced


def _entries(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LIST_MAX:
            raise ValueError(LIST_MAX)
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError(type(found))
    except (OSError, ValueError, TypeError) as error:
        raise DomainError(
            _("%(path)s is no list of datasets: %(reason)s") % {"path": path, "reason": error},
            code="list",
        ) from error
    return found


@transaction.atomic
def _source(key: str, given: Any, entry: Entry, synced: Synced) -> PublicSource:
    """The row of an entry, made or changed where needed."""
    source = PublicSource.objects.select_for_update().filter(key=key).first()
    if source is None:
        project = project_commons()
        name = name_checked(key)
        refuse_taken(project, name)
        dataset = Dataset.objects.create(
            project=project, name=name, remark=entry.description[:2000], is_public=True
        )
        event_record(dataset, project=project, actor=None, verb="created")
        synced.added.append(key)
        return PublicSource.objects.create(key=key, dataset=dataset, entry=given)
    if source.entry != given:
        # What is known from before may be what the list has corrected now.
        before = str((source.entry or {}).get("description") or "")
        if source.dataset.remark == before[:2000]:  # what operators wrote stays
            Dataset.objects.filter(pk=source.dataset_id).update(remark=entry.description[:2000])
        source.entry = given
        source.save(update_fields=["entry"])
        synced.changed.append(key)
    return source


def _fetch_beside(path: Path, source: PublicSource, entry: Entry, synced: Synced) -> None:
    """The first version from a file beside the list, in the name of the oldest operator."""
    operators = User.objects.filter(is_staff=True, is_active=True).order_by("date_joined")
    by = operators.first()
    if by is None or source.dataset.versions.exists():
        return
    folder = path.parent.resolve()
    file = (folder / entry.file_name).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise DomainError(
            _("There is no file “%(name)s” beside the list.") % {"name": entry.file_name},
            code="file",
        )
    upload = LocalFile(file, file.name)
    version_add(source.dataset_id, by=by, upload=upload, wish=_wish(entry))
    synced.fetched.append(source.key)


def _wish(entry: Entry) -> Wish | None:
    return Wish(entry.shape, entry.columns, entry.tags) if entry.shape else None


def public_places(dataset: Dataset) -> dict[str, str]:
    """The hubs that a dataset of the list can be fetched from, with its name there; none of an
    entry that cannot be read any more.
    """
    source = PublicSource.objects.filter(dataset=dataset).first()
    try:
        return entry_read(source.entry, hub_endpoints()).places if source else {}
    except DomainError:
        return {}


def public_fetch(dataset_id: uuid.UUID, *, kind: str, by: User) -> Import:
    """Has a dataset of the list fetched from one of its hubs. DomainError when it has no such."""
    dataset = Dataset.objects.editable_by(by).select_related("project").get(pk=dataset_id)
    source = PublicSource.objects.filter(dataset=dataset).first()
    entry = entry_read(source.entry, hub_endpoints()) if source else None
    if entry is None or kind not in entry.places:
        raise DomainError(_("The list names no such place for it."), field="kind", code="kind")
    return import_create(
        project=dataset.project,
        created_by=by,
        kind=kind,
        reference={"repository": entry.places[kind], "choices": entry.choices},
        dataset_id=dataset.pk,
        wish=_wish(entry),
    )
