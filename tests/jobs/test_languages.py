"""A worker that speaks English, and readers who read Chinese or English."""

import html

import pytest
from django.urls import reverse
from django.utils.translation import override
from rest_framework.test import APIClient

from datasets.models import DatasetVersion
from jobs import services
from jobs.models import Job
from nodes.models import Workload
from nodes.services import node_cordon, schedule, workload_start, workload_stop
from tests.jobs.parts import begin, finish, newest, output
from tests.registry.parts import weights

ENGLISH, CHINESE = "en", "zh-hans"
WAITS = {
    ENGLISH: "here could run it, but takes no new work now.",
    CHINESE: "here 可以运行它，但现在不接新任务。",
}
FAILS = {
    ENGLISH: "The engine llamafactory is not installed on here.",
    CHINESE: "here 上没有安装引擎 llamafactory。",
}


@pytest.fixture
def read(client, people):
    """What the researcher's page says in a language."""
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()

    def page(address: str, language: str, **query: str) -> str:
        answer = client.get(address, query, headers={"accept-language": language})
        assert answer.status_code == 200
        return html.unescape(answer.content.decode())

    return page


@pytest.fixture
def ask(people):
    """What the API answers to the researcher in a language."""
    api = APIClient()
    api.force_authenticate(people.member)
    return lambda address, language: api.get(address, headers={"accept-language": language}).json()


@pytest.fixture
def waiting(people, submit, node) -> Job:
    """A job of a worker that speaks English, on a node that takes no work."""
    with override(ENGLISH):
        node_cordon(node.pk, cordoned=True, by=people.operator)
        return submit()


@pytest.fixture
def failed(people, waiting, node, home) -> Job:
    """The same, started where the engine is gone."""
    (home.parent / "engines" / "llamafactory" / "engine.json").unlink()
    with override(ENGLISH):
        node_cordon(node.pk, cordoned=False, by=people.operator)
        schedule()
        workload = newest(waiting).workload
        assert not workload_start(workload.pk, workload.epoch)
        services.workload_follow(workload.pk)
        job = Job.objects.get(pk=waiting.pk)
    assert (job.state, job.failure_line) == ("failed", FAILS[ENGLISH])
    return job


@pytest.mark.parametrize("language", [ENGLISH, CHINESE])
def test_why_it_waits(read, ask, waiting, node, language) -> None:
    wanted = WAITS[language]
    assert wanted in read(reverse("jobs:job_detail", args=[waiting.pk]), language)
    assert wanted in read(reverse("nodes:node_list"), language)
    assert ask(f"/api/v1/jobs/{waiting.pk}/", language)["queue"]["reason"] == wanted
    workload = ask(f"/api/v1/workloads/{newest(waiting).workload_id}/", language)
    assert (workload["reason"], workload["waits_because"]) == (wanted, wanted)


@pytest.mark.parametrize("language", [ENGLISH, CHINESE])
def test_why_it_failed(client, people, read, ask, failed, language) -> None:
    wanted = FAILS[language]
    page = reverse("jobs:job_detail", args=[failed.pk])
    assert wanted in read(page, language)
    assert wanted in read(page, language, tab="events")
    assert wanted in read(reverse("home"), language)
    row = ask(f"/api/v1/jobs/{failed.pk}/", language)
    assert (row["failure_line"], row["attempts"][0]["reason"]) == (wanted, wanted)
    events = ask(f"/api/v1/jobs/{failed.pk}/events/", language)
    assert [event["reason"] for event in events if event["new"] == "failed"] == [wanted]
    client.force_login(people.operator)
    assert wanted in read("/admin/accounts/event/", language)
    assert wanted in read(f"/admin/jobs/job/{failed.pk}/change/", language)


def test_what_somebody_typed_is_read_as_it_was_typed(submit, ask) -> None:
    typed = "100 % {done} %(user)s \x07 “quoted” \\n"
    job = submit()
    workload_stop(newest(job).workload_id, mode="kill", reason=typed)
    services.workload_follow(newest(job).workload_id)
    for language in (ENGLISH, CHINESE):
        row = ask(f"/api/v1/jobs/{job.pk}/", language)
        assert row["attempts"][0]["reason"] == typed
        assert typed in [
            event["reason"] for event in ask(f"/api/v1/jobs/{job.pk}/events/", language)
        ]


def test_who_asked_for_the_stop(people, submit, ask) -> None:
    job = submit()
    begin(job)
    with override(CHINESE):
        services.job_stop(job.pk, by=people.member)
    row = Workload.objects.get(pk=newest(job).workload_id)
    with override(ENGLISH):
        row.refresh_from_db()
        assert row.reason == "stop and keep by member"
    reason = ask(f"/api/v1/jobs/{job.pk}/", CHINESE)["attempts"][0]["reason"]
    assert "member" in reason and "stop" not in reason


@pytest.mark.parametrize("language", [ENGLISH, CHINESE])
def test_a_refusal_of_a_task(submit, ask, language) -> None:
    job = submit()
    begin(job)
    with override(ENGLISH):
        job = finish(job)  # it left no weights
    wanted = {ENGLISH: "The engine left no weights.", CHINESE: "引擎没有留下权重。"}[language]
    assert ask(f"/api/v1/jobs/{job.pk}/", language)["failure_line"] == wanted


def test_an_evaluation_afterwards_is_named_in_its_owners_language(people, data, submit) -> None:
    people.member.language = CHINESE
    people.member.save()
    job = submit(after_dataset_versions=[data.alpaca])
    begin(job)
    weights(output(job))
    with override(ENGLISH):
        finish(job)
    assert Job.objects.get(kind="evaluate").name == "a job 的评估"


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        (ENGLISH, "“alpaca v1” cannot be used here: it is broken"),
        (CHINESE, "“alpaca v1”不能用在这里：它处于“已损坏”"),
    ],
)
def test_a_refused_evaluation_afterwards(data, submit, ask, language, wanted) -> None:
    job = submit(after_dataset_versions=[data.alpaca])
    begin(job)
    weights(output(job))
    DatasetVersion.objects.filter(pk=data.alpaca.pk).update(state="broken")
    with override(ENGLISH):
        finish(job)
    events = ask(f"/api/v1/jobs/{job.pk}/events/", language)
    assert wanted in [event["reason"] for event in events]


def test_what_was_foreseen(submit, ask) -> None:
    with override(ENGLISH):
        job = submit()
    english, chinese = (
        [label for label, _size in ask(f"/api/v1/jobs/{job.pk}/", language)["estimate"]["memory"]]
        for language in (ENGLISH, CHINESE)
    )
    assert len(english) == len(chinese) > 1
    assert all(label.isascii() for label in english)
    assert not any(label.isascii() for label in chinese)
