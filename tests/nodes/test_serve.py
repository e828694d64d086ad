"""`manage.py serve` with its real parts: they come back, and they all go."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.nodes.conftest import ROOT, is_there, until
from tests.ports import free_port

pytestmark = pytest.mark.skipif(
    "TRAINER_DATABASE_URL" in os.environ, reason="it makes a database of its own, on SQLite"
)
MANAGE = [sys.executable, str(ROOT / "manage.py")]


def environment(home: Path) -> dict[str, str]:
    values = {name: value for name, value in os.environ.items() if not name.startswith("TRAINER_")}
    return values | {"TRAINER_HOME": str(home), "TRAINER_NODE": "served"}


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    """As an installation begins with it."""
    home = tmp_path_factory.mktemp("installed")
    for command in (["migrate", "-v", "0"], ["createcachetable"]):
        subprocess.run([*MANAGE, *command], env=environment(home), check=True)
    return home / "db.sqlite3"


@pytest.fixture
def env(home, database) -> dict[str, str]:
    shutil.copy(database, home)
    return environment(home)


class Served:
    """A running `serve`."""

    def __init__(self, env: dict[str, str], home: Path) -> None:
        self.log = home / "serve.log"
        self.process = subprocess.Popen(
            [*MANAGE, "serve", "--port", str(free_port())],
            env=env,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
        )
        until(lambda: "Ready: http" in self.text() or self.process.poll() is not None)

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def part(self, word: str) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if word in " ".join(child.cmdline()))

    def everybody(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]


def nodes(home: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(home / "db.sqlite3")) as database:
        return database.execute("select name, state from nodes_node").fetchall()


def all_gone(pids: list[int]) -> bool:
    return not any(is_there(pid) for pid in pids)


def test_parts_come_back_and_all_go(env, home) -> None:
    served = Served(env, home)
    try:
        assert "Ready: http" in served.text()
        names = ("uvicorn", "qcluster", "node_agent")
        first = {name: served.part(name) for name in names}
        until(lambda: len(first["qcluster"].children(recursive=True)) >= 4)
        below = [child.pid for child in first["qcluster"].children(recursive=True)]
        first["qcluster"].kill()
        first["node_agent"].kill()
        until(lambda: len(re.findall(r"ended with -9; starting", served.text())) == 2)
        # Children of a killed worker would go on taking messages.
        until(lambda: all_gone(below))
        until(lambda: len(served.everybody()) >= 4)
        until(lambda: nodes(home) == [("served", "ready")])
        again = subprocess.run(
            [*MANAGE, "serve"], env=env, capture_output=True, text=True, check=False
        )
        assert again.returncode != 0
        assert "being served" in again.stderr
        pids = served.everybody()
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(180) == 0
        until(lambda: all_gone(pids))
        assert nodes(home) == [("served", "ready")]
    finally:
        served.process.kill()


def test_left_overs_of_a_killed_one_are_ended(env, home) -> None:
    served = Served(env, home)
    pids = served.everybody()
    workers = [
        child.pid
        for child in psutil.Process(served.process.pid).children()
        if "qcluster" in " ".join(child.cmdline())
    ]
    # Held first: it would start the workers again, and its end asks them to end as well.
    served.process.send_signal(signal.SIGSTOP)
    for pid in [*workers, served.process.pid]:
        os.kill(pid, signal.SIGKILL)
    served.process.wait(180)
    served.log.write_text("")
    again = Served(env, home)
    try:
        assert "Ready: http" in again.text()
        until(lambda: all_gone(pids))
    finally:
        again.process.terminate()
        again.process.wait(180)
