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
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from django_q.tasks import async_task

from common.disks import DiskFull, disk_full_told
from common.phrases import dump, load
from common.phrases import gettext as _
from common.texts import id_of
from datasets.models import DatasetVersion
from datasets.models.versions import INDEXES
from datasets.reading.locks import locked
from datasets.services.files import data_root, sync
from datasets.services.inputs import Seer
from datasets.services.turns import turn_asked, turns_forget
from datasets.services.uploads import SMALL
from datasets.statistics.choosing import Choice
from datasets.statistics.indexes import Index

INDEX_ASKED = "TRAINER_INDEX_ASKED"  # the variable that tells a process column and words, as JSON
INDEX_SECONDS = 900  # of processor time that one index may take
INDEX_BYTES = 4 * 2**30  # of address space, most of which is what libraries reserve
TRIES = 2  # of an index whose process is killed
FAILED_FOR = timedelta(hours=1)  # after which one that failed is begun anew
FULL_FOR = timedelta(minutes=1)  # after which one that had no room is begun anew
RESERVE = 2**28  # bytes of the disk that an index of a big version leaves free
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
        try:
            with disk_full_told():
                standing = _standing(version, index, by)
        except DiskFull as full:
            standing = Standing("failed", index.column, problem=full.message)
        if standing.state != "done":
            return standing
    return Standing()


def _standing(version: DatasetVersion, index: Index, by: Seer) -> Standing:
    root, folder = version.indexes_directory, version.indexes_directory / index.name
    if not folder.exists() and version.rows_path.stat().st_size < SMALL:
        index_make(version.pk, index, wait=True)
    if folder.exists():
        return Standing()
    if not by.is_authenticated:
        problem = _("Log in to filter and sort this version by its columns.")
        return Standing("failed", index.column, problem=problem)
    root.mkdir(parents=True, exist_ok=True)
    note = _note(root, index)
    told, age = _Told.of(note)
    with locked(root) as is_free:
        pass
    if is_free and (problem := told.why_not(index, age)):
        return Standing("failed", index.column, problem=problem)
    person = str(by.pk)
    turn_asked(person, version.pk)
    if is_free and age >= AGAIN_SECONDS:
        told = _Told() if told.has_failed else told
        told.write(note)
        wanted = [index.column, index.words]
        async_task("datasets.tasks.rows_index", str(version.pk), wanted, person, cluster="web")
    return Standing("waiting", index.column, told.percent)


def index_make(version_id: uuid.UUID, index: Index, *, wait: bool = False) -> bool:
    """Makes an index unless it is there; whether this call did it.

    Does nothing while another process makes one of this version; with `wait` it waits for that.
    `DiskFull` without room for it, which is noted: before it begins, unless it waits. May be killed
    at any moment.
    """
    version = DatasetVersion.objects.filter(pk=version_id).first()
    if version is None or index.column not in version.file_columns:
        return False
    root = version.indexes_directory
    root.mkdir(parents=True, exist_ok=True)
    with locked(root, wait=wait) as mine:
        if not mine or (root / index.name).exists():
            return False
        note = _note(root, index)
        try:
            with disk_full_told():
                if not wait:
                    _refuse_room(version, index)
                _write(version, index, note)
        except DiskFull as full:
            _Told(problem=dump(full.message)).write(note)
            raise
        note.unlink()
        for folder in sorted(_made(root), key=_used)[:-KEPT_AT_MOST]:
            if _used(folder) < time.time() - IN_USE_SECONDS:  # several may be read beside others
                shutil.rmtree(folder, ignore_errors=True)
    return True


def _refuse_room(version: DatasetVersion, index: Index) -> None:
    needed = index.room(version.rows_path)
    free = max(shutil.disk_usage(version.indexes_directory).free - RESERVE, 0)
    if needed > free:
        raise DiskFull(
            _(
                "Going through the column “%(column)s” takes about %(needed)s MB of disk, and"
                " %(free)s MB may be taken. Ask an operator for room, then try again."
            )
            % {"column": index.column, "needed": -(-needed >> 20), "free": free >> 20}
        )


def _write(version: DatasetVersion, index: Index, note: Path) -> None:
    """The caller holds the folder of the version's indexes."""
    root = version.indexes_directory
    draft, tries = root / DRAFT, _Told.of(note)[0].tries + 1
    _Told(tries).write(note)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        index.write(version.rows_path, draft, _Teller(note, tries))
        for path in draft.iterdir():
            sync(path)
        draft.replace(root / index.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def indexes_forget() -> None:
    """Removes those that nobody used lately, and those of versions that are gone."""
    turns_forget(KEPT.total_seconds())
    root = data_root() / INDEXES
    folders = list(root.iterdir()) if root.exists() else []
    versions = DatasetVersion.objects.filter(pk__in=filter(None, (id_of(f.name) for f in folders)))
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


@dataclass(frozen=True, slots=True)
class _Told:
    """What is written of an index that is not there yet.

    `problem` is a stored phrase: why it could not be made, though the machine could have.
    """

    tries: int = 0
    percent: int = 0
    problem: str = ""

    @classmethod
    def of(cls, note: Path) -> tuple[Self, float]:
        """What was written, and how many seconds ago."""
        try:
            return cls(**json.loads(note.read_text())), time.time() - note.stat().st_mtime
        except FileNotFoundError:
            return cls(), AGAIN_SECONDS

    def write(self, note: Path) -> None:
        """Writes it in the place of what was written."""
        draft = note.with_suffix(f".draft-{uuid.uuid4().hex}")
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(note)

    @property
    def has_failed(self) -> bool:
        """Whether it is to be begun anew, or not at all."""
        return bool(self.problem) or self.tries >= TRIES

    def why_not(self, index: Index, age: float) -> str:
        """Why it is not made, told to people; empty where it may be begun."""
        if self.problem and age < FULL_FOR.total_seconds():
            return load(self.problem)
        if self.tries >= TRIES and age < FAILED_FOR.total_seconds():
            return _(
                "The column “%(column)s” could not be gone through: the machine may have too little"
                " memory or disk. Try again in an hour."
            ) % {"column": index.column}
        return ""


class _Teller:
    """Writes down how far an index is, once a second."""

    def __init__(self, note: Path, tries: int) -> None:
        self._note, self._tries, self._last = note, tries, time.monotonic()

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._last > 1:
            self._last = time.monotonic()
            _Told(self._tries, int(95 * share)).write(self._note)


def _made(root: Path) -> list[Path]:
    """The indexes that are there."""
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _used(path: Path) -> float:
    """When an index was last used, or something told of one that is made."""
    return path.stat().st_mtime


def _note(root: Path, index: Index) -> Path:
    return root / f"{index.name}.json"
