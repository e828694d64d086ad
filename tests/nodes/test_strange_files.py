"""A workload's files: what it reads lies inside, and what it writes ends it and nothing else."""

import asyncio
import json
import os

import pytest
from django.db import DataError

from common.errors import DomainError
from nodes.models import Workload
from nodes.runners import Exit
from nodes.services import follow
from nodes.staging.carried import read_piece
from tests.nodes.conftest import (
    followed,
    process_facts,
    running,
    start,
    until,
)

pytestmark = pytest.mark.django_db(transaction=True)
State, Outcome = Workload.State, Workload.Outcome
LONG = {"steps": 1000, "seconds": 0.02}
NOTHING = Exit(code=None, signal=None, started_at=0, ended_at=0)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"code": 10**30, "signal": 10**30},
        {"code": "0", "signal": [9]},
        {"code": -1, "signal": float("nan")},
        {"started_at": "x", "ended_at": "y", "max_rss_bytes": "a"},
        {"started_at": 10**400, "ended_at": float("inf"), "max_rss_bytes": -1},
        {"started_at": 1e12, "max_rss_bytes": 10**30, "code": True},
    ],
)
def test_facts_of_an_exit_that_cannot_be(facts) -> None:
    assert Exit.read(facts) == NOTHING


@pytest.mark.parametrize(
    ("written", "outcome"),
    [
        ('{"code": ' + "9" * 30 + "}", Outcome.ERROR),
        ('{"code": 1, "started_at": "x", "max_rss_bytes": "a"}', Outcome.ERROR),
        ('{"code": 0, "started_at": -1, "ended_at": NaN}', Outcome.OK),
        ("[" * 100_000, Outcome.LOST),
    ],
)
def test_an_exit_file_that_the_workload_wrote(agent, submit, written, outcome) -> None:
    workload = start(submit({}))
    path = workload.facts_path("exit")
    until(path.exists)
    path.write_text(written)
    assert followed(agent, workload).outcome == outcome


def test_an_error_line_that_no_database_keeps(agent, submit) -> None:
    facts = {"class": "user_data", "message": "a\0b\ud800", "more": [{"\0": float("nan")}, 10**400]}
    code = f"print('trainer-error: ' + {json.dumps(facts)!r}); import sys; sys.exit(1)"
    workload = followed(agent, start(submit({"code": code})))
    assert (workload.outcome, workload.reason) == (Outcome.ERROR, "ab?")
    kept = {"class": "user_data", "message": "ab?", "more": [{"": None}, None]}
    assert workload.end_facts["error"] == kept


def test_a_result_that_no_database_keeps(agent, submit) -> None:
    result = json.dumps({"epoch": 1, "status": "fin\0ished\udc00"})
    code = f"open('result-1.json', 'w').write({result!r}); os._exit(0)"
    workload = followed(agent, start(submit({"code": code})))
    assert (workload.outcome, workload.end_facts["result"]) == (Outcome.ERROR, "finished?")


def test_one_that_cannot_be_followed_does_not_hold_the_others(agent, submit, caplog) -> None:
    strange = start(submit(LONG, cpus=0.1))
    running(strange)
    path = strange.facts_path("process")
    facts = path.read_text()
    path.write_text(json.dumps({**process_facts(strange), "pid": "x"}))
    agent.followed.clear()
    assert followed(agent, start(submit({}, cpus=0.1))).outcome == "ok"
    assert caplog.text.count(f"workload {strange.pk} cannot be followed") == 1
    strange.refresh_from_db()
    assert strange.state == State.RUNNING
    path.write_text(facts)


def test_what_the_database_refuses_is_not_repeated_at_once(agent, caplog) -> None:
    """It is no outage: the step is given up, and the next round comes in its time."""
    tried = []

    def step() -> None:
        tried.append(1)
        raise (DataError("integer out of range") if len(tried) < 3 else KeyError)

    with pytest.raises(DataError):
        asyncio.run(agent._patiently(step))
    with pytest.raises(KeyError):
        asyncio.run(agent._every(0.01, step))
    assert len(tried) == 3
    assert "integer out of range" in caplog.text


def test_a_pipe_in_the_place_of_a_file_holds_no_reader(tmp_path) -> None:
    os.mkfifo(tmp_path / "metrics.jsonl")
    assert read_piece(tmp_path / "metrics.jsonl", 0, 100) == b""
    assert read_piece(tmp_path, 0, 100) == b""


@pytest.mark.parametrize("path", ["../outside", "/etc", "data/../../x"])
def test_inputs_stay_inside(submit, path) -> None:
    with pytest.raises(DomainError):
        submit({}, inputs={"model": path})


def test_an_input_that_is_a_link_outwards_is_refused(agent, submit, home, tmp_path) -> None:
    (home / "data" / "way_out").mkdir()
    workload = submit({}, inputs={"data": "data/way_out"})
    (home / "data" / "way_out").rmdir()
    (home / "data" / "way_out").symlink_to(tmp_path)
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert (workload.outcome, workload.state) == (Outcome.ERROR, State.ENDED)


def test_inputs_are_linked(agent, submit, home) -> None:
    (home / "models" / "tiny").mkdir()
    workload = start(submit({}, inputs={"model": "models/tiny", "base": "hub:some/model"}))
    assert (workload.directory / "inputs" / "model").resolve() == home / "models" / "tiny"
    assert not (workload.directory / "inputs" / "base").exists()
    followed(agent, workload)
