"""Recipes that ask models: against a simulated server that fails at random, through kills."""

import signal
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal

import pytest
from django.conf import settings
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import Event
from common.errors import Conflict, DomainError
from datasets import services
from datasets.generation.asking import Limits
from datasets.models import DatasetVersion, RecipeRun
from datasets.services import runlog
from tests.datasets import children
from tests.datasets.asking_run import ended, provider, rows_of, start, texts
from tests.datasets.model_server import KEY, pairs, simulated

__all__ = ["provider", "start"]
pytestmark = pytest.mark.django_db(transaction=True)
ALL = ["none"] * 5 + ["429", "500", "cut", "nonsense"]


def usable(server) -> Counter:
    """How often each chunk has an answer that can be read and was charged."""
    found = Counter()
    for text in server.answers.values():
        if "```json" in text:
            found[text.split(" of ")[1].split("?")[0]] += 1
    return found


def test_every_chunk_is_answered_once_whatever_fails(make, provider, start) -> None:
    with simulated(troubles=ALL) as server:
        run = ended(start(provider(server), make(texts(40)).latest, [{"kind": "generate"}]))
        assert (run.state, run.problem) == ("succeeded", "")
        rows = rows_of(run)
        assert [row["instruction"] for row in rows] == [
            f"q{n} of chunk {chunk}?" for chunk in range(40) for n in range(3)
        ]
        assert rows[4]["origin"] == "pairs: 2"
        assert usable(server) == {f"chunk {n}": 1 for n in range(40)}
        assert run.spent["answers"] == len(server.answers)
        tokens = run.spent["tokens_in"] + run.spent["tokens_out"]
        assert tokens - run.spent["cut_off_tokens"] == (100 + 50) * len(server.answers)
        cost = Decimal(100 * 10 + 50 * 20) * len(server.answers) / 10**6
        assert Decimal(run.spent["cost"]) - Decimal(run.spent["cut_off_cost"]) == cost
        assert run.spent["cut_off"] == server.halves > 0
        assert (run.cost, run.currency) == (Decimal(run.spent["cost"]), "CNY")
        assert 1 < server.most_at_once <= 6
        assert max(server.keys.values()) > 1  # something was asked again
        said = " ".join(line["text"] for line in runlog.log_lines(run.log))
        assert "HTTP 429" in said
        assert "cut off" in said
        assert not run.directory.exists()
        made = DatasetVersion.objects.get(run=run)
        assert made.shape == "alpaca"


def test_a_server_that_hangs_is_asked_again(make, provider, start) -> None:
    with simulated(troubles=["none", "none", "hang"]) as server:
        asked = provider(server, timeout=1)
        run = ended(start(asked, make(texts(9)).latest, [{"kind": "generate"}]))
        assert run.state == "succeeded", run.problem
        assert usable(server) == {f"chunk {n}": 1 for n in range(9)}
        assert any("within 1 s" in line["text"] for line in runlog.log_lines(run.log))


RUN = """
import sys
import django
django.setup()
from datasets import services
services.run_execute(sys.argv[1])
"""


def child(run: RecipeRun) -> subprocess.Popen:
    """A process of its own that works at the run."""
    environment = children.environment() | {"TRAINER_SECRET_KEY": settings.SECRET_KEY}
    return subprocess.Popen([sys.executable, "-c", RUN, str(run.pk)], env=environment)


def test_a_killed_run_goes_on_and_pays_nothing_twice(home, make, provider, start) -> None:
    """kill -9 twice in the middle, while the server fails at random."""
    with simulated(troubles=ALL) as server:
        server.pause = 0.02
        run = start(provider(server), make(texts(60)).latest, [{"kind": "generate"}])
        for share in (15, 35):
            process = child(run)
            deadline = time.monotonic() + 180
            while len(server.answers) < share and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert run.journal.exists()
            services.sweep()  # leaves the folder alone: the run has not ended
        before = Counter(server.keys)
        charged = dict(server.answers)
        kept = journal_keys(run)
        assert kept
        process = child(run)
        assert process.wait(180) == 0
        run.refresh_from_db()
        assert (run.state, run.problem) == ("succeeded", "")
        assert usable(server) == {f"chunk {n}": 1 for n in range(60)}  # once, none lost
        assert not any(server.keys[key] > before[key] for key in kept)  # not even asked again
        assert all(server.answers[key] == text for key, text in charged.items())
        assert run.spent["answers"] == len(server.answers)  # each charge is counted once
        assert [row["instruction"] for row in rows_of(run)] == [
            f"q{n} of chunk {chunk}?" for chunk in range(60) for n in range(3)
        ]
        assert any("answers of before" in line["text"] for line in runlog.log_lines(run.log))


def journal_keys(run: RecipeRun) -> set[str]:
    import sqlite3

    with sqlite3.connect(run.journal) as base:
        return {key for (key,) in base.execute("SELECT key FROM answers")}


def test_the_limit_ends_the_run_which_goes_on_without_paying_twice(
    people, make, provider, start
) -> None:
    with simulated() as server:
        limits = Limits(cost=Decimal("0.04"))
        steps = [{"kind": "generate", "parameters": {"max_tokens": 100}}]
        run = ended(start(provider(server), make(texts(30)).latest, steps, limits))
        assert run.state == "failed"
        assert "raise the limit" in run.problem
        assert 0 < run.cost <= limits.cost
        first = len(server.answers)
        assert 0 < first < 30
        assert run.can_resume
        services.sweep()
        assert run.journal.exists()
        with pytest.raises(RecipeRun.DoesNotExist):
            services.run_resume(run.pk, by=people.viewer)
        services.run_resume(run.pk, by=people.member, limits=Limits(tokens=10**6))
        run = ended(run)
        assert (run.state, run.problem) == ("succeeded", "")
        assert max(server.keys.values()) == 1  # nothing was asked twice
        assert len(server.answers) == 30
        assert run.cost == Decimal("0.06")
        assert not run.directory.exists()
        with pytest.raises(Conflict):
            services.run_resume(run.pk, by=people.member)


def test_a_limit_of_tokens_and_estimated_usage(make, provider, start) -> None:
    with simulated() as server:
        server.usage = False
        steps = [{"kind": "generate", "parameters": {"max_tokens": 64}}]
        run = start(provider(server), make(texts(20)).latest, steps, Limits(tokens=2000))
        run = ended(run)
        assert run.state == "failed"
        assert run.spent["estimated"] == run.spent["answers"] > 0
        assert run.spent["tokens_in"] + run.spent["tokens_out"] <= 2000


@pytest.mark.parametrize(
    ("status", "words"), [(401, "refuses the key"), (404, "cannot be asked"), (402, "Top up")]
)
def test_a_wrong_key_or_place_ends_the_run_at_once(make, provider, start, status, words) -> None:
    with simulated() as server:
        server.status, server.said = status, f"bad key {KEY}"
        run = ended(start(provider(server), make(texts(50)).latest, [{"kind": "generate"}]))
        assert run.state == "failed"
        assert words in run.problem
        assert len(server.requests) <= 12  # those under way
        assert KEY not in run.problem


def test_refused_questions_drop_rows_until_all_are_refused(make, provider, start) -> None:
    with simulated() as server:
        server.status, server.said = 400, f"no such parameter {KEY}"
        run = ended(start(provider(server), make(texts(50)).latest, [{"kind": "generate"}]))
        assert run.state == "failed"
        assert "one question after the other" in run.problem
        assert "no such parameter …" in run.problem


def test_rows_whose_answers_cannot_be_read_are_counted(make, provider, start) -> None:
    def answer(prompt: str) -> str:
        return "no" if "chunk 3" in prompt else '[{"question": "q", "answer": "a"}]'

    with simulated(answer) as server:
        run = ended(start(provider(server), make(texts(6)).latest, [{"kind": "generate"}]))
        assert run.state == "succeeded", run.problem
        assert run.report[0]["dropped"] == {"unreadable": 1}
        assert len(rows_of(run)) == 5
        assert len(server.answers) == 5 + 3  # three tries of the one, each with a key of its own


def test_judged_rows_are_dropped_below_the_least_score(make, provider, start) -> None:
    def answer(prompt: str) -> str:
        number = int(prompt.split("chunk ")[1].split(".")[0])
        return f'I think {{"score": {1 + number % 5}, "reason": "because {number}"}}'

    with simulated(answer) as server:
        steps = [{"kind": "judge", "parameters": {"least": 4, "criteria": "Be strict."}}]
        run = ended(start(provider(server), make(texts(10)).latest, steps))
        assert run.state == "succeeded", run.problem
        assert [(row["score"], row["score_reason"]) for row in rows_of(run)] == [
            (4, "because 3"), (5, "because 4"), (4, "because 8"), (5, "because 9"),
        ]  # fmt: skip
        assert run.report[0]["dropped"] == {"poor": 6}
        assert run.report[0]["found"]["score_1"] == 2
        assert "Be strict." in server.requests[0]["messages"][1]["content"]


def test_the_key_is_nowhere_but_sealed(home, caplog, capfd, make, provider, start) -> None:
    """Every file that was written, every row, and everything printed is looked through."""
    with simulated(troubles=ALL) as server:
        asked = provider(server)
        run = ended(start(asked, make(texts(8)).latest, [{"kind": "generate"}]))
        assert run.state == "succeeded", run.problem
        server.status, server.said = 401, f"Incorrect API key provided: {KEY}"
        with pytest.raises(DomainError) as refused:
            services.provider_test(asked.pk, by=asked.created_by)
        assert KEY not in refused.value.message
        failed = ended(start_again(run))
        assert failed.state == "failed"
        assert failed.journal.exists()
    assert {request["auth"] for request in server.requests} == {f"Bearer {KEY}"}
    for path in home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert KEY not in repr(cursor.fetchall()), table
    assert Event.objects.filter(subject_id=asked.pk).exists()
    assert KEY not in caplog.text
    assert KEY not in "".join(capfd.readouterr())


def start_again(run: RecipeRun) -> RecipeRun:
    return services.run_create(
        run.recipe_id, by=run.created_by, version_id=run.source_id, name="again"
    )


def test_a_cancelled_run_ends_and_keeps_nothing(people, home, make, provider, start) -> None:
    with simulated() as server:
        server.pause = 0.3
        run = start(provider(server, parallel=1), make(texts(500)).latest, [{"kind": "generate"}])
        process = child(run)
        deadline = time.monotonic() + 180
        while not server.answers and time.monotonic() < deadline:
            time.sleep(0.01)
        services.run_cancel(run.pk, by=people.member)
        assert process.wait(180) == 0
        assert len(server.answers) < 100
        run.refresh_from_db()
        assert run.state == "cancelled"
        assert not run.directory.exists()


def test_a_preview_asks_about_three_rows_at_most(people, make, provider, start) -> None:
    with simulated() as server:
        asked = provider(server)
        version = make(texts(20)).latest
        steps = [{"kind": "clean"}, {"kind": "generate"}]
        run = start(asked, version, steps)
        plain = services.recipe_preview(run.steps, version, by=people.member, seed=1)
        assert not server.requests
        assert [outcome.kind for outcome in plain.outcomes] == ["clean"]
        found, spent = services.recipe_ask(run.steps, version, by=people.member, seed=1)
        assert len(server.requests) == 3
        assert found.added == 9
        assert (spent.answers, spent.tokens_in) == (3, 300)
        server.status = 401
        with pytest.raises(DomainError):
            services.recipe_ask(run.steps, version, by=people.member, seed=1)


def test_runs_that_ask_wait_in_a_queue_of_their_own(people, make, provider, start) -> None:
    with simulated() as server:
        version = make(texts(3)).latest
        first = start(provider(server), version, [{"kind": "generate"}])
        second = start_again(first)
        assert (first.place, second.place, first.asks_models) == (1, 2, True)
        services.runs_run(first.pk)
        for run in (first, second):
            run.refresh_from_db()
        assert (first.state, second.state) == ("succeeded", "succeeded")
        assert len(server.answers) == 6  # a run's answers are its own


def test_a_failed_run_goes_on_from_its_page(client, people, make, provider, start) -> None:
    with simulated(troubles=["none", "500"]) as server:
        steps = [{"kind": "generate", "parameters": {"max_tokens": 100}}]
        limits = Limits(cost=Decimal("0.01"))
        run = ended(start(provider(server), make(texts(8)).latest, steps, limits))
        client.force_login(people.viewer)
        url = reverse("datasets:run_detail", args=[run.pk])
        resume = reverse("datasets:run_resume", args=[run.pk])
        page = client.get(url).content.decode()
        assert "raise the limit" in page
        assert "HTTP 500" in page  # the log
        assert "Go on with the run" not in page
        assert client.post(resume).status_code == 404
        client.force_login(people.member)
        assert "Go on with the run" in client.get(url).content.decode()
        wrong = client.post(resume, {"max_cost": "0"})
        assert wrong.status_code == 422
        assert "more than 0" in wrong.content.decode()
        assert client.post(resume, {"max_cost": "5"}).status_code == 302
        assert "Waits for a worker" in client.get(url).content.decode()
        run = ended(run)
        assert run.state == "succeeded", run.problem
        assert "0.0160 CNY" in client.get(url).content.decode()
        listed = reverse("datasets:recipe_detail", args=[run.recipe_id])
        assert "0.0160 CNY" in client.get(listed).content.decode()
        api = APIClient()
        api.force_authenticate(people.member)
        row = api.get(f"/api/v1/recipe-runs/{run.pk}/").json()
        assert row["spent"]["cut_off"] == 0
        assert (row["spent"]["answers"], row["asks_models"], row["max_cost"]) == (8, True, "5.00")
        assert row["log"][0]["text"] == "24 rows are made."
        assert api.post(f"/api/v1/recipe-runs/{run.pk}/resume/").status_code == 409
        body = {"version": str(run.source_id), "name": "over the API", "max_tokens": 10}
        started = api.post(f"/api/v1/recipes/{run.recipe_id}/run/", body, format="json")
        assert started.json()["max_tokens"] == 10
        asked = api.post(f"/api/v1/recipes/{run.recipe_id}/ask/", body, format="json")
        assert asked.json()["spent"]["answers"] == 3
        assert len(asked.json()["rows"]) == 3 + 9


def test_the_page_tells_what_was_spent_on_answers_that_were_cut_off(
    client, people, make, provider, start
) -> None:
    with simulated(troubles=["none", "cut"]) as server:
        run = ended(start(provider(server), make(texts(12)).latest, [{"kind": "generate"}]))
        assert run.state == "succeeded", run.problem
        assert run.spent["cut_off"] == server.halves > 0
    client.force_login(people.viewer)
    page = client.get(reverse("datasets:run_detail", args=[run.pk])).content.decode()
    assert f"including about {run.spent['cut_off_tokens']:,} tokens for answers" in page
    assert '(<span class="num">0.0' in page


def test_an_api_that_takes_other_parameters_is_asked_and_the_log_says_so(
    make, provider, start
) -> None:
    def objection(body: dict) -> str:
        names = [name for name in ("max_tokens", "temperature") if name in body]
        return f"Unsupported parameters: {', '.join(names)}" if names else ""

    with simulated() as server:
        server.objection = objection
        server.answer = lambda prompt: "OK" if "OK" in prompt else pairs(prompt)
        asked = provider(server)
        assert services.provider_test(asked.pk, by=asked.created_by).text == "OK"
        run = ended(start(asked, make(texts(20)).latest, [{"kind": "generate"}]))
        assert (run.state, run.report[0]["dropped"]) == ("succeeded", {})
        assert (run.spent["answers"], run.spent["cut_off"]) == (20, 0)
        said = [line["text"] for line in runlog.log_lines(run.log)]
        assert len([line for line in said if "does not take" in line]) == 2
        assert not any("Asked again" in line for line in said)
