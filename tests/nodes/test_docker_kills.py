"""The node's real worker and agent, and the Engine, killed while containers run: each ends once."""

import contextlib
import json
import os
import subprocess
import sys

import psutil
import pytest

from accounts.models import Event
from nodes.models import Workload
from nodes.runners.description import LABEL
from tests.nodes.conftest import ROOT, end_group, until
from tests.nodes.contained import listed

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def in_containers(docker_host, settings, monkeypatch, transactional_db) -> None:
    """Worker and agent run containers, with the small engine."""
    monkeypatch.setenv("TRAINER_RUNNER", "docker")
    settings.NODE_RUNNER = "docker"
    listed()


def ended(workload: Workload) -> Workload:
    def look() -> bool:
        workload.refresh_from_db()
        return workload.state == Workload.State.ENDED

    until(look)
    return workload


def in_step(workload: Workload, step: int) -> None:
    word = f"step {step}\n"
    until(lambda: workload.log_path.exists() and word in workload.log_path.read_text())


def check_one_clean_run(workload: Workload, steps: int) -> None:
    """One container, one continuous curve and log, one end."""
    assert (workload.outcome, workload.reason) == ("ok", "")
    curve = [json.loads(line)["step"] for line in workload.metrics_path.read_text().splitlines()]
    assert curve == list(range(1, steps + 1))
    log = workload.log_path.read_text().splitlines()
    assert log == ["started train", *(f"step {step}" for step in range(1, steps + 1))]
    assert len(list(workload.directory.glob("process-*.json"))) == workload.epoch == 1
    moves = Event.objects.of(workload).filter(verb="state").values_list("new", flat=True)
    assert list(moves) == ["placed", "starting", "running", "ended"]


def containers_of(docker_host, workload: Workload) -> list:
    label = f"{LABEL}workload={workload.pk}"
    return docker_host.containers.list(all=True, ignore_removed=True, filters={"label": label})


def test_worker_agent_and_engine_killed_in_turn(
    in_containers, services, submit, docker_engine, docker_host
) -> None:
    agent, worker = services.agent(), services.worker()
    services.ready()
    workload = submit({"steps": 250, "seconds": 0.1})
    in_step(workload, 2)
    end_group(worker)
    end_group(agent)
    docker_engine.kill()
    step = workload.log_path.read_text().count("step ")
    in_step(workload, step + 5)
    docker_engine.start()
    services.worker()
    agent = services.agent()
    in_step(workload, step + 20)
    docker_engine.kill()
    in_step(workload, step + 30)
    docker_engine.start()
    check_one_clean_run(ended(workload), 250)
    until(lambda: containers_of(docker_host, workload) == [])


def test_it_ends_while_nobody_looks(
    in_containers, services, submit, docker_engine, docker_host
) -> None:
    """The Engine is away when the engine in the container ends; its end and its log are kept."""
    agent = services.agent()
    services.worker()
    services.ready()
    workload = submit({"steps": 30, "seconds": 0.02, "waits": True})
    in_step(workload, 2)
    end_group(agent)
    docker_engine.kill()
    try:
        (workload.directory / "go").touch()
        workload.refresh_from_db()
        until(workload.facts_path("exit").exists)
    finally:
        docker_engine.start()
    workload.refresh_from_db()
    assert workload.state == Workload.State.RUNNING
    services.agent()
    check_one_clean_run(ended(workload), 30)
    until(lambda: containers_of(docker_host, workload) == [])


def test_a_machine_without_power_loses_what_ran_there(
    in_containers, services, submit, docker_engine, docker_host
) -> None:
    """Nothing is left to say how it ended, and what the Engine makes of that is no end either."""
    agent = services.agent()
    services.worker()
    services.ready()
    workload = submit({"steps": 600, "seconds": 0.1})
    in_step(workload, 2)
    (container,) = containers_of(docker_host, workload)
    end_group(agent)
    docker_engine.kill()
    label = f"TRAINER_WORKLOAD={workload.pk}"
    held = [one for one in psutil.process_iter() if container.id in " ".join(_said(one.cmdline))]
    held += [one for one in psutil.process_iter() if label in _said(one.environ)]
    assert len(held) > 1
    for process in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    docker_engine.start()
    services.agent()
    assert (ended(workload).outcome, workload.exit_code) == ("lost", None)
    assert "nothing says how it ended" in workload.reason
    until(lambda: containers_of(docker_host, workload) == [])


def _said(ask) -> list[str]:
    """Words of a process that may be gone."""
    try:
        found = ask()
    except psutil.Error:
        return []
    return [f"{key}={value}" for key, value in found.items()] if isinstance(found, dict) else found


def test_without_an_engine_nothing_is_served(home, docker_host) -> None:
    env = {**os.environ, "TRAINER_HOME": str(home), "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    refused = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "serve", "--runner", "docker"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "Docker does not answer" in refused.stderr
    assert "DOCKER_HOST" in refused.stderr
