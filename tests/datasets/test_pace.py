"""The pace of a provider: for all runs together, whatever becomes of one of them."""

import asyncio
import struct
import subprocess
import sys
import time

import pytest
from django.conf import settings

from datasets import services
from datasets.generation import pace
from datasets.models import RecipeRun
from datasets.services.providers import paces_root
from tests.datasets import children
from tests.datasets.model_server import simulated
from tests.datasets.test_generation import child, ended, provider, start, start_again, texts

__all__ = ["provider", "start"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]
READY_RUN = """
import sys
import django
django.setup()
from datasets import services
print("ready", flush=True)
sys.stdin.readline()
services.run_execute(sys.argv[1])
"""


def ready(run: RecipeRun) -> subprocess.Popen:
    """A process that works at the run when it is told to."""
    environment = children.environment() | {"TRAINER_SECRET_KEY": settings.SECRET_KEY}
    process = subprocess.Popen(
        [sys.executable, "-c", READY_RUN, str(run.pk)],
        env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_runs_at_once_keep_the_providers_pace(home, make, provider, start) -> None:
    with simulated() as server:
        server.pause = 0.1
        asked = provider(server, requests_per_minute=600, parallel=3)
        first = start(asked, make(texts(20)).latest, [{"kind": "generate"}])
        runs = [first, start_again(first)]
        processes = [ready(run) for run in runs]
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait(180) for process in processes] == [0, 0]
    for run in runs:
        run.refresh_from_db()
        assert (run.state, run.problem) == ("succeeded", "")
    assert len(server.answers) == 40
    assert server.most_at_once <= 3
    came = sorted(request["at"] for request in server.requests)
    for first_place, begins in enumerate(came):
        for count, ends in enumerate(came[first_place:], start=1):
            # Only those that were at a place when the time began may come late.
            assert count <= (ends - begins) / 0.1 + 1 + 3


def test_a_killed_run_gives_its_places_back(home, make, provider, start) -> None:
    with simulated() as server:
        server.pause = 600
        asked = provider(server, parallel=1, timeout=600)
        first = start(asked, make(texts(4)).latest, [{"kind": "generate"}])
        process = child(first)
        deadline = time.monotonic() + 180
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()
        server.pause = 0
        assert len(server.requests) == 1  # one at a time, and it was under way
        for run in (start_again(first), first):
            assert (ended(run).state, run.problem) == ("succeeded", "")


def test_a_clock_that_was_set_back_holds_nobody_for_long(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pace, "AHEAD_MOST", 0.0)
    (tmp_path / "moment").write_bytes(struct.pack("=d", time.time() + 10**6))
    asyncio.run(asyncio.wait_for(pace.Pace(tmp_path, parallel=1, per_minute=60).turn(), 60))


def test_the_pace_of_a_provider_goes_with_it(make, people, provider, start) -> None:
    with simulated() as server:
        asked = provider(server)
        run = ended(start(asked, make(texts(2)).latest, [{"kind": "generate"}]))
    assert run.state == "succeeded"
    services.sweep()
    assert [folder.name for folder in paces_root().iterdir()] == [str(asked.pk)]
    services.provider_delete(asked.pk, by=people.member)
    services.sweep()
    assert list(paces_root().iterdir()) == []
