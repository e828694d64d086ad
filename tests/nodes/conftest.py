"""A node of this machine with a small, real engine; and its worker and agent as processes."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from django.db import connection

from nodes.agent import Agent
from nodes.models import Node, Workload
from nodes.runners import Sight
from nodes.services import follow, workload_submit
from tests.nodes.contained import (
    contained,
    container_of,
    docker_engine,
    docker_host,
    small_image,
)
from tests.nodes.simulated_engine import simulated

__all__ = [
    "contained",
    "container_of",
    "docker_engine",
    "docker_host",
    "simulated",
    "small_image",
]
ENGINE = Path(__file__).with_name("small_engine.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine(home, settings) -> Path:
    """An engine environment: this Python with a small script."""
    folder = home / "engines" / "small"
    folder.mkdir(parents=True)
    command = [sys.executable, "-I", "-S", str(ENGINE)]
    (folder / "engine.json").write_text(json.dumps({"name": "small", "command": command}))
    settings.ENGINES_DIR = home / "engines"
    return folder


@pytest.fixture
def agent(engine) -> Iterator[Agent]:
    """A registered node's agent, whose steps the test calls. What it started is ended after."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    made = Agent(name)
    made.register()
    yield made
    for workload, epoch, _pid in list(made.driver.owned()):
        made.driver.remove(workload, epoch, force=True)


@pytest.fixture
def project(db):
    """A project without people."""
    from accounts.models import Project

    return Project.objects.create(name="lab")


@pytest.fixture
def submit(project) -> Callable[..., Workload]:
    """Submits a workload of the small engine; keywords of the engine go into its configuration."""

    def do(config: dict | None = None, **fields) -> Workload:
        values = {
            "project": project,
            "created_by": None,
            "name": "small",
            "engine": "small",
            "verb": "train",
            "inputs": {},
            "files": {"config.yaml": json.dumps(config or {})},
            "memory_bytes": 0,
        }
        return workload_submit(**{**values, **fields})

    return do


def start(workload: Workload) -> Workload:
    """What the node's worker does on its message."""
    assert follow.workload_start(workload.pk, workload.epoch)
    workload.refresh_from_db()
    return workload


def until(true: Callable[[], object], seconds: float = 180) -> None:
    """Waits for something to become true. To wait long costs nothing where it does."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.03)


def followed(agent: Agent, workload: Workload) -> Workload:
    """Lets the agent look until the workload has ended."""

    def ended() -> bool:
        agent.rows_at = 0
        agent.follow()
        workload.refresh_from_db()
        return workload.state == Workload.State.ENDED

    until(ended)
    return workload


def process_facts(workload: Workload) -> dict:
    """Who the supervisor and the engine are."""

    def path() -> Path:
        workload.refresh_from_db()
        return workload.facts_path("process")

    until(lambda: path().exists())
    return json.loads(path().read_text())


def running(workload: Workload, step: int = 1) -> dict:
    """Waits until the engine has done a step."""
    word = f"step {step}\n"
    until(lambda: workload.log_path.exists() and word in workload.log_path.read_text())
    return process_facts(workload)


def alive(agent: Agent, workload: Workload) -> bool:
    """Whether the agent sees its process."""
    return agent.driver.poll(follow.place_of(workload))[0] is Sight.ALIVE


def is_there(pid: int) -> bool:
    """Whether a process lives."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def services(engine, home, settings, transactional_db) -> Iterator[SimpleNamespace]:
    """The node's real worker and agent as processes on the test's database."""
    node = f"real-{uuid.uuid4().hex[:8]}"
    name = str(connection.settings_dict["NAME"])
    url = (
        f"sqlite:///{name.lstrip('/')}"
        if connection.vendor == "sqlite"
        else "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**connection.settings_dict)
    )
    env = {
        **os.environ,
        "TRAINER_HOME": str(home),
        "TRAINER_ENGINES_DIR": str(settings.ENGINES_DIR),
        "TRAINER_SECRET_KEY": settings.SECRET_KEY,
        "TRAINER_DATABASE_URL": url.replace("sqlite:///", "sqlite:////"),
        "TRAINER_NODE": node,
    }
    log = (home / "services.log").open("ab")
    processes: list[subprocess.Popen] = []

    def launch(*arguments: str, **more: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env={**env, **more},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        processes.append(process)
        return process

    kit = SimpleNamespace(
        node=node,
        worker=lambda: launch("qcluster", Q_CLUSTER_NAME=f"node-{node}"),
        agent=lambda: launch("node_agent"),
        log=home / "services.log",
        ready=lambda: until(lambda: Node.objects.filter(name=node).exists(), 30),
    )
    yield kit
    for process in processes:
        end_group(process)
    mine = Agent(node)
    for workload, epoch, _pid in list(mine.driver.owned()):
        mine.driver.remove(workload, epoch, force=True)


def end_group(process: subprocess.Popen) -> None:
    """Kills a process and all its children at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(180)
