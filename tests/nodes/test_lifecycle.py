"""Workloads with real processes: how they start, end, stop, and who notices."""

import asyncio
import errno
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from django.db import OperationalError, connection

from accounts.models import Event
from nodes import services
from nodes.agent import Agent
from nodes.models import Lease, Node, Workload
from nodes.services import follow
from nodes.signals import workload_changed, workload_progressed
from tests.nodes.conftest import (
    alive,
    followed,
    is_there,
    process_facts,
    running,
    start,
    until,
)

pytestmark = pytest.mark.django_db(transaction=True)
State, Outcome = Workload.State, Workload.Outcome


def test_runs_to_its_end(agent, submit) -> None:
    news, progress = [], []

    def on_change(sender, workload_id, old, new, **kwargs):
        news.append((old, new))

    def on_progress(sender, workload_id, **kwargs):
        progress.append(workload_id)

    workload_changed.connect(on_change)
    workload_progressed.connect(on_progress)
    workload = submit({"steps": 3, "seconds": 0.05})
    assert workload.state == State.PLACED
    workload = followed(agent, start(workload))
    assert (workload.outcome, workload.exit_code, workload.reason) == (Outcome.OK, 0, "")
    assert workload.epoch == 1
    assert workload.end_facts["max_rss_bytes"] > 2**20
    assert workload.log_path.read_text().splitlines() == [
        "started train",
        "step 1",
        "step 2",
        "step 3",
    ]
    assert news == [
        ("waiting", "placed"),
        ("placed", "starting"),
        ("starting", "running"),
        ("running", "ended"),
    ]
    assert progress
    assert set(progress) == {workload.pk}
    states = Event.objects.of(workload).filter(verb="state").values_list("new", flat=True)
    assert list(states) == [new for _old, new in news]


def test_environment_is_closed(agent, submit, monkeypatch) -> None:
    monkeypatch.setenv("TRAINER_SECRET_KEY", "not for engines")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    workload = start(submit({}, env={"WANDB_MODE": "disabled"}, is_service=True, verb="serve"))
    until((workload.directory / "seen.json").exists)
    seen = json.loads((workload.directory / "seen.json").read_text())
    env = seen["env"]
    assert "TRAINER_SECRET_KEY" not in env
    assert "PYTHONPATH" not in env
    assert env["WANDB_MODE"] == "disabled"
    assert env["TRAINER_EPOCH"] == "1"
    assert env["TRAINER_SOCKET"] == str(workload.socket_path)
    assert env["TRAINER_SERVE_KEY"] == services.serve_key(workload)
    assert env["CUDA_VISIBLE_DEVICES"] == ""
    assert seen["argv"][1:] == ["serve"]
    assert services.serve_key(workload) not in json.dumps(
        [process_facts(workload), list(Event.objects.of(workload).values("data", "reason"))],
        default=str,
    )
    followed(agent, workload)


@pytest.mark.parametrize("online", [True, False])
def test_models_come_from_the_mirror_where_hubs_may_be_asked(
    agent, submit, settings, online
) -> None:
    settings.HUB_ONLINE, settings.HF_ENDPOINT = online, "https://mirror.example.org"
    workload = start(submit({}))
    until((workload.directory / "seen.json").exists)
    env = json.loads((workload.directory / "seen.json").read_text())["env"]
    mirror = "https://mirror.example.org" if online else None
    assert (env.get("HF_ENDPOINT"), env.get("HF_HUB_OFFLINE") == "1") == (mirror, not online)
    followed(agent, workload)


@pytest.mark.parametrize(
    ("config", "outcome", "code", "reason"),
    [
        ({"fail": 3}, Outcome.ERROR, 3, "status 3"),
        ({"no_result": True}, Outcome.ERROR, 0, "without having finished"),
        ({"raise": "user_data"}, Outcome.ERROR, 1, "It went wrong."),
        ({"raise": "oom"}, Outcome.OOM, 1, "It went wrong."),
    ],
)
def test_ends_badly(agent, submit, config, outcome, code, reason) -> None:
    workload = followed(agent, start(submit(config)))
    assert (workload.outcome, workload.exit_code) == (outcome, code)
    assert reason in workload.reason
    if "raise" in config:
        assert workload.end_facts["error"]["class"] == config["raise"]


def test_stop_with_checkpoint(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    running(workload)
    for _again in range(2):
        services.workload_stop(workload.pk, mode="checkpoint", reason="enough")
    follow.workload_signal(workload.pk, workload.epoch)
    workload = followed(agent, workload)
    assert (workload.outcome, workload.exit_code, workload.reason) == ("stopped", 75, "enough")
    assert json.loads(workload.facts_path("result").read_text())["status"] == "stopped"


def test_a_stop_is_passed_on_by_its_own_node_only(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    running(workload)
    services.workload_stop(workload.pk, mode="checkpoint", reason="enough")
    for node, is_sent in (("another", False), (agent.name, True)):
        follow.workload_signal(workload.pk, workload.epoch, node=node)
        assert follow.place_of(workload).file("stop").exists() is is_sent


def test_kill_ends_what_ignores_the_stop(agent, submit, monkeypatch) -> None:
    monkeypatch.setitem(__import__("nodes.following").following.GRACE_SECONDS, "kill", 0.3)
    workload = start(submit({"steps": 1000, "seconds": 0.02, "ignore_stop": True}))
    facts = running(workload)
    services.workload_stop(workload.pk, mode="kill", reason="now")
    workload = followed(agent, workload)
    assert (workload.outcome, workload.exit_code) == ("stopped", -signal.SIGKILL)
    until(lambda: not is_there(facts["pid"]) and not is_there(facts["pgid"]))


def test_a_waiting_one_stops_at_once(submit) -> None:
    workload = submit({})
    assert (workload.state, workload.waits_for["code"]) == (State.WAITING, "no_nodes")
    workload = services.workload_stop(workload.pk, mode="kill", reason="not needed")
    assert (workload.state, workload.outcome) == (State.ENDED, "stopped")
    assert services.workload_stop(workload.pk, mode="kill", reason="again").reason == "not needed"


def test_stop_between_claim_and_process(agent, submit) -> None:
    workload = submit({"steps": 1000, "seconds": 0.02})
    claimed = services.workload_claim(workload.pk, 0)
    services.workload_stop(workload.pk, mode="kill", reason="early")
    assert follow.workload_launch(claimed)
    workload = followed(agent, workload)
    assert workload.outcome == "stopped"


def test_agent_restart_adopts(agent, submit) -> None:
    workload = start(submit({"steps": 30, "waits": True}))
    facts = running(workload)
    second = Agent(agent.name)
    second.register()
    second.follow()
    assert alive(second, workload)
    assert len({epoch for wid, epoch, _pid in second.driver.owned() if wid == workload.pk}) == 1
    (workload.directory / "go").touch()
    workload = followed(second, workload)
    agent.follow()  # the first one, late: changes nothing
    assert workload.outcome == "ok"
    ends = Event.objects.of(workload).filter(verb="state", new="ended")
    assert ends.count() == 1
    assert process_facts(workload) == facts
    steps = [json.loads(line)["step"] for line in workload.metrics_path.read_text().splitlines()]
    assert steps == list(range(1, 31))


def test_same_number_is_not_the_same_process(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    facts = running(workload)
    place = follow.place_of(workload)
    assert agent.driver.adopt(place)
    path = workload.facts_path("process")
    for change in ({"start_time": facts["start_time"] - 1}, {"boot_id": "another"}):
        path.write_text(json.dumps({**facts, **change}))
        assert not agent.driver.adopt(place)
    path.write_text(json.dumps({**facts, "pid": os.getpid(), "pgid": os.getpgrp()}))
    agent.driver.stop(place, force=True)  # would end the tests if numbers alone counted


def test_supervisor_killed(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    facts = running(workload)
    os.kill(facts["pid"], signal.SIGKILL)
    workload = followed(agent, workload)
    assert workload.outcome == Outcome.LOST
    until(lambda: not is_there(facts["pgid"]))


def test_engine_killed(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    os.kill(running(workload)["pgid"], signal.SIGKILL)
    workload = followed(agent, workload)
    assert (workload.outcome, workload.exit_code) == (Outcome.ERROR, -9)


def test_time_limit_holds_without_agent(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}, wall_seconds=1))
    until(workload.facts_path("exit").exists)
    workload = followed(agent, workload)
    assert workload.outcome == Outcome.TIMEOUT
    assert "time limit of 1 s is over" in workload.log_path.read_text()


def test_memory_limit(agent, submit) -> None:
    config = {"steps": 1000, "seconds": 0.02, "hold_mib": 120}
    workload = start(submit(config, memory_limit_bytes=80 * 2**20))
    running(workload)
    workload = followed(agent, workload)
    assert (workload.outcome, workload.exit_code) == (Outcome.OOM, -9)
    assert workload.end_facts["memory_overrun_bytes"] > 80 * 2**20


def test_nothing_stays_behind(agent, submit) -> None:
    workload = start(submit({"child": True}))
    followed(agent, workload)
    until(lambda: not [pid for wid, _epoch, pid in agent.driver.owned() if wid == workload.pk])


def test_orphans_are_ended(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    facts = running(workload)
    services.workload_lost(workload.pk, workload.epoch, reason="given up")
    pair = {(workload.pk, workload.epoch)}
    agent.remove_orphans(pair)
    assert is_there(facts["pgid"])
    time.sleep(0.01)
    agent.remove_orphans(pair)
    until(lambda: not is_there(facts["pgid"]))
    workload.refresh_from_db()
    assert workload.outcome == Outcome.LOST


def test_a_removed_node_leaves_nothing_running(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    facts = running(workload)
    services.workload_lost(workload.pk, workload.epoch, reason="given up")
    Node.objects.filter(pk=agent.node_id).update(state=Node.State.REMOVED)
    with pytest.raises(services.NodeRemoved):
        agent.beat()
    until(lambda: not is_there(facts["pgid"]))


def test_another_installations_processes_are_left_alone(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    running(workload)
    stranger = Agent(f"{agent.name}-2")
    assert list(stranger.driver.owned()) == []


def test_one_start_for_each_epoch(agent, submit) -> None:
    workload = submit({"steps": 5, "seconds": 0.02})
    claimed = services.workload_claim(workload.pk, 0)
    assert services.workload_claim(workload.pk, 0) is None
    assert follow.workload_launch(claimed)
    assert not follow.workload_launch(claimed)
    workload = followed(agent, workload)
    assert workload.outcome == "ok"


def test_a_start_that_was_cut_off_is_taken_over(agent, submit, monkeypatch) -> None:
    monkeypatch.setattr("nodes.following.BEGUN_SECONDS", 0.1)
    workload = submit({"steps": 1})
    late = services.workload_claim(workload.pk, 0)  # the worker is killed here
    workload = followed(agent, workload)
    assert (workload.outcome, workload.epoch) == ("ok", 2)
    assert not follow.workload_launch(late)  # or it was only very slow
    seen = json.loads((workload.directory / "seen.json").read_text())
    assert seen["env"]["TRAINER_EPOCH"] == "2"


def test_starts_are_not_tried_for_ever(agent, submit) -> None:
    workload = submit({})
    services.workload_claim(workload.pk, 0)
    for epoch in (1, 2):
        assert services.workload_reclaim(workload.pk, epoch)
    assert services.workload_reclaim(workload.pk, 3) is None
    workload.refresh_from_db()
    assert (workload.state, workload.outcome) == (State.ENDED, Outcome.ERROR)


def test_agent_starts_what_no_worker_claims(agent, submit, monkeypatch) -> None:
    monkeypatch.setattr("nodes.following.UNCLAIMED_SECONDS", 0.1)
    workload = followed(agent, submit({}))
    assert workload.outcome == "ok"


@pytest.mark.parametrize(
    "trouble",
    [OperationalError("the server closed the connection"), OSError(errno.ENOSPC, "disk full")],
)
def test_what_passes_is_waited_for(agent, monkeypatch, trouble) -> None:
    monkeypatch.setattr("nodes.agent.RETRY_SECONDS", 0.01)
    tried = []

    def step() -> None:
        tried.append(Node.objects.count())
        if len(tried) < 3:
            raise trouble

    asyncio.run(agent._patiently(step))
    assert tried == [1, 1, 1]


def test_what_does_not_pass_ends_the_agent(agent) -> None:
    def step() -> None:
        raise FileNotFoundError(errno.ENOENT, "gone")

    with pytest.raises(FileNotFoundError):
        asyncio.run(agent._patiently(step))


def test_older_epochs_change_nothing(agent, submit) -> None:
    workload = start(submit({"steps": 1000, "seconds": 0.02}))
    assert not services.workload_lost(workload.pk, workload.epoch - 1, reason="late news")
    assert not services.workload_started(workload.pk, workload.epoch + 1)
    workload.refresh_from_db()
    assert workload.state == State.RUNNING


def test_engine_that_is_not_installed(agent, submit, engine) -> None:
    workload = submit({}, engine="other")
    assert workload.waits_for["code"] == "no_engine"
    workload = submit({})
    (engine / "engine.json").unlink()
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert "not installed" in workload.reason


def test_following_leaves_no_descriptor_behind(agent, submit) -> None:
    def held() -> set[tuple[str, str]]:
        entries = list(Path("/proc/self/fd").iterdir())
        return {(entry.name, str(entry.readlink())) for entry in entries if entry.is_symlink()}

    followed(agent, start(submit({}, cpus=0.1)))
    before = held()
    ended, killed = (start(submit({"steps": 90, "seconds": 1}, cpus=0.1)) for _ in range(2))
    for workload in (ended, killed):
        running(workload)
    agent.rows_at = 0
    agent.follow()
    assert len(held() - before) == 2
    services.workload_stop(ended.pk, mode="kill", reason="enough")
    followed(agent, ended)
    os.kill(process_facts(killed)["pid"], 9)
    followed(agent, killed)
    # What earlier tests left open may have closed meanwhile; nothing may have come.
    assert (held() - before, killed.outcome) == (set(), Outcome.LOST)


def test_eight_claim_and_one_gets_it(agent, submit) -> None:
    for _round in range(4):
        workload = submit({}, cpus=0.1)
        taken, barrier = [], threading.Barrier(8)

        def claim(workload=workload, taken=taken, barrier=barrier) -> None:
            barrier.wait()
            if services.workload_claim(workload.pk, 0) is not None:
                taken.append(1)
            connection.close()

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        workload.refresh_from_db()
        assert (len(taken), workload.epoch) == (1, 1)
        moves = Event.objects.of(workload).filter(new="starting")
        assert moves.count() == 1
        assert not Lease.objects.filter(workload=workload).exists()
