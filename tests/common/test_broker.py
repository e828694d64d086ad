"""The queue of short tasks: a message wakes who waits for it, once it is committed."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from common import broker as brokers
from common.broker import Broker

pytestmark = pytest.mark.django_db(transaction=True)
WAITS = "FROM pg_stat_activity WHERE state = 'idle' AND query ~ 'django_q_ormq' AND pid <> %s"


@pytest.fixture
def worker(monkeypatch) -> Iterator[ThreadPoolExecutor]:
    """A thread for a worker, which looks again only when it is woken."""
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite nothing wakes a worker: it looks five times a second")
    monkeypatch.setattr(brokers, "WAIT_SECONDS", 300.0)
    with ThreadPoolExecutor(1) as pool:
        yield pool
        Broker("test").enqueue("the end")
        pool.submit(connections.close_all)  # the thread's own; `connection.close` would be ours


def waiting(worker: ThreadPoolExecutor, broker: Broker) -> Future:
    """What the worker will have got; it has looked and found nothing when this returns."""
    future = worker.submit(broker.dequeue)
    deadline = time.monotonic() + 180
    while not _asked(f"SELECT count(*) {WAITS}"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return future


def _asked(query: str) -> int:
    with connection.cursor() as cursor:
        mine = connection.connection.info.backend_pid
        cursor.execute(query, (mine,))
        return cursor.fetchone()[0]


def test_a_message_wakes_who_waits(worker) -> None:
    broker = Broker("test")
    woken = waiting(worker, broker)
    Broker("other").enqueue("not for this one")
    with transaction.atomic():
        number = Broker("test").enqueue("work")
        assert not woken.done()
    assert woken.result(180) is None
    assert worker.submit(broker.dequeue).result(180) == [(number, "work")]


def test_after_a_broken_connection_it_listens_again(worker) -> None:
    broker = Broker("test")
    broken = waiting(worker, broker)
    _asked(f"SELECT count(pg_terminate_backend(pid)) {WAITS}")
    assert broken.result(180) is None
    woken = waiting(worker, broker)
    number = Broker("test").enqueue("work")
    assert woken.result(180) is None
    assert worker.submit(broker.dequeue).result(180) == [(number, "work")]


def test_a_message_of_a_machine_whose_clock_is_ahead_is_due(monkeypatch) -> None:
    ahead = timezone.now() + timedelta(hours=2)
    with monkeypatch.context() as there:
        there.setattr(timezone, "now", lambda: ahead)
        number = Broker("test").enqueue("work")
    assert Broker("test").dequeue() == [(number, "work")]


def test_on_any_database_a_message_is_given_once() -> None:
    broker = Broker("test")
    number = broker.enqueue("work")
    assert broker.dequeue() == [(number, "work")]
    assert broker.dequeue() is None
