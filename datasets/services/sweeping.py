"""What a killed process left behind is finished or removed."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

from django.conf import settings
from django_q.tasks import async_task

from datasets.models import Dataset, DatasetVersion
from datasets.reading.locks import locked
from datasets.services.checks import version_check
from datasets.services.files import INCOMING, data_root, incoming_root
from datasets.services.info import info_write

CHECKS_AT_ONCE = 2
FORGOTTEN = 24 * 3600  # seconds; a request's own upload file is never that old


def sweep() -> None:
    """Removes what belongs to no row, starts checks that nobody runs, writes the list anew."""
    _incoming_sweep()
    for folder in data_root().iterdir():
        if folder.is_dir() and folder.name != INCOMING:
            _dataset_sweep(folder)
    _temporary_sweep()
    for version in DatasetVersion.objects.filter(state=DatasetVersion.State.CHECKING):
        if _is_free(version.directory):
            async_task("datasets.tasks.version_check", str(version.pk), cluster="web")
    info_write()


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
            shutil.rmtree(folder, ignore_errors=True)


def _temporary_sweep() -> None:
    """Files of requests that ended with their process."""
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                path.unlink()


def check_start(version_id: uuid.UUID) -> None:
    """Starts a process that checks this version; it goes on when the queue's worker ends."""
    log = Path(settings.TRAINER_HOME) / "logs" / "dataset-checks.log"
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "dataset_check"]
    with log.open("ab") as errors:
        subprocess.Popen(
            [*command, str(version_id)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=settings.BASE_DIR,
            env=dict(os.environ),
            start_new_session=True,
        )


def checks_run(version_id: uuid.UUID) -> None:
    """Checks this version and then all others that wait, unless enough processes are at it."""
    for slot in range(CHECKS_AT_ONCE):
        directory = data_root() / ".checks" / str(slot)
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory) as mine:
            if mine:
                version_check(version_id)
                _checks_waiting()
                return


def _checks_waiting() -> None:
    """Goes on while there is a version whose check nobody runs."""
    seen: set[uuid.UUID] = set()
    while True:
        waiting = DatasetVersion.objects.filter(state=DatasetVersion.State.CHECKING).exclude(
            pk__in=seen
        )
        version = waiting.order_by("created_at").first()
        if version is None:
            return
        seen.add(version.pk)
        version_check(version.pk)
