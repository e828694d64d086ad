"""A run whose answers are mostly of no use stops before it pays for all of them."""

import re

import pytest

from datasets import services
from tests.datasets.asking_run import ended, provider, rows_of, start, texts
from tests.datasets.model_server import simulated

__all__ = ["provider", "start"]
pytestmark = pytest.mark.django_db(transaction=True)


def steps() -> list[dict]:
    """One that asks about every row."""
    return [{"kind": "generate"}]


def chunk(prompt: str) -> int:
    """The number of the chunk that is asked about."""
    return int(re.search(r"chunk (\d+)", prompt)[1])


@pytest.mark.parametrize(
    ("finish_reason", "said"), [("length", "cut off at"), ("content_filter", "filter")]
)
def test_it_stops_and_somebody_may_have_it_go_on(
    people, make, provider, start, finish_reason, said
) -> None:
    with simulated() as server:
        server.finish_reason = lambda prompt: finish_reason if chunk(prompt) % 3 else "stop"
        run = ended(
            start(provider(server, parallel=6), make(texts(60)).latest, [{"kind": "generate"}])
        )
        assert (run.state, run.problem_code) == ("failed", "mostly_unusable"), run.problem
        assert said in run.problem
        assert 20 <= len(server.answers) <= 20 + 6
        assert run.spent["answers"] == len(server.answers)
        services.run_resume(run.pk, by=people.member)
        run = ended(run)
        assert (run.state, run.problem_code) == ("succeeded", "")
        assert max(server.keys.values()) == 1  # nothing was asked twice
        assert len(server.answers) == 60
        assert len(rows_of(run)) == 20 * 3


def test_half_of_them_are_no_reason_to_stop(make, provider, start) -> None:
    with simulated() as server:
        server.finish_reason = lambda prompt: "length" if chunk(prompt) % 2 else "stop"
        run = ended(
            start(provider(server, parallel=1), make(texts(40)).latest, [{"kind": "generate"}])
        )
        assert (run.state, len(rows_of(run))) == ("succeeded", 60)
