"""Indexes of columns by which rows are filtered and put in order: made when somebody asks for them.

An index is a folder, there as soon as it is whole. Nothing waits for one but the page or program
that asks for it, and asks again: a nudge that is lost is given anew, and what nobody asks for any
more is not made.
"""

import json
import os
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django_q.tasks import async_task

from common.disks import DiskFull, disk_full_told
from common.phrases import gettext as _
from datasets.models import DatasetVersion
from datasets.models.versions import INDEXES
from datasets.reading.locks import locked
from datasets.services.files import data_root, sync
from datasets.services.inputs import Seer
from datasets.services.uploads import SMALL
from datasets.statistics.choosing import Choice
from datasets.statistics.indexes import Index

INDEX_ASKED = "TRAINER_INDEX_ASKED"  # the variable that tells a process column and words, as JSON
INDEX_SECONDS = 900  # of processor time that one index may take
INDEX_BYTES = 4 * 2**30  # of address space, most of which is what libraries reserve
TRIES = 2  # of an index whose process is killed
FAILED_FOR = timedelta(hours=1)  # after which one that failed is begun anew
AGAIN_SECONDS = 5  # after which an index that nobody works at is asked for again
KEPT = timedelta(days=30)  # after it was last used
KEPT_AT_MOST = 12  # indexes of one version that were not used for a while
IN_USE_SECONDS = 600  # after it was last used
DRAFT = ".draft"


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the indexes for a choice are there: `state` is done, waiting or failed.

    `column` is the one that is waited for, `percent` how far it is, `problem` why it failed.
    """

    state: str = "done"
    column: str = ""
    percent: int = 0
    problem: str = ""


def indexes_ready(version: DatasetVersion, choice: Choice, *, by: Seer) -> Standing:
    """Whether all that the choice needs is there. Those of small versions are made at once, of
    others in the background for readers who are logged in.
    """
    for index in choice.indexes:
        with suppress(FileNotFoundError):
            os.utime(version.indexes_directory / index.name)  # what is used is kept
    for index in choice.indexes:
        standing = _standing(version, index, by)
        if standing.state != "done":
            return standing
    return Standing()


def _standing(version: DatasetVersion, index: Index, by: Seer) -> Standing:
    root, folder = version.indexes_directory, version.indexes_directory / index.name
    if not folder.exists() and version.rows_path.stat().st_size < SMALL:
        try:
            with disk_full_told():
                index_make(version.pk, index, wait=True)
        except DiskFull as full:
            return Standing("failed", index.column, problem=full.message)
    if folder.exists():
        return Standing()
    if not by.is_authenticated:
        problem = _("Log in to filter and sort this version by its columns.")
        return Standing("failed", index.column, problem=problem)
    root.mkdir(parents=True, exist_ok=True)
    note = _note(root, index)
    told, age = _told(note)
    with locked(root) as is_free:
        pass
    if is_free and told["tries"] >= TRIES:
        if age < FAILED_FOR.total_seconds():
            problem = _(
                "The column “%(column)s” could not be gone through: the machine may have too little"
                " memory or disk. Try again in an hour."
            ) % {"column": index.column}
            return Standing("failed", index.column, problem=problem)
        told = _tell(note, tries=0, percent=0)
        age = AGAIN_SECONDS
    if is_free and age >= AGAIN_SECONDS:
        _tell(note, **told)
        wanted = [index.column, index.words]
        async_task("datasets.tasks.rows_index", str(version.pk), wanted, cluster="web")
    return Standing("waiting", index.column, told["percent"])


def index_make(version_id: uuid.UUID, index: Index, *, wait: bool = False) -> bool:
    """Makes an index unless it is there; whether this call did it.

    Does nothing while another process makes one of this version; with `wait` it waits for that.
    May be killed at any moment.
    """
    version = DatasetVersion.objects.filter(pk=version_id).first()
    if version is None or index.column not in version.file_columns:
        return False
    root = version.indexes_directory
    root.mkdir(parents=True, exist_ok=True)
    with locked(root, wait=wait) as mine:
        if not mine or (root / index.name).exists():
            return False
        draft, note = root / DRAFT, _note(root, index)
        tries = _told(note)[0]["tries"] + 1
        _tell(note, tries=tries, percent=0)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            index.write(version.rows_path, draft, _Teller(note, tries))
            for path in draft.iterdir():
                sync(path)
            draft.replace(root / index.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        note.unlink()
        for folder in sorted(_made(root), key=_used)[:-KEPT_AT_MOST]:
            if _used(folder) < time.time() - IN_USE_SECONDS:  # several may be read beside others
                shutil.rmtree(folder, ignore_errors=True)
    return True


def indexes_forget() -> None:
    """Removes those that nobody used lately, and those of versions that are gone."""
    root = data_root() / INDEXES
    folders = list(root.iterdir()) if root.exists() else []
    ids = [folder.name for folder in folders if _is_id(folder.name)]
    versions = DatasetVersion.objects.filter(pk__in=ids)
    there = set(map(str, versions.values_list("pk", flat=True)))
    long_ago = time.time() - KEPT.total_seconds()
    for folder in folders:
        with locked(folder) as mine:
            if not mine:
                continue
            if folder.name not in there:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            # Of processes that were killed.
            shutil.rmtree(folder / DRAFT, ignore_errors=True)
            for draft in folder.glob("*.draft-*"):
                draft.unlink()
            for index in _made(folder):
                if _used(index) < long_ago:
                    shutil.rmtree(index, ignore_errors=True)
            for note in folder.glob("*.json"):
                if _used(note) < long_ago:
                    note.unlink()


class _Teller:
    """Writes down how far an index is, once a second."""

    def __init__(self, note: Path, tries: int) -> None:
        self._note, self._tries, self._last = note, tries, time.monotonic()

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._last > 1:
            self._last = time.monotonic()
            _tell(self._note, tries=self._tries, percent=int(95 * share))


def _is_id(name: str) -> bool:
    with suppress(ValueError):
        return str(uuid.UUID(name)) == name
    return False


def _made(root: Path) -> list[Path]:
    """The indexes that are there."""
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _used(path: Path) -> float:
    """When an index was last used, or something told of one that is made."""
    return path.stat().st_mtime


def _note(root: Path, index: Index) -> Path:
    return root / f"{index.name}.json"


def _tell(note: Path, *, tries: int, percent: int) -> dict[str, int]:
    told = {"tries": tries, "percent": percent}
    draft = note.with_suffix(f".draft-{uuid.uuid4().hex}")
    draft.write_text(json.dumps(told))
    draft.replace(note)
    return told


def _told(note: Path) -> tuple[dict[str, int], float]:
    """What is written of an index that is not there yet, and how many seconds ago."""
    try:
        return json.loads(note.read_text()), time.time() - note.stat().st_mtime
    except FileNotFoundError:
        return {"tries": 0, "percent": 0}, AGAIN_SECONDS
