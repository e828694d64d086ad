"""The node's real worker and agent, killed in the middle: the work goes on and ends once."""

import json
import os
import signal

import pytest

from accounts.models import Event
from nodes.models import Node, Workload
from tests.nodes.conftest import end_group, is_there, process_facts, running, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


def ended(workload: Workload) -> Workload:
    def look() -> bool:
        workload.refresh_from_db()
        return workload.state == Workload.State.ENDED

    until(look)
    return workload


def check_one_clean_run(workload: Workload, steps: int) -> None:
    """One process, one continuous curve, one end."""
    assert (workload.outcome, workload.reason) == ("ok", "")
    lines = [json.loads(line) for line in workload.metrics_path.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, steps + 1))
    assert len(list(workload.directory.glob("process-*.json"))) == workload.epoch == 1
    moves = Event.objects.of(workload).filter(verb="state").values_list("new", flat=True)
    assert list(moves) == ["placed", "starting", "running", "ended"]


def test_worker_and_agent_killed_in_turn(services, submit) -> None:
    agent, worker = services.agent(), services.worker()
    services.ready()
    workload = submit({"steps": 30, "seconds": 0.1, "waits": True})
    facts = running(workload, 2)
    end_group(worker)
    end_group(agent)
    assert is_there(facts["pgid"])
    killed = Node.objects.get(name=services.node).heartbeat_at
    services.worker()
    services.agent()
    until(lambda: Node.objects.filter(name=services.node, heartbeat_at__gt=killed).exists())
    (workload.directory / "go").touch()
    check_one_clean_run(ended(workload), 30)
    assert process_facts(workload) == facts


def test_agent_alone_does_all(services, submit) -> None:
    """Without the node's worker the agent starts, stops and ends."""
    services.agent()
    services.ready()
    check_one_clean_run(ended(submit({"steps": 2})), 2)


def test_two_workers_on_one_queue(services, submit) -> None:
    """A worker whose parent was killed leaves consuming children: nothing starts twice."""
    services.agent()
    first = services.worker()
    services.ready()
    ended(submit({"steps": 1}))
    os.kill(first.pid, signal.SIGKILL)
    services.worker()
    for workload in [submit({"steps": 2}) for _ in range(6)]:
        check_one_clean_run(ended(workload), 2)


def test_agent_killed_while_the_engine_ends(services, submit) -> None:
    agent = services.agent()
    services.worker()
    services.ready()
    workload = submit({"steps": 20, "seconds": 0.02, "waits": True})
    running(workload, 2)
    end_group(agent)
    (workload.directory / "go").touch()
    workload.refresh_from_db()
    until(workload.facts_path("exit").exists)
    assert workload.state == Workload.State.RUNNING
    services.agent()
    check_one_clean_run(ended(workload), 20)
