"""Inputs that a node keeps between workloads."""

import hashlib
import os
import uuid
from pathlib import Path
from threading import Thread

import pytest

from nodes.runners import NoRoom
from nodes.staging.cache import InputCache
from nodes.staging.trees import Entry

MIB = 2**20


def entry(path: str, data: bytes) -> Entry:
    return Entry(path, len(data), hashlib.sha256(data).hexdigest())


def bring(cache: InputCache, workload: uuid.UUID, files: dict[str, bytes], used: int) -> Path:
    """As the carrier does it; `used` orders the last uses."""
    entries = [entry(path, data) for path, data in files.items()]
    for one in cache.missing(entries):
        cache.part(one.sha256).write_bytes(files[one.path])
        assert cache.settle(one)
    tree = cache.tree(workload, entries)
    os.utime(tree.with_name("used"), (used, used))
    return tree


@pytest.fixture
def cache(tmp_path) -> InputCache:
    return InputCache(tmp_path / "cache", 10 * MIB, reserve=0)


def test_the_least_recently_used_go_first(cache) -> None:
    trees = {}
    for number in range(3):
        workload = uuid.uuid4()
        data = bytes([number]) * (3 * MIB)
        trees[number] = bring(cache, workload, {"weights": data}, used=100 + number)
        cache.release(workload)
    os.utime(trees[0].with_name("used"), (900, 900))  # used again
    cache.make_room(3 * MIB)
    assert {number for number, tree in trees.items() if tree.exists()} == {0, 2}
    assert cache.size() == 6 * MIB


def test_what_runs_never_goes(cache) -> None:
    running = uuid.uuid4()
    tree = bring(cache, running, {"weights": b"a" * (8 * MIB)}, used=1)
    cache.make_room(9 * MIB)  # over the limit, and there is nothing to take away
    assert (tree / "weights").read_bytes()[:1] == b"a"
    cache.reserve = 2**60
    with pytest.raises(NoRoom):
        cache.make_room(1)
    assert tree.exists()
    cache.release(running)
    with pytest.raises(NoRoom):
        cache.make_room(1)
    assert not tree.exists()
    assert cache.size() == 0


def test_shared_contents_stay_for_the_other_tree(cache) -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    bring(cache, one, {"tokenizer": b"t" * MIB, "weights": b"1" * (4 * MIB)}, used=1)
    second = bring(cache, two, {"tokenizer": b"t" * MIB, "weights": b"2" * (2 * MIB)}, used=2)
    assert cache.size() == 7 * MIB
    cache.release(one)
    cache.make_room(6 * MIB)
    assert cache.size() == 3 * MIB
    assert (second / "tokenizer").read_bytes() == b"t" * MIB


def test_what_is_on_its_way_is_kept(cache) -> None:
    data = b"n" * MIB
    coming = entry("new", data)
    cache.part(coming.sha256).write_bytes(data[:1000])
    old = uuid.uuid4()
    bring(cache, old, {"weights": b"o" * (8 * MIB)}, used=1)
    cache.release(old)
    cache.make_room(5 * MIB, keep=lambda: {coming.sha256})
    assert cache.part(coming.sha256).stat().st_size == 1000
    assert cache.size() == 1000


def test_what_is_taken_while_room_is_made_stays(cache) -> None:
    """One thread makes room, and another takes what was unused when that began."""
    data, old, new = b"w" * (8 * MIB), uuid.uuid4(), uuid.uuid4()
    wanted = entry("weights", data)
    bring(cache, old, {"weights": data}, used=1)
    cache.release(old)
    taken: list[Path] = []
    taker = Thread(target=lambda: taken.append(cache.tree(new, [wanted])))

    def keep() -> set[str]:
        taker.start()
        taker.join(0.3)  # long enough for one that does not wait
        return {wanted.sha256}

    cache.make_room(9 * MIB, keep)
    taker.join()
    assert (taken[0] / "weights").read_bytes() == data


def test_wrong_contents_are_thrown_away(cache) -> None:
    wanted = entry("weights", b"right")
    cache.part(wanted.sha256).write_bytes(b"wrong")
    assert not cache.settle(wanted)
    assert cache.missing([wanted]) == [wanted]
    assert not cache.part(wanted.sha256).exists()


def test_an_input_that_is_one_file(cache) -> None:
    tree = bring(cache, uuid.uuid4(), {"": b"rows"}, used=1)
    assert tree.read_bytes() == b"rows"
