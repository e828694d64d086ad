"""A platform on PostgreSQL with many nodes, all on this machine, which goes when its user goes."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from running import GUARD, ROOT, Failed, Platform

from tests.e2e.running import MANAGE
from tests.ports import free_port
from tests.services import engines_dir, missing

CONNECTIONS = 12  # to the database, of one node at most
START_SECONDS = 60.0
LOG_BYTES = 3000  # of each log after a failure

# The entrypoint of the engine `sleeper`: it honours the contract and does nothing.
SLEEP = """\
set -e
sleep "$(cat seconds)"
printf '{"epoch": %s, "status": "finished"}' "$TRAINER_EPOCH" > result.draft
mv result.draft "result-$TRAINER_EPOCH.json"
"""


@dataclass(frozen=True)
class Node:
    """A node's worker and agent."""

    name: str
    worker: psutil.Process
    agent: psutil.Process


class Cluster:
    """The platform, its database, and nodes beside the one that `serve` starts."""

    def __init__(self, running: Platform) -> None:
        self.running = running
        self.nodes: list[Node] = []
        self._database = psycopg.connect(running.env["TRAINER_DATABASE_URL"], autocommit=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database answers, asked beside the platform."""
        return self._database.execute(query.encode()).fetchall()

    def until(self, query: str, wanted: int, seconds: float) -> None:
        """Waits until the query counts as many as wanted; Failed when that takes too long."""
        deadline = time.monotonic() + seconds
        while (found := self.rows(query)[0][0]) < wanted:
            if time.monotonic() > deadline:
                raise Failed(f"{found} instead of {wanted} after {seconds:.0f} s: {query}")
            time.sleep(0.5)

    def add(self, names: Sequence[str]) -> None:
        """Starts these nodes as their service managers do, and waits until they beat."""
        for name in names:
            env = {**self.running.env, "TRAINER_NODE": name}
            started = []
            for command in ("node_worker", "node_agent"):
                with (self.running.home / "nodes.log").open("ab") as log:
                    process = subprocess.Popen(
                        [*MANAGE, command],
                        env=env,
                        cwd=ROOT,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                started.append(psutil.Process(process.pid))
            self.nodes.append(Node(name, *started))
            listed = f"select count(*) from nodes_node where name = '{name}'"
            self.until(listed, 1, START_SECONDS)


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[Cluster]:
    """A prepared platform with room for so many nodes; the caller starts it and them."""
    if reason := missing("engine"):
        raise Failed(reason)
    home = Path(tempfile.mkdtemp(prefix="trainer-bench-"))
    guard = subprocess.Popen(
        [sys.executable, str(GUARD), str(home)], stdin=subprocess.PIPE, start_new_session=True
    )
    assert guard.stdin is not None
    try:
        kept = {name: text for name, text in os.environ.items() if name != "TRAINER_REDIS_URL"}
        own = {
            "TRAINER_HOME": str(home),
            "TRAINER_ENGINES_DIR": str(_engines(home)),
            "TRAINER_DATABASE_URL": _postgres(home, nodes * CONNECTIONS + 100),
            "TRAINER_NODE": "node-00",
            "TRAINER_LOG_LEVEL": "WARNING",
        }
        running = Platform(home, free_port(), {**kept, **own})
        running.manage("migrate", "--verbosity", "0")
        running.manage("createcachetable")
        running.manage("catalogue_import")
        running.manage("demo_model_create")
        try:
            yield Cluster(running)
        except (Failed, AssertionError, OSError, psutil.Error):
            for name in ("serve.log", "nodes.log"):
                with contextlib.suppress(OSError):
                    print((home / name).read_text()[-LOG_BYTES:], file=sys.stderr)
            raise
    finally:
        guard.stdin.close()
        guard.wait()


def _engines(home: Path) -> Path:
    """The real engine, and one of our own that only sleeps."""
    engines = home / "engines"
    own = engines / "sleeper"
    own.mkdir(parents=True)
    (own / "sleep.sh").write_text(SLEEP)
    facts = {"name": "sleeper", "command": ["/bin/sh", str(own / "sleep.sh")]}
    (own / "engine.json").write_text(json.dumps(facts))
    (engines / "llamafactory").symlink_to(engines_dir() / "llamafactory")
    return engines


def _postgres(home: Path, connections: int) -> str:
    """Starts a database server of our own; the guard ends it with everything else. Its URL."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: one.parts[-3])
    initdb = shutil.which("initdb") or next(map(str, reversed(places)), "")
    if not initdb:
        raise Failed("no PostgreSQL here: install it, so that its initdb is found")
    folder, port = home / "postgres", free_port()
    folder.mkdir()
    who: list[str] = []
    if os.geteuid() == 0:  # as whom PostgreSQL refuses to run
        home.chmod(0o711)
        shutil.chown(folder, "postgres")
        who = ["runuser", "-u", "postgres", "--"]
    data = str(folder / "data")
    options = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "max_connections": connections,
    }
    given = itertools.chain.from_iterable(("-c", f"{key}={text}") for key, text in options.items())
    server = Path(initdb).with_name("postgres")
    env = {**os.environ, "TRAINER_HOME": str(home)}  # says whose it is
    with (home / "postgres.log").open("ab") as log:
        make = [*who, initdb, "-D", data, "-U", "trainer", "--auth=trust"]
        subprocess.run(make, env=env, cwd="/", stdout=log, stderr=log, check=True)
        subprocess.Popen(
            [*who, str(server), "-D", data, *given],
            env=env,
            cwd="/",
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"postgres://trainer@127.0.0.1:{port}/postgres"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise Failed(f"PostgreSQL does not answer: {error}") from None
            time.sleep(0.2)
        else:
            return url


def tree(process: psutil.Process) -> list[psutil.Process]:
    """The process and all its descendants."""
    return [process, *process.children(recursive=True)]


def seconds_of(processes: Sequence[psutil.Process]) -> float:
    """Processor time that they and those of their children that are gone have used."""
    return sum(sum(process.cpu_times()[:4]) for process in processes)


def bytes_of(processes: Sequence[psutil.Process]) -> int:
    """Memory that they hold: what several processes share counts in parts (PSS)."""
    held = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            held += int(process.memory_full_info().pss)
    return held
