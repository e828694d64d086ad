"""The scheduler by example and by property."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.scheduler import (
    Decision,
    Device,
    Machine,
    Placement,
    Request,
    Tenant,
    Wait,
    order,
    plan,
    shape_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 2**30


def key(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def request(number: int, **fields) -> Request:
    values = {"priority": 50, "queued_at": NOW + timedelta(seconds=number), **fields}
    return Request(key(number), **values)


def machine(name: str = "a", gpus: int = 0, size: int = 24, **fields) -> Machine:
    start = int.from_bytes(name.encode(), "big") * 100
    devices = tuple(Device(start + index, size * GIB) for index in range(gpus))
    values = {"cpus": 8.0, "memory_bytes": 64 * GIB, "devices": devices, **fields}
    return Machine(uuid.uuid5(uuid.NAMESPACE_DNS, name), name, **values)


def tenant(number: int, where: Machine, gpus: int = 0, **fields) -> Tenant:
    held = frozenset(device.key for device in where.devices[:gpus])
    values = {"placed_at": NOW - timedelta(hours=1), "devices": held, **fields}
    return Tenant(key(number), where.key, **values)


def codes(decisions: Sequence[Decision]) -> dict[int, str]:
    return {
        one.request.int: "placed" if isinstance(one, Placement) else one.code for one in decisions
    }


def test_priority_then_first_come() -> None:
    one = machine(cpus=1.0)
    waiting = [request(1), request(2), request(3, priority=90)]
    decisions = plan(waiting, [], [one], NOW)
    assert [one.request.int for one in decisions] == [3, 1, 2]
    assert codes(decisions) == {3: "placed", 1: "busy_cpus", 2: "behind"}
    assert [one.place for one in decisions if isinstance(one, Wait)] == [1, 2]


def test_the_smallest_gpu_that_fits() -> None:
    big, small = machine("a", gpus=1, size=80), machine("b", gpus=1, size=24)
    (placed,) = plan([request(1, gpus=1, gpu_memory_bytes=20 * GIB)], [], [big, small], NOW)
    mixed = replace(big, devices=(Device(1, 80 * GIB), Device(2, 24 * GIB)))
    assert isinstance(placed, Placement)
    (placed,) = plan([request(1, gpus=1, gpu_memory_bytes=20 * GIB)], [], [mixed], NOW)
    assert placed == Placement(key(1), big.key, (2,))


def test_work_without_gpus_stays_away_from_them() -> None:
    gpu, cpu = machine("a", gpus=4), machine("b")
    (placed,) = plan([request(1)], [], [gpu, cpu], NOW)
    assert placed.machine == cpu.key


def test_what_never_fits_says_so_and_holds_up_nobody() -> None:
    one = machine(gpus=2)
    waiting = [
        request(1, gpus=8),
        request(2, gpus=1, gpu_memory_bytes=80 * GIB),
        request(3, cpus=99),
        request(4, memory_bytes=999 * GIB),
        request(5, engine="trl"),
        request(6),
    ]
    one = replace(one, engines=frozenset({"", "llamafactory"}))
    assert codes(plan(waiting, [], [one], NOW)) == {
        1: "no_gpus",
        2: "no_gpus",
        3: "no_cpus",
        4: "no_memory",
        5: "no_engine",
        6: "placed",
    }


def test_no_single_node_has_it_all() -> None:
    gpus, memory = machine("a", gpus=8, memory_bytes=GIB), machine("b", gpus=0)
    decisions = plan([request(1, gpus=8, memory_bytes=8 * GIB)], [], [gpus, memory], NOW)
    assert codes(decisions) == {1: "no_shape"}


def test_no_nodes_and_nodes_that_take_no_work() -> None:
    assert codes(plan([request(1)], [], [], NOW)) == {1: "no_nodes"}
    assert codes(plan([request(1)], [], [machine(accepts=False)], NOW)) == {1: "away"}


def test_a_big_one_is_not_starved() -> None:
    """Four GPUs, one in use: the head needs four, so the three others are kept for it."""
    one = machine(gpus=4)
    running = [tenant(100, one, gpus=1)]
    waiting = [request(1, gpus=4), request(2, gpus=1), request(3, gpus=1)]
    decisions = plan(waiting, running, [one], NOW)
    assert codes(decisions) == {1: "busy_gpus", 2: "behind", 3: "behind"}
    assert decisions[0].args == {"node": "a", "free": 3, "gpus": 4}
    assert codes(plan(waiting, [], [one], NOW))[1] == "placed"


def test_another_node_takes_what_the_kept_one_does_not() -> None:
    kept, other = machine("a", gpus=4), machine("b", gpus=1)
    running = [tenant(100, kept, gpus=1)]
    decisions = plan([request(1, gpus=4), request(2, gpus=1)], running, [kept, other], NOW)
    assert codes(decisions) == {1: "busy_gpus", 2: "placed"}
    assert decisions[1].machine == other.key


def test_a_small_one_fills_the_gap_beside_a_kept_one() -> None:
    one = machine(cpus=4.0)
    running = [tenant(100, one, cpus=3)]
    decisions = plan([request(1, cpus=3), request(2, cpus=1)], running, [one], NOW)
    assert codes(decisions) == {1: "busy_cpus", 2: "placed"}


def test_gaps_are_not_filled_for_ever() -> None:
    """What was let in beside the head counts: a stream of small ones does not hold it up."""
    one = machine(cpus=4.0)
    late = {"cpus": 1.0, "placed_at": NOW + timedelta(seconds=5)}
    running = [tenant(100, one, cpus=2), tenant(101, one, **late)]
    decisions = plan([request(1, cpus=3), request(2, cpus=1)], running, [one], NOW)
    assert codes(decisions) == {1: "busy_cpus", 2: "behind"}


def test_what_is_let_in_by_the_same_plan_counts_whatever_the_clocks_say() -> None:
    """The one that queued may be ahead of the one that plans."""
    one = machine(cpus=8.0, memory_bytes=64 * GIB)
    ahead = {"queued_at": NOW + timedelta(hours=1)}
    head = request(1, cpus=4.0, memory_bytes=60 * GIB, **ahead)
    waiting = [head, request(2, cpus=4.0, **ahead), request(3, cpus=0.5, **ahead)]
    decisions = plan(waiting, [tenant(100, one, memory_bytes=8 * GIB)], [one], NOW)
    assert codes(decisions) == {1: "busy_memory", 2: "placed", 3: "behind"}


def test_nothing_is_kept_for_one_that_waits_for_a_service() -> None:
    one = machine(cpus=2.0)
    running = [tenant(100, one, cpus=1, is_service=True)]
    decisions = plan([request(1, cpus=2), request(2, cpus=1)], running, [one], NOW)
    assert codes(decisions) == {1: "services", 2: "placed"}


requests = st.lists(
    st.builds(
        lambda number, **fields: request(number, **fields),
        number=st.integers(1, 60),
        priority=st.sampled_from([10, 50, 90]),
        gpus=st.integers(0, 4),
        gpu_memory_bytes=st.sampled_from([0, 20 * GIB, 60 * GIB]),
        cpus=st.sampled_from([0.5, 1.0, 4.0, 9.0]),
        memory_bytes=st.sampled_from([0, 8 * GIB, 60 * GIB]),
    ),
    max_size=12,
    unique_by=lambda one: one.key,
)
machines = st.lists(
    st.builds(
        machine,
        name=st.sampled_from("abcd"),
        gpus=st.integers(0, 4),
        size=st.sampled_from([24, 80]),
        accepts=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda one: one.key,
)


def running_by(earlier: list[Request], nodes: list[Machine], services: set[int]) -> list[Tenant]:
    """A state that the scheduler itself brought about."""
    by_key = {one.key: one for one in earlier}
    open_nodes = [replace(node, accepts=True) for node in nodes]
    return [
        Tenant(
            uuid.UUID(int=placed.request.int + 1000),
            placed.machine,
            NOW - timedelta(minutes=1),
            by_key[placed.request].cpus,
            by_key[placed.request].memory_bytes,
            frozenset(placed.devices),
            is_service=placed.request.int in services,
        )
        for placed in plan(earlier, [], open_nodes, NOW)
        if isinstance(placed, Placement)
    ]


cases = st.tuples(requests, requests, machines, st.sets(st.integers(1, 60)))


@settings(max_examples=300, deadline=None)
@given(cases)
def test_never_more_than_there_is(case) -> None:
    waiting, earlier, nodes, services = case
    tenants = running_by(earlier, nodes, services)
    decisions = plan(waiting, tenants, nodes, NOW)
    by_key = {one.key: one for one in waiting}
    for node in nodes:
        placed = [d for d in decisions if isinstance(d, Placement) and d.machine == node.key]
        here = [one for one in tenants if one.machine == node.key]
        assert node.accepts or not placed
        asked = [by_key[one.request] for one in placed]
        assert sum(one.cpus for one in [*asked, *here]) <= node.cpus + 1e-6
        assert sum(one.memory_bytes for one in [*asked, *here]) <= node.memory_bytes
        devices = [device for one in placed for device in one.devices]
        devices += [device for one in here for device in one.devices]
        assert len(devices) == len(set(devices))
        sizes = {device.key: device.memory_bytes for device in node.devices}
        for one, want in zip(placed, asked, strict=True):
            assert len(one.devices) == want.gpus
            assert all(sizes[device] >= want.gpu_memory_bytes for device in one.devices)


@settings(max_examples=300, deadline=None)
@given(cases, st.randoms())
def test_everyone_is_answered_once_and_always_the_same(case, random) -> None:
    waiting, earlier, nodes, services = case
    tenants = running_by(earlier, nodes, services)
    decisions = plan(waiting, tenants, nodes, NOW)
    assert [one.request for one in decisions] == [one.key for one in order(waiting)]
    places = [one.place for one in decisions if isinstance(one, Wait)]
    assert places == list(range(1, len(places) + 1))
    mixed = [random.sample(some, len(some)) for some in (waiting, tenants, nodes)]
    assert plan(*mixed, NOW) == decisions


alike = st.lists(
    st.builds(
        lambda number, gpus, **fields: request(number, gpus=gpus, cpus=1.0 + 3 * gpus, **fields),
        number=st.integers(1, 60),
        gpus=st.integers(0, 2),
        priority=st.sampled_from([50, 90]),
    ),
    max_size=40,
    unique_by=lambda one: one.key,
)


@settings(max_examples=300, deadline=None)
@given(st.tuples(alike, requests, machines, st.sets(st.integers(1, 60))), st.integers(1, 8))
def test_the_first_of_each_shape_tell_of_all(case, depth) -> None:
    """Whoever comes after a lasting answer to his own shape shares it, and changes no other's."""
    waiting, earlier, nodes, services = case
    tenants = running_by(earlier, nodes, services)
    shapes: dict[object, list[Request]] = {}
    for one in order(waiting):
        shapes.setdefault(shape_of(one), []).append(one)
    first = [one for same in shapes.values() for one in same[:depth]]
    told = {one.request: one for one in plan(first, tenants, nodes, NOW)}
    if not all(_is_lasting(told[same[depth - 1].key]) for same in shapes.values() if same[depth:]):
        return
    for same in shapes.values():
        told |= {one.key: told[same[depth - 1].key] for one in same[depth:]}
    for decision in plan(waiting, tenants, nodes, NOW):
        answer = told[decision.request]
        if isinstance(decision, Placement):
            assert answer == decision
        else:
            assert (answer.code, answer.args) == (decision.code, decision.args)


def _is_lasting(decision: Decision) -> bool:
    return isinstance(decision, Wait) and decision.lasting


@settings(max_examples=300, deadline=None)
@given(cases)
def test_nobody_overtakes_where_it_would_have_fitted(case) -> None:
    """Who waits could not have run in place of a later one that was placed."""
    waiting, earlier, nodes, services = case
    tenants = running_by(earlier, nodes, services)
    decisions = plan(waiting, tenants, nodes, NOW)
    by_key = {one.key: one for one in waiting}
    for index, decision in enumerate(decisions):
        if isinstance(decision, Placement) or decision.code == "behind":
            continue
        before = {one.request for one in decisions[:index]}
        alone = [one for one in waiting if one.key in before] + [by_key[decision.request]]
        assert not isinstance(plan(alone, tenants, nodes, NOW)[-1], Placement)


@settings(max_examples=200, deadline=None)
@given(cases)
def test_the_first_that_waits_is_never_delayed(case) -> None:
    """Once those that ran before have ended, the first waiting one starts, whatever came later."""
    waiting, earlier, nodes, services = case
    tenants = running_by(earlier, nodes, services)
    decisions = plan(waiting, tenants, nodes, NOW)
    heads = [d for d in decisions if isinstance(d, Wait) and d.code.startswith("busy")]
    if not heads:
        return
    by_key = {one.key: one for one in waiting}
    later = [d for d in decisions if isinstance(d, Placement)]
    ranks = [one.request for one in decisions]
    after = ranks.index(heads[0].request)
    stay = [one for one in tenants if one.is_service]
    stay += [
        Tenant(
            d.request,
            d.machine,
            NOW,
            by_key[d.request].cpus,
            by_key[d.request].memory_bytes,
            frozenset(d.devices),
        )
        for d in later
        if ranks.index(d.request) > after
    ]
    (decision,) = plan([by_key[heads[0].request]], stay, nodes, NOW)
    assert isinstance(decision, Placement)


def test_many_nodes_and_a_long_queue() -> None:
    nodes = [machine(f"n{index:04}", gpus=8) for index in range(300)]
    waiting = [request(index, gpus=1 + index % 8) for index in range(3000)]
    began = process_time()  # what it costs, however busy the machine is
    decisions = plan(waiting, [], nodes, NOW)
    assert sum(isinstance(one, Placement) for one in decisions) > 300
    assert process_time() - began < 20


def test_what_asks_for_an_image_that_a_node_cannot_have_goes_elsewhere() -> None:
    """Its engine runs there with others."""
    image = key(7)
    without, other = machine("a", missing_images=frozenset({str(image)})), machine("b")
    (placed,) = plan([request(1, image=image)], [], [without, other], NOW)
    assert placed.machine == other.key
