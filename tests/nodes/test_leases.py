"""A node that nobody hears of holds its workloads still, so that none works in two places."""

import json
import time
from collections.abc import Iterator

import psutil
import pytest

from nodes import services
from nodes.agent import Agent
from nodes.models import Node, Workload
from tests.nodes.conftest import process_facts, running, start, until

pytestmark = pytest.mark.django_db(transaction=True)
HELD = "holding still"
STEPS = {"steps": 100, "seconds": 0.05, "child": True}


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def node(request, settings) -> Iterator[Agent]:
    """A node that is given up after two seconds."""
    settings.NODE_LOST_SECONDS = 2
    made = request.getfixturevalue("agent" if request.param == "process" else "contained")
    yield made
    for workload, epoch, _pid in list(made.driver.owned()):
        made.driver.remove(workload, epoch, force=True)


def said(workload: Workload) -> str:
    return workload.log_path.read_text()


def held(workload: Workload) -> None:
    until(lambda: HELD in said(workload))


def stands_still(workload: Workload) -> bool:
    before = said(workload)
    time.sleep(0.4)
    return said(workload) == before


def ended(node: Agent, workload: Workload) -> Workload:
    """Followed by an agent that beats."""

    def look() -> bool:
        node.beat()
        node.rows_at = 0
        node.follow()
        workload.refresh_from_db()
        return workload.state == Workload.State.ENDED

    until(look)
    return workload


def test_held_still_and_let_go_on(node, submit) -> None:
    workload = start(submit(STEPS))
    running(workload)
    held(workload)
    assert stands_still(workload)
    ended(node, workload)
    assert (workload.outcome, workload.epoch) == ("ok", 1)
    curve = [json.loads(line)["step"] for line in workload.metrics_path.read_text().splitlines()]
    assert curve == list(range(1, 101))
    assert "going on" in said(workload)


def test_whose_node_beats_is_not_held(node, submit, settings) -> None:
    settings.NODE_LOST_SECONDS = 6  # a busy machine may keep both from their work for a while
    workload = ended(node, start(submit({"steps": 130, "seconds": 0.05})))
    assert workload.outcome == "ok"
    assert HELD not in said(workload)


def test_what_was_given_up_does_nothing_more(node, submit) -> None:
    workload = start(submit({**STEPS, "steps": 5000}))
    running(workload)
    held(workload)
    before = said(workload)
    services.workload_lost(workload.pk, workload.epoch, reason="given up")
    node.beat()
    for _round in range(3):
        node.remove_orphans({(pk, epoch) for pk, epoch, _pid in node.driver.owned()})
        node.orphans = {pair: since - 20 for pair, since in node.orphans.items()}
    until(lambda: list(node.driver.owned()) == [])
    assert said(workload).startswith(before)
    assert said(workload).count("step ") == before.count("step ")


def test_a_stop_reaches_what_is_held(node, submit) -> None:
    workload = start(submit({**STEPS, "steps": 5000}))
    running(workload)
    held(workload)
    services.workload_stop(workload.pk, mode="checkpoint", reason="enough")
    assert ended(node, workload).outcome == "stopped"
    assert workload.exit_code == 75


def test_all_that_comes_from_it_is_held(agent, submit, settings) -> None:
    """Also what left its process group."""
    settings.NODE_LOST_SECONDS = 2
    workload = start(submit({**STEPS, "steps": 5000}))
    supervisor = psutil.Process(process_facts(workload)["pid"])
    running(workload)
    held(workload)
    mine = supervisor.children(recursive=True)
    assert len(mine) == 2
    until(lambda: {one.status() for one in mine} == {psutil.STATUS_STOPPED})

    def go_on() -> bool:
        agent.beat()
        return psutil.STATUS_STOPPED not in {one.status() for one in mine}

    until(go_on)


def test_a_beat_at_the_last_moment_keeps_it(agent, submit, settings) -> None:
    """Whoever would give the node up looks once more, while the node cannot beat."""
    workload = start(submit({**STEPS, "steps": 5000}))
    running(workload)
    seen = Node.objects.get(pk=agent.node_id).heartbeat_at
    agent.beat()
    services.machines._give_up(workload, seen)
    workload.refresh_from_db()
    assert workload.state == Workload.State.RUNNING
    seen = Node.objects.get(pk=agent.node_id).heartbeat_at
    services.machines._give_up(workload, seen)
    workload.refresh_from_db()
    assert workload.outcome == "lost"
