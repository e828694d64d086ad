"""Whose index is made first, and what becomes of one that finds no room."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.disks import DiskFull
from datasets import services
from datasets.models import DatasetVersion
from datasets.reading.locks import locked
from datasets.services import indexes as making
from datasets.services.turns import LANES, turn_asked, turn_take
from datasets.statistics.choosing import Choice
from datasets.statistics.indexes import Index
from tests.nodes.disks import enlarge, small_disk

pytestmark = pytest.mark.django_db


class Lanes:
    """Indexes that are being made, as far as the turns know."""

    def __init__(self) -> None:
        self.busy: dict[str, ExitStack] = {}

    def take(self, person: str) -> bool:
        """Whether one is begun for the person."""

        def begin(lane: Path) -> None:
            begun.enter_context(locked(lane))
            self.busy[person] = begun

        begun = ExitStack()
        turn_take(person, begin)
        return self.busy.get(person) is begun

    def end(self, person: str) -> None:
        """The person's index is made."""
        self.busy.pop(person).close()


def test_nobody_has_two_and_who_waits_longest_comes_first(make) -> None:
    version = make().latest
    version.indexes_directory.mkdir(parents=True)
    lanes = Lanes()
    assert LANES == 2
    assert lanes.take("1") and not lanes.take("1")
    assert lanes.take("2") and not lanes.take("3")
    turn_asked("3", version.pk)
    lanes.end("1")
    turn_asked("1", version.pk)
    with locked(version.indexes_directory):  # somebody makes one of it: 3 must wait for that
        assert lanes.take("1")
    lanes.end("1")
    assert not lanes.take("1")
    assert lanes.take("3")
    lanes.end("2")
    assert lanes.take("1")
    lanes.end("1")
    turn_asked("4", version.pk)
    (asked,) = making.data_root().glob(".indexing/asked/4.*")
    os.utime(asked, (0, 0))  # who asks no more waits no more
    assert lanes.take("1")


@pytest.fixture
def version(make) -> DatasetVersion:
    """Its texts alone have more than a megabyte."""
    rows = [{"instruction": f"{n * 7919 % 9973} " + "x" * 90, "output": "a"} for n in range(12_000)]
    return make(rows).latest


def test_without_room_none_is_begun(version, people, monkeypatch) -> None:
    """Who waits learns why, and how much it takes; later it is tried again."""
    monkeypatch.setattr(making, "SMALL", 0)
    monkeypatch.setattr(making, "async_task", lambda *_told, **_more: None)
    monkeypatch.setattr(making, "RESERVE", 2**60)
    choice, index = Choice(order="up", by="instruction"), Index("instruction")
    assert services.indexes_ready(version, choice, by=people.viewer).state == "waiting"
    with pytest.raises(DiskFull):
        services.index_make(version.pk, index)
    standing = services.indexes_ready(version, choice, by=people.viewer)
    assert (standing.state, "takes about 3 MB of disk" in standing.problem) == ("failed", True)
    monkeypatch.undo()
    monkeypatch.setattr(making, "SMALL", 0)
    os.utime(making._note(version.indexes_directory, index), (0, 0))
    assert services.indexes_ready(version, choice, by=people.viewer).state == "waiting"
    assert services.index_make(version.pk, index)
    made = version.indexes_directory / index.name
    size = sum(path.stat().st_size for path in made.iterdir())
    assert size < index.room(version.rows_path)


@pytest.mark.once
def test_a_disk_that_fills_meanwhile_is_told_and_nothing_is_left(
    version, people, monkeypatch
) -> None:
    monkeypatch.setattr(making, "SMALL", 0)
    monkeypatch.setattr(Index, "room", lambda *_told: 0)
    choice, index = Choice(order="up", by="instruction"), Index("instruction")
    root = version.indexes_directory
    root.mkdir(parents=True)
    with small_disk(root):
        with pytest.raises(DiskFull):
            services.index_make(version.pk, index)
        standing = services.indexes_ready(version, choice, by=people.viewer)
        assert (standing.state, "disk is full" in standing.problem) == ("failed", True)
        assert not [path for path in root.iterdir() if path.is_dir()]
        enlarge(root)
        assert services.index_make(version.pk, index)
