"""The check of a version: at once for small files, in a process of its own for big ones."""

import shutil
import time
import uuid
from collections.abc import Mapping as Mappings
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task

from accounts.models import User
from accounts.services import live_touch
from common.disks import DiskFull, disk_full_told
from common.errors import DomainError
from common.phrases import dump
from common.phrases import gettext as _
from datasets.checking import Counting, Outcome, rows_check
from datasets.ingest import Contents, contents_ingest, contents_of, no_progress
from datasets.models import DatasetVersion
from datasets.preparing import Progress
from datasets.reading.locks import locked
from datasets.reading.refusals import NotRead
from datasets.services.files import PARTS, original_finish, settle, stored_bytes
from datasets.services.moves import version_move
from datasets.shapes.detect import Guess, guess
from datasets.shapes.mapping import Mapping, mapping_check
from datasets.shapes.talks import talks_guess

UNSURE = 0.5  # how certain it is that rows are texts where they look like messages
TRIES = 5  # of a check that is killed or fails for another reason than the file


def contents_fields(contents: Contents) -> dict[str, Any]:
    """What is kept of a read file in the version's row."""
    return {
        "file_columns": contents.columns,
        "encoding": contents.encoding,
        "file_format": contents.file_format,
        "files": contents.files,
    }


def check_run(
    version: DatasetVersion,
    *,
    by: User | None,
    wait: bool,
    mapping: Mappings[str, Any] | None = None,
) -> DatasetVersion:
    """Checks now, or has it done in the background. `mapping` names columns anew before."""
    if mapping is not None:
        version = _mapping_take(version.pk, mapping, by=by)
    if wait:
        version_check(version.pk, by=by)
    else:
        async_task("datasets.tasks.version_check", str(version.pk), cluster="web")
    return DatasetVersion.objects.select_related("dataset__project").get(pk=version.pk)


@transaction.atomic
def _mapping_take(
    version_id: uuid.UUID, fields: Mappings[str, Any], *, by: User | None
) -> DatasetVersion:
    version = _locked(version_id)
    return version_move(version, DatasetVersion.State.CHECKING, by=by, **fields)


def _locked(version_id: uuid.UUID) -> DatasetVersion:
    return (
        DatasetVersion.objects.select_for_update(of=("self",))
        .select_related("dataset__project")
        .get(pk=version_id)
    )


def version_check(version_id: uuid.UUID, *, by: User | None = None) -> bool:
    """Checks a version that waits for it; whether this call did it.

    Does nothing when another process is at it or it is done. May be killed at any moment, or find
    that the machine cannot read the file now: the sweep starts it again, and nothing it wrote
    counts before the row says so.
    """
    version = DatasetVersion.objects.filter(pk=version_id).first()
    if version is None:
        return False
    with locked(version.directory) as mine:
        if not mine:
            return False
        version = DatasetVersion.objects.select_related("dataset__project").get(pk=version_id)
        if version.state != DatasetVersion.State.CHECKING:
            return False
        _leftovers_remove(version)
        try:
            _tries_count(version)
            with disk_full_told():
                _check(version, by=by)
        except DomainError as refused:
            if isinstance(refused, NotRead | DiskFull) and version.progress["tries"] < TRIES:
                return False
            _broken(version, refused.message, {"code": refused.code, **refused.data}, by=by)
    return True


def _tries_count(version: DatasetVersion) -> None:
    """Notes that a check begins. One that never came to its end so often is given up."""
    tries = int(version.progress.get("tries", 0)) + 1
    if tries > TRIES:
        raise DomainError(
            _("The check was begun %(tries)s times and never ended. Upload the file in parts.")
            % {"tries": TRIES},
            code="check_failed",
        )
    version.progress = {"tries": tries}
    DatasetVersion.objects.filter(pk=version.pk).update(progress=version.progress)


def _check(version: DatasetVersion, *, by: User | None) -> None:
    progress = reporter(version)
    if not version.sha256:
        _original_finish(version, progress)
    contents = _contents(version, progress)
    found = _mapping(version, contents)
    draft = version.directory / f".check-{uuid.uuid4().hex[:12]}"
    draft.mkdir()
    try:
        outcome = Outcome(rows=contents.rows)
        if found.mapping.shape:
            outcome = rows_check(
                version.rows_path,
                draft,
                found.mapping,
                counting=counting_by_default(),
                progress=progress,
            )
        _finish(version, contents, found, outcome, draft, by=by)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _original_finish(version: DatasetVersion, progress: Progress) -> None:
    """Puts the uploaded file together, if it is not, and notes its size and hash."""
    total = max(version.bytes, 1)
    version.bytes, version.sha256 = original_finish(
        version.directory, lambda done: progress("storing", done / total)
    )
    DatasetVersion.objects.filter(pk=version.pk).update(bytes=version.bytes, sha256=version.sha256)


def _contents(version: DatasetVersion, progress: Progress) -> Contents:
    if version.rows_path.exists() and version.file_columns:
        return contents_of(
            version.directory,
            version.file_columns,
            version.encoding,
            version.file_format,
            version.files,
        )
    return contents_ingest(
        version.directory,
        version.original,
        version.filename,
        line_limit=settings.UPLOAD_LINE_MAX_BYTES,
        progress=progress,
    )


def _mapping(version: DatasetVersion, contents: Contents) -> Guess:
    """What the user said, or else the likeliest."""
    from_csv = contents.file_format == "csv"
    if not version.shape:
        found = guess(contents.sample, from_csv=from_csv)
        if found.mapping.shape == "text" and talks_guess(contents.sample):
            return replace(found, certainty=min(found.certainty, UNSURE))
        return found
    mapping = Mapping.of(version.shape, version.columns, version.tags, from_csv=from_csv)
    if not mapping.columns:
        likely = guess(contents.sample, from_csv=from_csv)
        if likely.mapping.shape == version.shape:
            return Guess(likely.mapping, 1.0)
    mapping_check(mapping, contents.columns)
    return Guess(mapping, 1.0)


@transaction.atomic
def _finish(
    version: DatasetVersion,
    contents: Contents,
    found: Guess,
    outcome: Outcome,
    draft: Path,
    *,
    by: User | None,
) -> None:
    """Files and row together: the folder is in place just before the row is committed."""
    row = _locked(version.pk)
    name = draft.name.removeprefix(".")
    settle(draft, version.directory / name)
    ready = found.sure and outcome.usable > 0
    report = outcome.report() | {"certainty": round(found.certainty, 2)}
    if not found.sure and (talks := talks_guess(contents.sample)):
        report["messages"] = talks
    version_move(
        row,
        DatasetVersion.State.READY if ready else DatasetVersion.State.MAPPING,
        by=by,
        **contents_fields(contents),
        shape=found.mapping.shape,
        columns=found.mapping.columns,
        tags=found.mapping.tags,
        rows=outcome.usable,
        report=report,
        stops_of=outcome.stops_of,
        check_name=name,
        progress={},
        stored_bytes=stored_bytes(version.directory),
    )
    if ready:
        async_task("datasets.tasks.version_statistics", str(row.pk), cluster="web")


@transaction.atomic
def _broken(
    version: DatasetVersion, message: str, facts: dict[str, Any], *, by: User | None
) -> None:
    version_move(
        _locked(version.pk),
        DatasetVersion.State.BROKEN,
        by=by,
        reason=message,
        report={"error": {**facts, "message": dump(message)}},
        progress={},
        stored_bytes=stored_bytes(version.directory),
    )


def reporter(version: DatasetVersion, field: str = "progress") -> Progress:
    """Tells live pages in the row's field how far a long check or count is, about once a second."""
    if version.bytes < 256 * 1024:
        return no_progress
    last = time.monotonic()
    kept = dict(getattr(version, field) or {})

    def report(phase: str, share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < 1:
            return
        last = now
        told = {**kept, "phase": phase, "percent": int(100 * min(share, 1))}
        DatasetVersion.objects.filter(pk=version.pk).update(**{field: told})
        live_touch(version.pk, version.dataset.project_id)

    return report


def _leftovers_remove(version: DatasetVersion) -> None:
    """Folders of checks that do not count. The caller holds the version's lock."""
    for folder in version.directory.iterdir():
        if folder.is_dir() and folder.name not in {version.check_name, PARTS}:
            shutil.rmtree(folder, ignore_errors=True)


def counting_by_default() -> Counting | None:
    """The demo model's tokenizer; None where it does not lie here."""
    demo = Path(settings.TRAINER_HOME) / "models" / "demo"
    if (demo / "tokenizer.json").exists():
        return Counting("demo", demo, "chatml")
    return None


def tokenizer_by_default() -> Path | None:
    """The folder of the tokenizer that tokens are counted with; None without one."""
    counting = counting_by_default()
    return counting.tokenizer_dir if counting else None
