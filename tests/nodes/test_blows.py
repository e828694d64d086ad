"""A small cluster under load is struck, one blow at a time: all its work ends once and is whole.

PostgreSQL, Redis, web process, control worker and two nodes that share no directory with them are
processes in namespaces of their own; a node has a network card, a disk and processes that it can
lose. Each blow is of `tests.chaos.blows`, and the same audit says what it did: a workload that did
not end well (or, on a node without power, as lost), ended or ran twice, stayed behind with its
process or lease, or whose log or curve has a hole or a double. Blows on Docker's Engine are in
`test_docker_kills`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.services import ROOT

pytestmark = [pytest.mark.machines, pytest.mark.once]
Strike = Callable[[str], dict[str, list[str]]]


@pytest.fixture(scope="module")
def strike() -> Iterator[Strike]:
    """A blow by its name, on a cluster that works; says what is wrong when it is over."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.singly"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None

    def answer() -> dict[str, list[str]]:
        line = process.stdout.readline()
        assert line, "the cluster is gone; why stands above"
        return json.loads(line)

    def ask(name: str) -> dict[str, list[str]]:
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
        return answer()

    answer()
    yield ask
    process.stdin.close()
    assert process.wait(180) == 0


@pytest.mark.parametrize(
    "blow",
    [
        "web",  # killed, while the nodes bring logs and outputs there
        "control",  # the control worker, killed
        "redis",  # killed, and empty afterwards
        "postgres",  # all of its processes killed
        "worker",  # a node's, killed
        "network",  # between a node and the rest
        "power",  # of a whole node
        "clock",  # an agent's jumps by hours, and back
        "messages",  # all come again, also to the wrong node
        "late",  # they come after what they say is done
    ],
)
def test_all_work_ends_once_and_is_whole(strike, blow) -> None:
    found = strike(blow)
    assert not any(found.values()), found
