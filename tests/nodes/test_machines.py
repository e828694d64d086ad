"""What nodes tell is believed where it can be true, and refused without a trace otherwise."""

import math
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Event
from common.errors import Conflict, DomainError
from nodes import services
from nodes.models import Gpu, HardwareError, Lease, Node, NodeSample, Workload
from nodes.nvml import Fault
from nodes.services.clock import database_now
from nodes.services.machines import Identity
from tests.nodes.parts import GIB, device, ends, figures, load, register, runs, submit, witnessed

pytestmark = pytest.mark.django_db(transaction=True)
NAN, INFINITY = math.nan, math.inf


def everything() -> list[object]:
    """All that a refused message must not have changed."""
    tables = (Node, Gpu, NodeSample, HardwareError, Event, Workload, Lease)
    return [list(table.objects.order_by("pk").values()) for table in tables]


def refused(code: str, act, *args, **kwargs) -> DomainError:
    before = everything()
    with pytest.raises(DomainError) as caught:
        act(*args, **kwargs)
    assert caught.value.code == code
    assert caught.value.message
    assert everything() == before
    return caught.value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu_count", 0),
        ("cpu_count", -4),
        ("cpu_count", 2**40),
        ("cpu_count", "8"),
        ("cpu_count", True),
        ("memory_bytes", -1),
        ("memory_bytes", NAN),
        ("memory_bytes", 2**60),
        ("disk_bytes", None),
        ("facts", {"system": "x" * 100_000}),
        ("facts", {"load": NAN}),
        ("facts", []),
        ("facts", {"system": "a\x00b"}),
        ("address", "x" * 201),
        ("devices", [device("gpu-01", 0), device("gpu-01", 0)]),
        ("devices", [device("gpu-01", 0, memory_bytes=-1)]),
        ("devices", [device("gpu-01", 0, health="splendid")]),
        ("devices", [device("gpu-01", -1)]),
        ("devices", [device("gpu-01", index) for index in range(65)]),
    ],
)
@pytest.mark.django_db(transaction=False)
def test_a_registration_with_nonsense_is_refused(field, value) -> None:
    register()
    assert field.split("_")[0] in str(refused("nonsense", register, **{field: value}).field)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("cpu_percent", {"cpu_percent": -1}),
        ("cpu_percent", {"cpu_percent": NAN}),
        ("cpu_percent", {"cpu_percent": INFINITY}),
        ("cpu_percent", {"cpu_percent": "12"}),
        ("cpu_percent", {"cpu_percent": None}),
        ("memory_used_bytes", {"memory_used_bytes": 10**15}),
        ("memory_used_bytes", {"memory_used_bytes": 0.5}),
        ("disk_used_bytes", {"disk_used_bytes": 1001 * GIB}),
        ("network_receive_rate", {"network_receive_rate": -1.0}),
        ("network_send_rate", {"network_send_rate": 10**20}),
        ("disks", {"disks": {"path": "/"}}),
        ("disks.used_bytes", {"disks": [{"path": "/", "total_bytes": 1, "used_bytes": 2}]}),
        ("gpus", {"gpus": "none"}),
        ("gpus", {"gpus": [7]}),
        ("gpus.percent", {"gpus": [load(percent=101)]}),
        ("gpus.temperature", {"gpus": [load(temperature=NAN)]}),
        ("gpus.temperature", {"gpus": [load(temperature=900)]}),
        ("gpus.watts", {"gpus": [load(watts=-3)]}),
        ("gpus.memory_used_bytes", {"gpus": [load(memory_used_bytes=200 * GIB)]}),
        ("gpus.ecc_uncorrected", {"gpus": [load(ecc_uncorrected=-1)]}),
        ("gpus.ecc_uncorrected", {"gpus": [load(ecc_uncorrected=2**80)]}),
        ("gpus.throttled", {"gpus": [load(throttled=["laziness"])]}),
        ("gpus.uuid", {"gpus": [load(), load()]}),
        ("gpus.processes", {"gpus": [load(processes=[{"pid": n} for n in range(1, 300)])]}),
        ("gpus.processes.pid", {"gpus": [load(processes=[{"pid": 0}])]}),
        ("gpus.processes.percent", {"gpus": [load(processes=[{"pid": 1, "percent": -1}])]}),
        ("gpus.processes.workload", {"gpus": [load(processes=[{"pid": 1, "workload": "x"}])]}),
    ],
)
@pytest.mark.django_db(transaction=False)
def test_a_measurement_with_nonsense_is_refused(field, change) -> None:
    node = register()
    error = refused("nonsense", services.sample_record, node.pk, {**figures(), **change})
    assert error.field == field


def test_an_unknown_gpu_is_refused() -> None:
    node = register()
    stranger = load(uuid="GPU-of-somebody-else")
    refused("gpu_unknown", services.sample_record, node.pk, figures(stranger))
    register(gpus=1)
    refused("gpu_unknown", services.sample_record, node.pk, figures(load(index=1)))


def test_a_beat_with_nonsense_is_refused() -> None:
    node = register()
    for told in (
        {"engines": "small"},
        {"engines": ["x" * 50]},
        {"engines": ["small"], "facts": {"free": INFINITY}},
        {"engines": ["small"], "devices": [device("gpu-01", 0, memory_bytes=-5)]},
    ):
        refused("nonsense", services.node_beat, node.pk, **told)


def test_processes_belong_to_workloads_of_the_node(people) -> None:
    node = register()
    mine = runs(submit(people.team, "mine"))
    services.node_cordon(node.pk, cordoned=True, by=people.operator)
    register("gpu-02")
    theirs = runs(submit(people.team, "theirs"))
    assert theirs.node.name == "gpu-02"
    good = load(processes=[{"pid": 9, "workload": str(mine.pk), "memory_used_bytes": GIB}])
    sample = services.sample_record(node.pk, figures(good))
    assert sample.gpus[0]["processes"][0]["workload"] == str(mine.pk)
    for workload in (theirs.pk, uuid.uuid4()):
        claimed = load(processes=[{"pid": 9, "workload": str(workload)}])
        refused("not_yours", services.sample_record, node.pk, figures(claimed))


def test_a_node_claims_only_what_was_placed_there(people) -> None:
    register()
    workload = submit(people.team)
    refused("not_yours", services.workload_claim, workload.pk, 0, node="gpu-02")
    refused("not_yours", services.workload_start, workload.pk, 0, node="gpu-02")
    assert services.workload_claim(workload.pk, 0, node="gpu-01").epoch == 1
    # An older epoch is nobody's any more.
    before = everything()
    assert services.workload_claim(workload.pk, 0, node="gpu-01") is None
    assert not services.workload_started(workload.pk, 0)
    assert not services.workload_lost(workload.pk, 0, reason="")
    assert everything() == before


def test_another_machine_cannot_work_under_the_name(people) -> None:
    register(identity=Identity(machine="one"))
    refused("name_taken", register, identity=Identity(machine="two"))
    register(identity=Identity(machine="one"))
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
    register(identity=Identity(machine="two"))  # the first is gone: a new machine took its place


def test_a_gpu_is_in_one_machine() -> None:
    register()
    refused("gpu_taken", register, "gpu-02", devices=[device("gpu-01", 1)])
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
    moved = register("gpu-02", devices=[device("gpu-01", 1)])
    assert Gpu.objects.get(uuid="gpu-01-1").node == moved


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong_by_an_hour(people, hours) -> None:
    wrong = timezone.now() + timedelta(hours=hours)
    error = refused("clock_wrong", register, identity=Identity(clock=wrong))
    assert "60" in error.message
    node = register(identity=Identity(clock=timezone.now()))
    assert node.takes_work
    # A clock that jumps while the node works: what runs goes on, nothing new comes.
    running = runs(submit(people.team, "running"))
    node = services.node_beat(node.pk, engines=["small"], clock=wrong)
    assert not node.takes_work
    assert round(node.clock_skew_seconds / 3600) == hours
    assert timezone.now() - node.heartbeat_at < timedelta(minutes=30)
    assert submit(people.team, "next").waits_for["code"] == "away"
    register(identity=Identity(clock=wrong))  # its agent may start again, to look after it
    running.refresh_from_db()
    assert running.state == "running"
    services.node_beat(node.pk, engines=["small"], clock=timezone.now())
    assert Workload.objects.get(name="next").state == "placed"


def test_devices_that_break_are_not_given_away(people) -> None:
    node = register()
    broken = [device("gpu-01", 0, health="failed", health_codes=("lost",)), device("gpu-01", 1)]
    services.node_beat(node.pk, engines=["small"], devices=broken)
    assert submit(people.team).leases.get().gpu.index == 1
    assert submit(people.team, "second").state == "waiting"
    services.node_beat(
        node.pk, engines=["small"], devices=[device("gpu-01", 0), device("gpu-01", 1)]
    )
    assert Workload.objects.get(name="second").state == "placed"


def ecc(node: Node, *counts: int) -> None:
    for count in counts:
        services.sample_record(node.pk, figures(load(ecc_uncorrected=count)))


def test_repeated_memory_errors_take_a_gpu_out(people) -> None:
    node = register(gpus=3)
    ecc(node, 7)  # nobody knows when those happened
    assert not HardwareError.objects.exists()
    ecc(node, 8, 8, 10)
    assert list(HardwareError.objects.order_by("id").values_list("number", flat=True)) == [1, 2]
    assert not Gpu.objects.exclude(excluded_at=None).exists()
    ecc(node, 11)
    (out,) = Gpu.objects.exclude(excluded_at=None)
    assert (out.index, out.exclusion["args"]["count"]) == (0, 3)
    node.refresh_from_db()
    assert node.state == "ready"  # the others work
    assert {submit(people.team, name).leases.get().gpu.index for name in "ab"} == {1, 2}
    assert submit(people.team, "c").state == "waiting"
    services.node_release(node.pk, gpu_id=out.pk, by=people.operator)
    assert Workload.objects.get(name="c").leases.get().gpu == out
    ecc(node, 12, 13)  # forgiven: the count begins anew
    assert not Gpu.objects.exclude(excluded_at=None).exists()


def test_xids_of_programs_do_not_count(people) -> None:
    node = register()
    services.faults_note(node.pk, [Fault("gpu-01-0", 31)] * 9 + [Fault("unknown", 79)])
    assert not HardwareError.objects.exists()
    assert services.faults_note(node.pk, [Fault("gpu-01-0", 79)] * 3) == 3
    assert Gpu.objects.exclude(excluded_at=None).get().index == 0


def test_two_gpus_out_take_the_node_out(people) -> None:
    node = register(gpus=3)
    for index in (0, 1):
        services.faults_note(node.pk, [Fault(f"gpu-01-{index}", 48)] * 3)
    node.refresh_from_db()
    assert (node.state, node.exclusion["code"]) == ("excluded", "gpus")
    assert submit(people.team).waits_for["code"] == "away"
    services.node_beat(node.pk, engines=["small"])
    node.refresh_from_db()
    assert node.state == "excluded"
    services.node_release(node.pk, by=people.operator)
    node.refresh_from_db()
    assert node.state == "ready"
    assert Workload.objects.get().state == "placed"
    assert Event.objects.of(node).filter(verb="released", actor=people.operator).exists()


def failing(project, name: str) -> Workload:
    workload = runs(submit(project, name))
    services.failure_note(ends(workload, "error").pk)
    return workload


def test_workloads_that_fail_so_count_when_they_are_different_ones(people) -> None:
    register(gpus=1)
    for _try in range(4):  # one broken program fails everywhere
        failing(people.team, "broken")
    gpu = Gpu.objects.get()
    assert gpu.excluded_at is None
    assert HardwareError.objects.count() == 4
    services.failure_note(Workload.objects.first().pk)
    assert HardwareError.objects.count() == 4  # noted once for each workload
    ends(runs(submit(people.team, "fine")), "ok")
    failing(people.team, "one")
    failing(people.team, "two")
    gpu.refresh_from_db()
    assert gpu.excluded_at is None  # what failed before the good one does not count
    failing(people.team, "three")
    gpu.refresh_from_db()
    assert gpu.excluded_at is not None
    assert Node.objects.get().state == "excluded"  # it has no other


def test_a_rule_that_is_off_excludes_nothing(people) -> None:
    node = register()
    services.rule_set(
        "exclusion", by=people.operator, is_enabled=False, threshold=3, clear=3, hold_seconds=0
    )
    services.faults_note(node.pk, [Fault("gpu-01-0", 79)] * 5)
    assert not Gpu.objects.exclude(excluded_at=None).exists()


def test_one_of_those_that_beat_leads() -> None:
    nodes = sorted(register(f"gpu-0{number}").pk for number in range(3))
    assert [services.node_leads(pk) for pk in nodes] == [True, False, False]
    silent = database_now() - timedelta(seconds=20)
    Node.objects.filter(pk=nodes[0]).update(heartbeat_at=silent)
    assert [services.node_leads(pk) for pk in nodes] == [False, True, False]
    # Its last beat lies ahead: the database's clock was set back since.
    Node.objects.filter(pk=nodes[0]).update(heartbeat_at=silent + timedelta(hours=1), state="lost")
    assert [services.node_leads(pk) for pk in nodes] == [False, True, False]


def test_draining_waits_for_what_runs(people) -> None:
    node = register()
    running, placed = runs(submit(people.team, "running")), submit(people.team, "placed")
    services.node_drain(node.pk, mode="wait", by=people.operator)
    for row in (node, running, placed):
        row.refresh_from_db()
    assert (node.state, running.state, placed.state) == ("draining", "running", "waiting")
    assert placed.waits_for["code"] == "away"
    services.node_beat(node.pk, engines=["small"])
    ends(running, "ok")
    services.nodes_sweep()
    node.refresh_from_db()
    assert node.state == "drained"
    services.node_cordon(node.pk, cordoned=False, by=people.operator)
    node.refresh_from_db()
    placed.refresh_from_db()
    assert (node.state, placed.state) == ("ready", "placed")


def test_draining_in_a_hurry_asks_for_checkpoints(people) -> None:
    node = register()
    running = runs(submit(people.team, "running"))
    services.node_drain(node.pk, mode="stop", by=people.operator)
    running.refresh_from_db()
    assert (running.state, running.stop_mode) == ("stopping", "checkpoint")
    assert running.end_facts["goes_on"]
    ends(running, "stopped")
    services.nodes_sweep()
    node.refresh_from_db()
    assert node.state == "drained"


def test_a_drain_that_was_cut_short_goes_on(people) -> None:
    node = register()
    running = runs(submit(people.team, "running"))
    Node.objects.update(drain="stop", state="draining")  # and then the process died
    services.nodes_sweep()
    running.refresh_from_db()
    assert running.stop_mode == "checkpoint"
    services.nodes_sweep(witnessed(90))
    node.refresh_from_db()
    assert node.state == "lost"
    services.node_beat(node.pk, engines=["small"])
    node.refresh_from_db()
    assert node.state == "draining"  # a silence does not end it


def test_removing(people) -> None:
    node = register()
    workload = submit(people.team)
    with pytest.raises(Conflict, match="holds"):
        services.node_remove(node.pk, by=people.operator)
    services.workload_stop(workload.pk, mode="kill", reason="")
    with pytest.raises(Conflict, match="agent"):
        services.node_remove(node.pk, by=people.operator)  # it would be back at once
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
    services.node_remove(node.pk, by=people.operator)
    assert not Node.objects.visible_to(people.operator).exists()
    with pytest.raises(services.NodeRemoved):
        services.node_beat(node.pk, engines=["small"])
    assert submit(people.team, "later").waits_for["code"] == "no_nodes"
    register()  # started again by hand, on the machine that has the installation's secrets
    assert Workload.objects.get(name="later").state == "placed"
