"""Starts of real containers: each workload gets one, whoever tries."""

import threading

import pytest
from django.db import connection

from nodes import services
from nodes.models import Workload
from nodes.runners import Sight
from nodes.runners.description import name_of
from nodes.services import follow
from tests.nodes.conftest import followed

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]


def test_the_name_is_a_lock(contained, submit, docker_host, small_image) -> None:
    workload = submit({})
    claimed = services.workload_claim(workload.pk, 0)
    docker_host.containers.create(small_image, ["train"], name=name_of(workload.pk, 1))
    assert not follow.workload_launch(claimed)
    workload.refresh_from_db()
    assert workload.state == Workload.State.STARTING


def test_eight_start_and_one_gets_it(contained, submit, docker_host) -> None:
    workload = submit({"steps": 3000, "seconds": 0.02})
    claimed = services.workload_claim(workload.pk, 0)
    taken, barrier = [], threading.Barrier(8)

    def launch() -> None:
        barrier.wait()
        taken.append(follow.workload_launch(claimed))
        connection.close()

    threads = [threading.Thread(target=launch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]
    assert len(list(contained.driver.owned())) == 1


def test_created_and_never_started_is_garbage(
    contained, submit, docker_host, container_of, monkeypatch
) -> None:
    """The starter was killed between the two: the start is taken over under a new epoch."""
    monkeypatch.setattr("nodes.following.BEGUN_SECONDS", 0.1)
    workload = submit({"steps": 2})
    claimed = services.workload_claim(workload.pk, 0)
    with monkeypatch.context() as cut:
        cut.setattr("nodes.runners.docker._start", lambda container: None)
        assert follow.workload_launch(claimed)
    Workload.objects.filter(pk=workload.pk).update(state=Workload.State.STARTING, started_at=None)
    first = name_of(workload.pk, 1)
    assert docker_host.containers.get(first).status == "created"
    assert contained.driver.poll(follow.place_of(claimed))[0] is Sight.BEGUN
    workload = followed(contained, workload)
    assert (workload.outcome, workload.epoch) == ("ok", 2)
    assert first not in [
        container.name for container in docker_host.containers.list(all=True, ignore_removed=True)
    ]


def test_a_late_starter_brings_nothing(contained, submit, docker_host) -> None:
    workload = submit({})
    late = services.workload_claim(workload.pk, 0)
    contained.driver.call_off(follow.place_of(late))
    assert not follow.workload_launch(late)
    assert list(contained.driver.owned()) == []
