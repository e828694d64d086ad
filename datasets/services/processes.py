"""Work in processes of its own: begun from the queue, worked off so many at a time."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from datasets.models import Comparison, DatasetVersion, Import, RecipeRun, Revision, TokenCount
from datasets.reading.locks import lock_taken, locked
from datasets.services.checks import version_check
from datasets.services.comparisons import comparison_run
from datasets.services.counts import tokens_give_up
from datasets.services.files import data_root
from datasets.services.importing import import_execute
from datasets.services.indexes import INDEX_ASKED
from datasets.services.running import run_execute
from datasets.services.saving import revision_write
from datasets.services.statistics import (
    duplicates_waiting,
    statistics_waiting,
    version_duplicates,
    version_statistics,
)
from datasets.services.turns import turn_take

CHECKS_AT_ONCE = 2
COUNTED_AT_ONCE = 1
IMPORTS_AT_ONCE = 3  # a slow server must not keep all others waiting
RUNS_AT_ONCE = 1  # a recipe reads and writes whole datasets: more at once would not be faster
ASKING_AT_ONCE = 4  # recipes that ask models wait for them most of the time
NOTHING: Mapping[str, str] = {}


def check_start(version_id: uuid.UUID) -> None:
    """Starts a process that checks this version; it goes on when the queue's worker ends."""
    _start("dataset_check", version_id)


def statistics_start(version_id: uuid.UUID) -> None:
    """Starts a process that counts this version; it goes on when the queue's worker ends."""
    _start("dataset_statistics", version_id)


def duplicates_start(version_id: uuid.UUID) -> None:
    """Starts a process that counts this version's near duplicates, as `statistics_start` does."""
    _start("dataset_duplicates", version_id)


def run_start(run_id: uuid.UUID) -> None:
    """Starts a process that runs this recipe; it goes on when the queue's worker ends."""
    _start("recipe_run", run_id)


def import_start(import_id: uuid.UUID) -> None:
    """Starts a process that fetches this; it goes on when the queue's worker ends."""
    _start("import_run", import_id)


def revision_start(revision_id: uuid.UUID) -> None:
    """Starts a process that saves these decisions; it goes on when the queue's worker ends."""
    _start("revision_write", revision_id)


def comparison_start(comparison_id: uuid.UUID) -> None:
    """Starts a process that compares; it goes on when the queue's worker ends."""
    _start("versions_compare", comparison_id)


def tokens_start() -> None:
    """Starts a process that works off the counts of tokens, unless one is at it."""
    _start_alone(data_root() / ".counting", "tokens_count")


def index_start(version_id: uuid.UUID, wanted: list[str], person: str) -> None:
    """Starts a process that makes an index of a column, and of words in it, if it is the person's
    turn: who asks for it asks again.

    What people look for is told in the environment: command lines are shown to all of the machine.
    """
    env = {INDEX_ASKED: json.dumps(wanted)}
    turn_take(person, lambda lane: _start_alone(lane, "rows_index", version_id, env=env))


def _start_alone(
    directory: Path, command: str, *which: object, env: Mapping[str, str] = NOTHING
) -> None:
    """Starts a process unless another one holds the directory.

    It gets the lock as its standard input, as do the processes that it starts: another one can
    begin when all of them have ended, however that was.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = lock_taken(directory)
    if lock is not None:
        try:
            _start(command, *which, stdin=lock, env=env)
        finally:
            os.close(lock)


def _start(
    command: str,
    *which: object,
    stdin: int | None = subprocess.DEVNULL,
    env: Mapping[str, str] = NOTHING,
) -> subprocess.Popen[bytes]:
    log = Path(settings.TRAINER_HOME) / "logs" / "datasets.log"
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), command, *map(str, which)],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=settings.BASE_DIR,
            env={**os.environ, **env},
            start_new_session=True,
        )


def checks_run(version_id: uuid.UUID) -> None:
    """Checks this version and then all others that wait, unless enough processes are at it."""
    waiting = DatasetVersion.objects.filter(state=DatasetVersion.State.CHECKING)
    _work_off(
        version_id, waiting, version_check, slots=data_root() / ".checks", at_once=CHECKS_AT_ONCE
    )


def statistics_run(version_id: uuid.UUID) -> None:
    """Counts this version and then all others that wait, unless another process is at it."""
    slots = data_root() / ".statistics"
    _work_off(
        version_id, statistics_waiting(), version_statistics, slots=slots, at_once=COUNTED_AT_ONCE
    )


def duplicates_run(version_id: uuid.UUID) -> None:
    """Counts this version's near duplicates and then those of all others that wait, unless another
    process is at it. It does not keep the quicker counts of other versions waiting.
    """
    slots = data_root() / ".duplicates"
    _work_off(
        version_id, duplicates_waiting(), version_duplicates, slots=slots, at_once=COUNTED_AT_ONCE
    )


def runs_run(run_id: uuid.UUID) -> None:
    """Runs this recipe and then all others that wait, unless enough processes are at it.

    Those that ask models have a queue of their own: they take long, and little of this machine.
    """
    run = RecipeRun.objects.filter(pk=run_id).first()
    if run is None:
        return
    waiting = RecipeRun.objects.waiting(asks_models=run.asks_models)
    if run.asks_models:
        slots, at_once = data_root() / ".asking", ASKING_AT_ONCE
    else:
        slots, at_once = data_root() / ".runs", RUNS_AT_ONCE
    _work_off(run_id, waiting, run_execute, slots=slots, at_once=at_once)


def imports_run(import_id: uuid.UUID) -> None:
    """Fetches this and then all others that wait, unless enough processes are at it."""
    waiting = Import.objects.filter(state=Import.State.WAITING)
    _work_off(
        import_id,
        waiting,
        import_execute,
        slots=data_root() / ".importers",
        at_once=IMPORTS_AT_ONCE,
    )


def revisions_run(revision_id: uuid.UUID) -> None:
    """Saves these decisions and then all others that wait, unless enough processes are at it."""
    waiting = Revision.objects.filter(state=Revision.State.SAVING)
    slots = data_root() / ".saving"
    _work_off(revision_id, waiting, revision_write, slots=slots, at_once=RUNS_AT_ONCE)


def comparisons_run(comparison_id: uuid.UUID) -> None:
    """Compares these versions and then all others that wait, unless enough processes are at it."""
    waiting = Comparison.objects.filter(state=Comparison.State.WAITING)
    slots = data_root() / ".comparing"
    _work_off(comparison_id, waiting, comparison_run, slots=slots, at_once=RUNS_AT_ONCE)


def tokens_run() -> None:
    """Has the counts of tokens that wait made, one after the other, each by a process of its own.

    Such a process may be killed for what it takes. Its count waits for the next sweep, so that the
    others have their turn; a count that took too much processor time would do so again, and fails.
    """
    seen: set[uuid.UUID] = set()
    while count := TokenCount.objects.waiting().exclude(pk__in=seen).first():
        seen.add(count.pk)
        if _start("tokens_count", count.pk, stdin=None).wait() == -signal.SIGXCPU:
            tokens_give_up(count.pk)


def _work_off(
    first: uuid.UUID,
    waiting: QuerySet[Any],
    work: Callable[[uuid.UUID], object],
    *,
    slots: Path,
    at_once: int,
) -> None:
    """Works at the first and then at all that wait, unless so many processes do already."""
    for place in range(at_once):
        directory = slots / str(place)
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory) as mine:
            if not mine:
                continue
            work(first)
            seen: set[uuid.UUID] = set()
            while row := waiting.exclude(pk__in=seen).order_by("created_at").first():
                seen.add(row.pk)
                work(row.pk)
            return
