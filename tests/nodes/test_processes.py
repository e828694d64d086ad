"""How a node's agent tells its own processes from all the others of the machine."""

import os
import subprocess
from contextlib import ExitStack
from uuid import uuid4

from nodes.runners import Place, ProcessRunner
from nodes.runners.files import labels_of
from tests.nodes.conftest import until


def test_what_starts_after_many_looks_is_found_and_others_never(tmp_path) -> None:
    mine, other = ProcessRunner("mine"), ProcessRunner("other")
    with ExitStack() as ends:

        def start(installation: str) -> tuple[Place, int]:
            place = Place(uuid4(), 3, tmp_path)
            env = {**os.environ, **labels_of(installation, place)}
            process = ends.enter_context(subprocess.Popen(["sleep", "60"], env=env))
            ends.callback(process.kill)
            return place, process.pid

        theirs, _ = start("other")
        for _look in range(4):
            assert list(mine.owned()) == []
        place, pid = start("mine")
        until(lambda: list(mine.owned()) == [(place.workload, 3, pid)])
        assert list(mine.owned()) == [(place.workload, 3, pid)]
        assert [workload for workload, *_ in other.owned()] == [theirs.workload]
    assert list(mine.owned()) == []
