"""New datasets and new versions of them."""

import time
import uuid
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Mappings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django_q.tasks import async_task

from accounts.models import Project, Role, User
from accounts.services import event_record, project_hold, role_require
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.ingest import Contents, contents_ingest
from datasets.models import Dataset, DatasetVersion
from datasets.parsing.names import is_showable
from datasets.reading.kinds import kind_of
from datasets.services.checks import check_run, contents_fields
from datasets.services.files import Stored, Uploaded, incoming, link_tree, settle
from datasets.services.moves import dataset_touch
from datasets.services.resumable import uploads_spend
from datasets.services.room import refuse_size
from datasets.shapes.mapping import Mapping, mapping_check

SMALL = 2 * 2**20  # bytes; smaller files are checked while the reader waits
PATIENCE = 15  # seconds that somebody waits for a file to be read before it goes on without them
# What the shared directory's own files are called must stay possible as names of folders, too.
_FORBIDDEN = frozenset('/\\:*?"<>|')


@dataclass(frozen=True)
class Wish:
    """What the uploader says of the shape; empty leaves it to the detection."""

    shape: str = ""
    columns: Mappings[str, Any] = field(default_factory=dict)
    tags: Mappings[str, Any] = field(default_factory=dict)


def dataset_create(
    *,
    project: Project,
    created_by: User,
    name: str,
    upload: Uploaded,
    remark: str = "",
    is_public: bool = False,
    wish: Wish | None = None,
    stored: Callable[[DatasetVersion], None] | None = None,
) -> Dataset:
    """A dataset with its first version. `BadFile`, `QuotaExceeded`, Conflict (name taken).

    A small file is checked at once, so that what is wrong with it is refused and nothing is left;
    of a big one only its beginning is looked at, and the check goes on in the background. `stored`
    is called within the transaction that stores the version, and may refuse it.
    """
    role_require(created_by, project, Role.MANAGER if is_public else Role.RESEARCHER)
    name = name_checked(name)
    refuse_taken(project, name)
    with _received(upload, project, wish) as received:
        dataset = Dataset(
            project=project,
            created_by=created_by,
            name=name,
            remark=remark.strip()[:2000],
            is_public=is_public,
        )
        version = _version_store(dataset, received, by=created_by, parent=None, stored=stored)
    check_run(version, by=created_by, wait=received.contents is not None)
    return Dataset.objects.get(pk=dataset.pk)


def version_add(
    dataset_id: uuid.UUID,
    *,
    by: User,
    upload: Uploaded,
    wish: Wish | None = None,
    stored: Callable[[DatasetVersion], None] | None = None,
) -> DatasetVersion:
    """A new version of a dataset with the contents of another file; `stored` as with a new one."""
    dataset = Dataset.objects.editable_by(by).select_related("project").get(pk=dataset_id)
    with _received(upload, dataset.project, wish) as received:
        version = _version_store(dataset, received, by=by, parent=dataset.latest, stored=stored)
    return check_run(version, by=by, wait=received.contents is not None)


def version_remap(version_id: uuid.UUID, *, by: User, wish: Wish) -> DatasetVersion:
    """Names the columns of a version that waits for it, or makes a new version that reads them so.

    A version that can be trained on never changes. Its successor shares the files.
    """
    version = (
        DatasetVersion.objects.editable_by(by).select_related("dataset__project").get(pk=version_id)
    )
    mapping = Mapping.of(wish.shape, wish.columns, wish.tags, from_csv=version.file_format == "csv")
    mapping_check(mapping, version.file_columns)
    fields = {"shape": mapping.shape, "columns": mapping.columns, "tags": mapping.tags}
    if version.state == DatasetVersion.State.MAPPING:
        return check_run(version, by=by, wait=version.bytes < SMALL, mapping=fields)
    if version.state != DatasetVersion.State.READY:
        raise Conflict(
            _("Version %(number)s is %(state)s; its columns cannot be named now.")
            % {"number": version.number, "state": DatasetVersion.State(version.state).label}
        )
    copied = _version_copy(version, "remapped", fields, by=by)
    return check_run(copied, by=by, wait=version.bytes < SMALL)


def version_restore(version_id: uuid.UUID, *, by: User) -> DatasetVersion:
    """An older version as the newest again: a new version of the same files, which they share.

    Either may be deleted later without harm to the other. Conflict when it is not ready, or is the
    newest already.
    """
    version = (
        DatasetVersion.objects.editable_by(by).select_related("dataset__project").get(pk=version_id)
    )
    if version.state != DatasetVersion.State.READY:
        raise Conflict(
            _("%(version)s is %(state)s. Versions that are ready can be restored.")
            % {"version": version, "state": DatasetVersion.State(version.state).label}
        )
    if not version.dataset.versions.filter(number__gt=version.number).exists():
        raise Conflict(_("%(version)s is the newest one already.") % {"version": version})
    fields = {"shape": version.shape, "columns": version.columns, "tags": version.tags}
    copied = _version_copy(version, "restored", fields, by=by)
    return check_run(copied, by=by, wait=version.bytes < SMALL)


def name_checked(name: str) -> str:
    """The name without blanks around it; DomainError for what cannot be a name."""
    name = name.strip()
    if not name or len(name) > 80:
        raise DomainError(_("Give it a name of 1 to 80 letters."), field="name", code="name")
    bad = next((sign for sign in name if sign in _FORBIDDEN or not is_showable(sign)), None)
    if bad is not None or name.startswith("."):
        raise DomainError(
            _("A name cannot begin with a dot or hold %(sign)s. Use letters, digits, - and _.")
            % {"sign": repr(bad or ".")},
            field="name",
            code="name",
        )
    return name


def refuse_taken(project: Project, name: str) -> None:
    """Conflict when the project has a dataset of this name."""
    if Dataset.objects.filter(project=project, name=name).exists():
        raise Conflict(
            _("%(project)s already has a dataset “%(name)s”. Add a version to it, or rename.")
            % {"project": project.name, "name": name},
            field="name",
            code="name_taken",
        )


@dataclass(frozen=True)
class _Received:
    stored: Stored
    filename: str
    file_format: str
    wish: Wish
    contents: Contents | None  # of a small file, which was read at once
    spends: Sequence[uuid.UUID]  # resumable uploads that it used up


class _received:  # noqa: N801  a context manager
    """An upload that passed the first looks, in a folder of its own until it is stored."""

    def __init__(self, upload: Uploaded, project: Project, wish: Wish | None) -> None:
        self._upload = upload
        self._project = project
        self._wish = wish or Wish()

    def __enter__(self) -> _Received:
        filename = Path(str(self._upload.name or "")).name[:255]
        spends = getattr(self._upload, "spends", ())
        refuse_size(self._upload.size or 0, self._project, held=spends)
        later = (self._upload.size or 0) >= SMALL
        self._folder = incoming(self._upload, later=later)
        stored = self._folder.__enter__()
        try:
            # Of several files the archive is to be written yet.
            file_format = kind_of(stored.original, filename) if stored.original.exists() else "zip"
            contents = self._read(stored, filename) if stored.size < SMALL else None
        except BaseException as error:
            self._folder.__exit__(type(error), error, error.__traceback__)
            raise
        return _Received(stored, filename, file_format, self._wish, contents, spends)

    def __exit__(self, *error: Any) -> None:
        self._folder.__exit__(*error)

    def _read(self, stored: Stored, filename: str) -> Contents | None:
        """What the file holds; None when it takes longer than anybody waits."""
        until = time.monotonic() + PATIENCE

        def hurry(_phase: str, _share: float) -> None:
            if time.monotonic() > until:
                raise TimeoutError

        try:
            contents = contents_ingest(
                stored.directory,
                stored.original,
                filename,
                line_limit=settings.UPLOAD_LINE_MAX_BYTES,
                progress=hurry,
            )
        except TimeoutError:
            return None
        if self._wish.shape:
            mapping_check(
                Mapping.of(self._wish.shape, self._wish.columns, self._wish.tags),
                contents.columns,
            )
        return contents


@transaction.atomic
def _version_store(
    dataset: Dataset,
    received: _Received,
    *,
    by: User,
    parent: DatasetVersion | None,
    stored: Callable[[DatasetVersion], None] | None,
) -> DatasetVersion:
    """Row and files together: the files are moved into place just before the rows are committed."""
    project_hold(dataset.project_id)
    verb = "version_added"
    if dataset._state.adding:
        refuse_taken(dataset.project, dataset.name)
        dataset.save()
        verb = "created"
    else:
        Dataset.objects.select_for_update().get(pk=dataset.pk)
    version = DatasetVersion(
        dataset=dataset,
        number=next_number(dataset),
        parent=parent,
        filename=received.filename,
        file_format=received.file_format,
        bytes=received.stored.size,
        stored_bytes=received.stored.size,
        sha256=received.stored.sha256,
        shape=received.wish.shape,
        columns=dict(received.wish.columns),
        tags=dict(received.wish.tags),
        created_by=by,
    )
    if received.contents is not None:
        for name, value in contents_fields(received.contents).items():
            setattr(version, name, value)
    version.save()
    if stored is not None:
        stored(version)
    uploads_spend(received.spends)
    settle(received.stored.directory, version.directory)
    event_record(dataset, project=dataset.project, actor=by, verb=verb, new=f"v{version.number}")
    dataset_touch(dataset)
    if received.contents is None:
        async_task("datasets.tasks.version_check", str(version.pk), cluster="web")
    return version


def next_number(dataset: Dataset) -> int:
    """The number of the dataset's next version; the caller has locked the dataset."""
    last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
    # A deleted version's number is not given again while its folder is being swept.
    while (DatasetVersion(dataset=dataset, number=last + 1).directory).exists():
        last += 1
    return int(last) + 1


@transaction.atomic
def _version_copy(
    version: DatasetVersion, kind: str, fields: Mappings[str, Any], *, by: User
) -> DatasetVersion:
    """A further version of the same files, with these names for its columns; `kind` says why."""
    project_hold(version.dataset.project_id)
    dataset = Dataset.objects.select_for_update().get(pk=version.dataset_id)
    copied = DatasetVersion.objects.create(
        dataset=dataset,
        number=next_number(dataset),
        parent=version,
        filename=version.filename,
        file_format=version.file_format,
        encoding=version.encoding,
        file_columns=version.file_columns,
        files=version.files,
        bytes=version.bytes,
        sha256=version.sha256,
        lineage={
            "kind": kind,
            "source": str(version),
            "part": version.lineage.get("part", ""),  # a test part stays one
        },
        created_by=by,
        **fields,
    )
    copied.directory.mkdir(parents=True)
    link_tree(
        version.directory, copied.directory, [version.original.name, "rows.jsonl", "rows.idx"]
    )
    event_record(
        dataset, project=dataset.project, actor=by, verb="version_added", new=f"v{copied.number}"
    )
    dataset_touch(dataset)
    return copied
