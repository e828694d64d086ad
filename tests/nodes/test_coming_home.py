"""Workloads whose process has ended and whose results are still on their way from their node."""

import time
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Event
from nodes import services
from nodes.models import Lease, Node, Workload
from nodes.runners import Exit
from tests.nodes.parts import register, runs, submit, witnessed

pytestmark = pytest.mark.django_db(transaction=True)


def exit_of(code: int = 0) -> Exit:
    return Exit(code=code, signal=None, started_at=time.time() - 9, ended_at=time.time())


@pytest.fixture
def node() -> Node:
    return register(gpus=1, shares_home=False, cpu_count=2)


@pytest.fixture
def gone_out(node, people) -> Workload:
    """One that has done its work; nothing of it is home yet."""
    workload = runs(submit(people.team, "first"))
    assert services.workload_exited(workload.pk, workload.epoch, exit_of())
    workload.refresh_from_db()
    return workload


def holders() -> list[str]:
    return list(Lease.objects.filter(released_at=None).values_list("workload__name", flat=True))


def test_its_place_is_free_at_once_and_it_ends_when_all_is_home(gone_out, people) -> None:
    assert (gone_out.state, gone_out.comes_home, holders()) == ("running", True, [])
    second = submit(people.team, "second", cpus=2.0)
    assert (second.state, holders()) == ("placed", ["second"])
    assert not services.workload_exited(gone_out.pk, gone_out.epoch, exit_of())
    assert services.workload_ended(gone_out.pk, gone_out.epoch, exit_of(code=3))
    gone_out.refresh_from_db()
    assert (gone_out.state, gone_out.outcome, gone_out.exit_code) == ("ended", "error", 3)
    assert holders() == ["second"]
    assert not gone_out.comes_home
    assert Event.objects.of(gone_out).filter(verb="state", new="ended").count() == 1


def test_what_waits_starts_when_a_process_ends(node, people) -> None:
    first, second = (submit(people.team, name) for name in ("first", "second"))
    runs(first)
    assert second.state == "waiting"
    services.workload_exited(first.pk, first.epoch, exit_of())
    second.refresh_from_db()
    assert second.state == "placed"


def test_a_process_that_nobody_saw_running_is_not_started_again(node, people) -> None:
    workload = services.workload_claim(submit(people.team).pk, 0)
    assert workload is not None
    assert not services.workload_exited(workload.pk, workload.epoch - 1, exit_of())
    assert services.workload_exited(workload.pk, workload.epoch, exit_of())
    workload.refresh_from_db()
    assert (workload.state, workload.started_at is not None) == ("running", True)
    assert services.workload_reclaim(workload.pk, workload.epoch) is None
    assert not services.follow.workload_return(workload.pk, workload.epoch, reason="")


def test_a_stop_on_the_way_keeps_what_the_process_said(gone_out) -> None:
    services.workload_stop(gone_out.pk, mode="checkpoint", reason="Enough.")
    gone_out.facts_path("result").parent.mkdir(parents=True, exist_ok=True)
    gone_out.facts_path("result").write_text('{"epoch": 1, "status": "finished"}')
    services.workload_ended(gone_out.pk, gone_out.epoch, exit_of())
    gone_out.refresh_from_db()
    assert gone_out.outcome == "ok"


def test_a_node_lost_on_the_way_loses_it(gone_out, node, people) -> None:
    services.node_drain(node.pk, mode="wait", by=people.operator)
    node.refresh_from_db()
    assert node.state == "draining"  # what lies there is still needed
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=400))
    services.nodes_sweep(witnessed(400))
    gone_out.refresh_from_db()
    assert (gone_out.state, gone_out.outcome) == ("ended", "lost")


def test_pages_and_api_tell_it(gone_out, node, people, client) -> None:
    client.force_login(people.viewer)
    page = client.get(reverse("nodes:node_detail", args=[node.pk])).content.decode()
    assert "Brings its results home" in page
    told = client.get(f"/api/v1/workloads/{gone_out.pk}/").json()
    assert (told["state"], told["exited_at"] is not None) == ("running", True)
