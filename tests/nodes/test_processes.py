"""How a node's agent tells its own processes from all the others of the machine."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from nodes.runners import Place, ProcessRunner
from nodes.runners.files import labels_of
from tests.nodes.conftest import until


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """Ends, and waits for, what a test starts."""
    with ExitStack() as stack:
        yield stack


def passed_over(runner: ProcessRunner) -> set[str]:
    """The numbers of the processes whose labels the next look will not read."""
    return {name for (name, _inode), looks in runner._others.items() if looks > 1}


def test_what_starts_after_many_looks_is_found_and_others_never(ends, tmp_path) -> None:
    mine, other = (ProcessRunner(uuid4().hex) for _ in range(2))

    def start(installation: str) -> tuple[Place, subprocess.Popen]:
        place = Place(uuid4(), 3, tmp_path)
        env = {**os.environ, **labels_of(installation, place)}
        process = ends.enter_context(subprocess.Popen(["sleep", "60"], env=env))
        ends.callback(process.kill)
        return place, process

    place_there, foreign = start(other.installation)
    for _look in range(4):
        assert list(mine.owned()) == []
    assert str(foreign.pid) in passed_over(mine)
    place, process = start(mine.installation)
    assert list(mine.owned()) == [(place.workload, 3, process.pid)]
    assert list(other.owned()) == [(place_there.workload, 3, foreign.pid)]
    for one in (foreign, process):
        one.kill()
        one.wait()
    assert list(mine.owned()) == []
    assert str(foreign.pid) not in passed_over(mine)


def test_a_process_that_was_seen_before_its_exec_is_found(ends, tmp_path) -> None:
    mine, place = ProcessRunner(uuid4().hex), Place(uuid4(), 3, tmp_path)
    labels = [f"{name}={value}" for name, value in labels_of(mine.installation, place).items()]
    command = ["sh", "-c", 'read line; exec env "$@" sleep 60', "sh", *labels]
    process = ends.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE))
    ends.callback(process.kill)
    assert list(mine.owned()) == []
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    environment = Path("/proc", str(process.pid), "environ")
    until(lambda: labels[0].encode() in environment.read_bytes())
    assert list(mine.owned()) == [(place.workload, 3, process.pid)]
