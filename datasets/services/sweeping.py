"""What a killed process left behind is finished or removed."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Collection, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from datasets.models import (
    Comparison,
    Dataset,
    DatasetVersion,
    Import,
    Provider,
    RecipeRun,
    Revision,
    TokenCount,
)
from datasets.reading.locks import locked
from datasets.services.comparisons import comparisons_forget
from datasets.services.counts import counts_forget
from datasets.services.files import INCOMING, data_root, incoming_root
from datasets.services.imports import imports_forget, imports_root
from datasets.services.indexes import indexes_forget
from datasets.services.info import info_write
from datasets.services.providers import paces_root
from datasets.services.resumable import uploads_sweep
from datasets.services.runs import recipes_root
from datasets.services.statistics import (
    duplicates_waiting,
    outdated_nudge,
    statistics_waiting,
)
from datasets.services.uploads import SMALL

NUDGED = 20  # small versions a minute
ANSWERS_KEPT = timedelta(days=30)  # of a failed run that may go on
FORGOTTEN = 24 * 3600  # seconds; a request's own upload file is never that old


def sweep() -> None:
    """Removes what belongs to no row, starts what nobody works at, writes the list anew."""
    _incoming_sweep()
    uploads_sweep()
    for folder in data_root().iterdir():
        if folder.is_dir() and folder.name != INCOMING:
            _dataset_sweep(folder)
    _temporary_sweep()
    _paces_sweep()
    for version in DatasetVersion.objects.filter(state=DatasetVersion.State.CHECKING):
        if _is_free(version.directory):
            async_task("datasets.tasks.version_check", str(version.pk), cluster="web")
    _counts_sweep(statistics_waiting(), "datasets.tasks.version_statistics")
    outdated_nudge()
    _counts_sweep(duplicates_waiting(), "datasets.tasks.version_duplicates")
    _work_sweep(
        RecipeRun.objects.active(),
        recipes_root(),
        "datasets.tasks.recipe_run",
        kept=_with_answers().values_list("pk", flat=True),
    )
    imports_forget()
    _work_sweep(
        Import.objects.active(),
        imports_root(),
        "datasets.tasks.import_run",
        resting=(Import.State.CHOOSING,),
        kept=Import.objects.kept().values_list("pk", flat=True),
    )
    _work_sweep(
        Revision.objects.filter(state=Revision.State.SAVING),
        Revision.root(),
        "datasets.tasks.revision_write",
    )
    comparisons_forget()
    _work_sweep(
        Comparison.objects.filter(state=Comparison.State.WAITING),
        Comparison.root(),
        "datasets.tasks.comparison_run",
        kept=Comparison.objects.values_list("pk", flat=True),
    )
    counts_forget()
    counts = TokenCount.objects.waiting()
    _folders_sweep(TokenCount.root(), counts.values_list("pk", flat=True))
    if counts.exists():
        async_task("datasets.tasks.tokens_count", cluster="web")  # works off the others, too
    indexes_forget()
    info_write()


def _counts_sweep(waiting: QuerySet[DatasetVersion], task: str) -> None:
    waiting = waiting.order_by("created_at")
    small = waiting.filter(bytes__lt=SMALL)[:NUDGED]
    # The first big one's process works off the others, too.
    for version in [*small, *waiting.filter(bytes__gte=SMALL)[:1]]:
        async_task(task, str(version.pk), cluster="web")


def _with_answers() -> QuerySet[RecipeRun]:
    """Runs that failed and may go on with what models answered."""
    return RecipeRun.objects.filter(
        state=RecipeRun.State.FAILED, asks_models=True, ended_at__gt=timezone.now() - ANSWERS_KEPT
    )


def _work_sweep(
    rows: QuerySet[Any],
    root: Path,
    task: str,
    *,
    resting: Collection[str] = (),
    kept: Collection[uuid.UUID] = (),
) -> None:
    """Starts work that nobody is at; removes what ended work left in its folder below `root`.

    Not started is what is `resting` in a state; what is `kept` has ended and keeps its folder.
    """
    active = {row.pk: row for row in rows}
    _folders_sweep(root, (*active, *kept))
    for row in active.values():
        if row.state in resting:
            continue
        row.directory.mkdir(exist_ok=True)
        if _is_free(row.directory):
            async_task(task, str(row.pk), cluster="web")


def _folders_sweep(root: Path, needed: Iterable[uuid.UUID]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    names = set(map(str, needed))
    for folder in root.iterdir():
        if folder.name not in names:
            with locked(folder) as mine:
                if mine:
                    shutil.rmtree(folder, ignore_errors=True)


def _is_free(directory: Path) -> bool:
    with locked(directory) as mine:
        return mine


def _incoming_sweep() -> None:
    for folder in incoming_root().iterdir():
        with locked(folder) as mine:
            if mine:
                shutil.rmtree(folder, ignore_errors=True)


def _dataset_sweep(folder: Path) -> None:
    """Removes folders without a row. An upload in progress holds the lock of its folder."""
    try:
        dataset_id = uuid.UUID(folder.name)
    except ValueError:
        return  # not ours
    for inner in folder.iterdir():
        if not inner.is_dir() or not inner.name.removeprefix("v").isdigit():
            continue
        with locked(inner) as mine:
            if not mine:
                continue
            version = DatasetVersion.objects.filter(
                dataset_id=dataset_id, number=int(inner.name.removeprefix("v"))
            ).first()
            if version is None:
                shutil.rmtree(inner, ignore_errors=True)
            elif version.state != DatasetVersion.State.CHECKING:
                _checks_sweep(version)
    if not Dataset.objects.filter(pk=dataset_id).exists():
        with contextlib.suppress(OSError):
            folder.rmdir()


def _checks_sweep(version: DatasetVersion) -> None:
    for folder in version.directory.iterdir():
        if folder.is_dir() and folder.name != version.check_name:
            with locked(folder) as mine:  # near duplicates are counted beside all else
                if mine:
                    shutil.rmtree(folder, ignore_errors=True)


def _temporary_sweep() -> None:
    """Files of requests that ended with their process."""
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                path.unlink()


def _paces_sweep() -> None:
    """The paces of providers that are gone."""
    folders = list(paces_root().iterdir())
    known = set(map(str, Provider.objects.values_list("pk", flat=True)))
    for folder in folders:
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)
