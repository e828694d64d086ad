"""The queue when it is long, and when others are changing it."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from nodes import services
from nodes.models import Node, PlanRequest, Workload
from nodes.services.queue import PLACED_TOO_LONG
from nodes.services.reasons import reason_text

pytestmark = pytest.mark.django_db
State = Workload.State


@pytest.fixture
def cordon(agent, people) -> Callable[[bool], None]:
    """Lets the node take no new work, or take it again."""

    def do(cordoned: bool) -> None:
        services.node_cordon(agent.node_id, cordoned=cordoned, by=people.operator)

    return do


def fill(submit, count: int) -> None:
    """So many workloads of one CPU each."""
    for number in range(count):
        submit(name=str(number))


def reasons() -> Counter:
    """How many wait for which reason."""
    rows = Workload.objects.filter(state=State.WAITING)
    assert all(reason_text(row.waits_for) == row.reason for row in rows)
    return Counter(row.waits_for["code"] for row in rows)


@pytest.mark.django_db(transaction=True)  # a node's change is planned after its commit
def test_everyone_in_a_long_queue_has_a_reason(cordon, submit) -> None:
    fill(submit, 40)
    placed = Workload.objects.filter(state=State.PLACED).count()
    assert reasons() == {"busy_cpus": 1, "behind": 39 - placed}
    cordon(True)
    assert reasons() == {"away": 40 - placed}


def test_a_longer_queue_costs_no_more_questions(agent, submit) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert services.schedule() == 0
        return len(queries)

    fill(submit, 30)
    before = asked()
    fill(submit, 30)
    assert asked() == before


@pytest.mark.django_db(transaction=True)  # a node's change is planned after its commit
def test_what_many_free_places_are_given_to(agent, cordon, submit) -> None:
    """More are placed at once than are looked at first, in their order."""
    cordon(True)
    cpus = agent.machine.cpu_count / 50
    for number in range(60):
        submit(name=str(number), cpus=cpus)
    cordon(False)
    names = Workload.objects.filter(state=State.PLACED).values_list("name", flat=True)
    assert set(names) == {str(number) for number in range(50)}


def test_places_of_many_are_asked_for_at_once(agent, submit, people, client) -> None:
    fill(submit, 6)
    Workload.objects.update(project=people.team)
    client.force_login(people.viewer)
    client.get("/api/v1/workloads/")

    def asked(page_size: int) -> tuple[list[int], int]:
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"/api/v1/workloads/?page_size={page_size}").json()
        return [row["place"] for row in answer["results"]], len(queries)

    (two, few), (six, many) = asked(2), asked(6)
    running = Workload.objects.exclude(state=State.WAITING).count()
    line = [*range(6 - running, 0, -1), *[0] * running]  # the newest first
    assert (two, six) == (line[:2], line)
    assert few == many


def test_a_planner_whose_clock_is_ahead_holds_nothing_up(agent, submit, monkeypatch) -> None:
    """What it places counts as placed now: else it would not be told of again for hours."""
    if connection.vendor != "postgresql":
        pytest.skip("a file of this machine has this machine's clock")
    ahead = timezone.now() + timedelta(hours=2)
    with monkeypatch.context() as there:
        there.setattr(timezone, "now", lambda: ahead)
        workload = submit()
    workload.refresh_from_db()
    assert workload.state == State.PLACED
    assert max(workload.placed_at, workload.nudged_at) < ahead - timedelta(hours=1)


@pytest.mark.django_db(transaction=True)
def test_planning_waits_for_nobody_who_changes_a_waiting_workload(cordon, submit) -> None:
    """Such a change plans at its own end: waiting for it, each would wait for the other."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    cordon(True)
    first, second = submit(name="first"), submit(name="second")
    held, planned = threading.Event(), threading.Event()

    def change() -> None:
        try:
            with transaction.atomic():
                Workload.objects.select_for_update().get(pk=first.pk)
                held.set()
                assert planned.wait(180)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        assert held.wait(180)
        try:
            cordon(False)
        finally:
            planned.set()
        changing.result()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == (State.WAITING, State.PLACED)
    assert services.schedule() == 1


@pytest.mark.django_db(transaction=True)
def test_an_end_waits_for_no_planner_who_plans_once_more_for_it(agent, submit) -> None:
    """While somebody plans, two workloads end: neither waits, and both places are given."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    cpus = agent.machine.cpu_count / 2
    running = [submit(name=f"running {number}", cpus=cpus) for number in range(2)]
    waiting = [submit(name=f"waiting {number}", cpus=cpus) for number in range(2)]
    for row in running:
        assert services.workload_claim(row.pk, 0, node=agent.name)
    holds, ended = threading.Event(), threading.Event()

    def plan() -> None:
        try:
            with transaction.atomic():
                services.schedule()
                holds.set()
                assert ended.wait(180)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        planning = pool.submit(plan)
        assert holds.wait(180)
        try:
            for row in running:
                assert services.workload_lost(row.pk, 1, reason="")
            assert PlanRequest.objects.exists()
            states = Workload.objects.filter(pk__in=[row.pk for row in waiting])
            assert set(states.values_list("state", flat=True)) == {State.WAITING}
        finally:
            ended.set()
        planning.result()
    assert set(states.values_list("state", flat=True)) == {State.PLACED}
    assert not PlanRequest.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_request_that_nobody_answered_is_found_by_the_sweep(agent, cordon, submit) -> None:
    """Whoever was to plan was killed between the change and the plan."""
    cordon(True)
    waiting = submit(name="waiting")
    Node.objects.filter(pk=agent.node_id).update(is_cordoned=False, state=Node.State.READY)
    services.nodes_sweep(plan=False)
    waiting.refresh_from_db()
    assert waiting.state == State.WAITING
    PlanRequest.objects.create()
    services.nodes_sweep(plan=False)
    waiting.refresh_from_db()
    assert waiting.state == State.PLACED


def messages(node: Node) -> int:
    """How often the node's worker was told to start something."""
    return OrmQ.objects.filter(key=node.queue).count()


@pytest.mark.django_db(transaction=True)
def test_a_node_is_told_again_once_in_a_while(agent, submit) -> None:
    """Not at each sweep, and not while it fetches what the start needs."""
    node = Node.objects.get(pk=agent.node_id)
    workload = submit()
    rows = Workload.objects.filter(pk=workload.pk)
    long_ago = timezone.now() - 2 * PLACED_TOO_LONG
    before = messages(node)
    rows.update(placed_at=long_ago)
    services.nodes_sweep()
    assert messages(node) == before
    rows.update(nudged_at=long_ago)
    for _sweep in range(3):
        services.nodes_sweep()
    assert messages(node) == before + 1
    rows.update(nudged_at=long_ago)
    services.workloads_fetched_for([workload])
    services.nodes_sweep()
    assert messages(node) == before + 1


@pytest.mark.django_db(transaction=True)
def test_what_a_silent_node_did_not_start_waits_again_at_once(agent, submit) -> None:
    """However shortly before it was told of it."""
    workload = submit()
    long_ago = timezone.now() - 2 * PLACED_TOO_LONG
    Workload.objects.filter(pk=workload.pk).update(placed_at=long_ago)
    Node.objects.filter(pk=agent.node_id).update(state=Node.State.LOST)
    services.nodes_sweep()
    workload.refresh_from_db()
    assert workload.state == State.WAITING
