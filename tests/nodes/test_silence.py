"""A node is silent when somebody has witnessed it, whatever the database's clock says."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.utils import timezone

import nodes.agent
from nodes import services, tasks
from nodes.models import Node, Workload
from nodes.services import machines, silence
from tests.nodes.parts import register, runs, submit, witnessed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def two(people) -> list[Node]:
    """Two nodes that are at work."""
    made = []
    for name, work in (("gpu-01", "one"), ("gpu-02", "two")):
        made.append(register(name))
        runs(submit(people.team, work, gpus=2))
    return made


@pytest.fixture
def uptime(monkeypatch) -> list[float]:
    """The judge's clock since boot, which the test sets."""
    now = [1000.0]
    cache.clear()
    for module in (silence, nodes.agent):
        monkeypatch.setattr(module, "since_boot", lambda: now[0])
    return now


def beat(*nodes: Node) -> None:
    for node in nodes:
        services.node_beat(node.pk, engines=["small"])


def found() -> tuple[list[str], list[str]]:
    """The states of the nodes, and what became of what ran there."""
    states = Node.objects.order_by("name").values_list("state", flat=True)
    work = Workload.objects.order_by("name").values_list("state", "outcome")
    return list(states), [outcome or state for state, outcome in work]


ALL_WELL = (["ready", "ready"], ["running", "running"])


def step_clock(monkeypatch, hours: int) -> None:
    moment = machines.database_now
    for module in (machines, services.alerts):
        monkeypatch.setattr(module, "database_now", lambda: moment() + timedelta(hours=hours))


@pytest.mark.parametrize("hours", [1, -1])
def test_the_databases_clock_steps_between_two_beats(two, monkeypatch, hours) -> None:
    witness = services.Witness()
    for now in range(0, 60, 2):
        if now % 5 < 2:
            beat(*two)
        if now == 30:
            step_clock(monkeypatch, hours)
        witness.look(float(now))
        services.nodes_sweep(witness)
        services.alerts_silence(witness)
        assert found() == ALL_WELL
    assert not services.alerts.Alert.objects.exists()


@pytest.mark.parametrize("hours", [1, 0, -1])
def test_a_silence_is_found_after_the_same_time_whatever_the_clock_does(
    two, monkeypatch, settings, hours
) -> None:
    living, silent = two
    witness = services.Witness()
    told: dict[tuple[str, str], int] = {}
    step_clock(monkeypatch, hours)
    for now in range(0, settings.NODE_LOST_SECONDS + 20, 2):
        if now % 4 == 0:
            beat(living)
        witness.look(float(now))
        services.nodes_sweep(witness)
        state, outcome = (seen[1] for seen in found())
        told.setdefault((state, outcome), now)
    assert told == {
        ("ready", "running"): 0,
        ("lost", "running"): 60,
        ("lost", "lost"): settings.NODE_LOST_SECONDS,
    }
    beat(silent)
    assert found() == (["ready", "ready"], ["running", "lost"])


def test_after_a_long_outage_a_node_has_time_to_beat(two) -> None:
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    witness = witnessed(50)
    for now in (4000.0, 4002.0, 4004.0):  # an hour later
        witness.look(now)
        services.nodes_sweep(witness)
        services.alerts_silence(witness)
        assert found() == ALL_WELL
    beat(two[0])
    for now in range(4006, 4020, 2):
        witness.look(float(now))
        services.nodes_sweep(witness)
    assert found() == (["ready", "lost"], ["running", "running"])


def test_an_agent_goes_on_witnessing_after_the_database_was_away(agent, people, uptime) -> None:
    """Its real sweeps: a look that fails takes nothing of what was seen before."""
    other = register("gpu-02")
    Node.objects.filter(pk=other.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))

    def look(seconds: int) -> None:
        for _sweep in range(0, seconds, 2):
            uptime[0] += 2
            agent.beat()
            agent.sweep()

    def away(execute, *args) -> None:
        raise OperationalError("the connection is closed")

    look(50)
    assert agent.witness.signs[other.pk].seconds == 48
    uptime[0] += 2
    with connection.execute_wrapper(away), pytest.raises(OperationalError):
        agent.sweep()
    uptime[0] += 900
    agent.sweep()
    assert agent.witness.signs[other.pk].seconds == 48
    assert set(found()[0]) == {"ready"}
    look(12)
    other.refresh_from_db()
    assert other.state == "lost"
    assert Node.objects.get(pk=agent.node_id).state == "ready"


def test_the_control_plane_witnesses_from_sweep_to_sweep(two, uptime, settings) -> None:
    settings.NODE_LOST_SECONDS = 300
    living = two[0]
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    told: dict[tuple[str, str], int] = {}
    for now in range(0, 481, 60):
        uptime[0] = 1000.0 + now
        tasks.sweep()
        tasks.sweep()  # a message that came twice
        beat(living)
        state, outcome = (seen[1] for seen in found())
        told.setdefault((state, outcome), now)
    assert told == {("ready", "running"): 0, ("lost", "running"): 120, ("lost", "lost"): 360}
    assert found()[0][0] == "ready"


@pytest.mark.parametrize("outage", [80, 140, 3600])
def test_the_control_planes_first_sweeps_after_an_outage_lose_nothing(
    two, uptime, settings, outage
) -> None:
    """The nodes have not beaten yet when it looks, and the queue brings what had piled up."""
    settings.NODE_LOST_SECONDS = 75
    for hours in (4, 3, 2):
        Node.objects.update(heartbeat_at=timezone.now() - timedelta(hours=hours))
        tasks.sweep()
        uptime[0] += 60
    uptime[0] += outage - 60
    for _sweep in range(3):
        tasks.sweep()
        uptime[0] += 1
        assert found() == ALL_WELL
    beat(*two)
    uptime[0] += 60
    tasks.sweep()
    assert found() == ALL_WELL


def test_what_was_seen_before_a_boot_counts_no_more(two, uptime, monkeypatch) -> None:
    for _sweep in range(2):
        tasks.sweep()
        uptime[0] += 60
    monkeypatch.setattr(silence, "boot_id", lambda: "another")
    tasks.sweep()
    assert found() == ALL_WELL


def test_a_silent_nodes_workloads_are_given_up_after_a_grace(people) -> None:
    node = register()
    waiting = submit(people.team, "placed")
    running = submit(people.team, "running")
    services.workload_claim(running.pk, 0)
    services.workload_started(running.pk, 1)
    Workload.objects.filter(pk=waiting.pk).update(placed_at=timezone.now() - timedelta(hours=1))

    def silent(seconds: int) -> None:
        Node.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=seconds))
        services.nodes_sweep(witnessed(seconds))
        for row in (node, waiting, running):
            row.refresh_from_db()

    silent(30)
    assert (node.state, waiting.state) == ("ready", "placed")
    silent(90)
    assert (node.state, waiting.state, running.state) == ("lost", "waiting", "running")
    assert waiting.waits_for["code"] == "away"
    services.node_beat(node.pk, engines=["small"])
    running.refresh_from_db()
    waiting.refresh_from_db()
    assert (running.state, waiting.state) == ("running", "placed")
    silent(400)
    assert (running.state, running.outcome) == ("ended", "lost")
    assert not running.leases.filter(released_at=None).exists()
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=400), state="ready")
    services.nodes_sweep()  # without a witness
    node.refresh_from_db()
    assert node.state == "ready"


def test_a_cordoned_node_stays_so_after_a_silence(people) -> None:
    node = register()
    services.node_cordon(node.pk, cordoned=True, by=people.operator)
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=90))
    services.nodes_sweep(witnessed(90))
    services.node_beat(node.pk, engines=["small"])
    node.refresh_from_db()
    assert node.state == "cordoned"
