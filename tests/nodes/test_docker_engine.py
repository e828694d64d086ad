"""Workloads in real containers, while their Engine is away, is another one, or gives no answer."""

import time

import pytest

from common.errors import Conflict
from nodes import services
from nodes.agent import Agent
from nodes.models import Workload
from nodes.runners import Place, Unfit, Unreachable
from nodes.runners.docker import DockerRunner
from nodes.services import follow
from tests.nodes.conftest import alive, followed, start, until
from tests.nodes.test_docker import in_step, steps_of

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]


def test_the_engine_is_killed_and_comes_back(
    contained, submit, docker_engine, container_of
) -> None:
    """With live-restore containers go on; nothing is concluded while nobody answers."""
    waits = {"seconds": 0.02, "lines": 1000, "waits": True}
    going = start(submit({"steps": 100, **waits}, cpus=0.1))
    ending = start(submit({"steps": 30, **waits}, cpus=0.1))
    in_step(going)
    in_step(ending)
    contained.follow()
    docker_engine.kill()
    try:
        (ending.directory / "go").touch()
        until(ending.facts_path("exit").exists)
        contained.rows_at = 0
        contained.follow()
        contained.beat()
        for workload in (going, ending):
            workload.refresh_from_db()
        assert (going.state, ending.outcome) == (Workload.State.RUNNING, "ok")
        with pytest.raises(Unreachable):
            DockerRunner("x").poll(Place(going.pk, going.epoch, going.directory))
        waiting = submit({}, cpus=0.1)
        assert waiting.state == Workload.State.WAITING  # nothing is placed where nothing can start
    finally:
        docker_engine.start()
    contained.driver._away_until = 0
    contained.beat()
    second = Agent(contained.name)
    second.register()
    assert alive(second, going)
    (going.directory / "go").touch()
    going = followed(second, going)
    assert going.outcome == "ok"
    assert steps_of(going) == list(range(1, 101))
    for workload in (going, ending):
        lines = workload.log_path.read_text().splitlines()
        assert lines[-1000:] == [f"line {number}" for number in range(1000)]
    waiting.refresh_from_db()
    assert waiting.state != Workload.State.WAITING
    pairs = {(pk, epoch) for pk, epoch, _pid in second.driver.owned()}
    assert pairs <= {(ending.pk, ending.epoch)}  # its end was written without the Engine


def test_a_start_without_an_answer_is_taken_over(contained, submit, docker_engine, monkeypatch):
    monkeypatch.setattr("nodes.following.BEGUN_SECONDS", 0.1)
    workload = submit({"steps": 2})
    claimed = services.workload_claim(workload.pk, 0)
    docker_engine.kill()
    try:
        assert not follow.workload_launch(claimed)
    finally:
        docker_engine.start()
    workload.refresh_from_db()
    assert workload.state == Workload.State.STARTING
    time.sleep(0.2)
    workload = followed(contained, workload)
    assert (workload.outcome, workload.epoch) == ("ok", 2)


def test_an_engine_that_cannot_be_used(docker_host, monkeypatch) -> None:
    facts = DockerRunner("x").check()
    assert facts["docker"]
    assert facts["docker_live_restore"] is True
    monkeypatch.setattr("nodes.runners.docker.API_NEEDED", (99, 0))
    with pytest.raises(Unfit, match="too old"):
        DockerRunner("x").check()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(Unreachable, match="does not answer"):
        DockerRunner("x").check()


def test_the_runner_is_not_changed_under_what_runs(contained, submit, settings) -> None:
    start(submit({"steps": 3000, "seconds": 0.02}))
    settings.NODE_RUNNER = "process"
    with pytest.raises(Conflict, match="still run"):
        Agent(contained.name).register()
