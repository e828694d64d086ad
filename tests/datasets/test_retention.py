"""Rules by which versions go that nothing needs: real files, and a clock that is told the time."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Event
from accounts.texts import event_sentence
from common.errors import DomainError
from config.lineage.asking import Wish, answer
from config.lineage.graph import Kind, key_of
from datasets import services
from datasets.models import Dataset, DatasetVersion, RemovedVersion, RetentionRule
from jobs.models import Job
from registry.models import Evaluation, Model, ModelVersion
from tests.datasets.conftest import GOOD, upload

NOW = timezone.now()
LATER = NOW + services.NOTICE + timedelta(hours=1)


@pytest.fixture
def grown(people, make) -> Dataset:
    """Four uploaded versions."""
    dataset = make()
    for count in (3, 4, 5):
        services.version_add(dataset.pk, by=people.owner, upload=upload(GOOD[:count]))
    return dataset


def rule(people, keep_newest=1, unused_days=None) -> None:
    services.retention_set(
        people.team, by=people.owner, keep_newest=keep_newest, unused_days=unused_days
    )


def due(people, now=NOW) -> list[int]:
    return [version.number for version in services.retention_due(people.team, now=now)]


def test_everything_is_kept_unless_somebody_says_so(people, grown, settings):
    assert due(people, NOW + timedelta(days=9999)) == []
    assert services.retention_sweep(now=LATER) == 0
    assert grown.versions.count() == 4
    settings.RETENTION_KEEP_NEWEST = 3  # the operators' default
    assert due(people) == [1]
    rule(people, None, None)  # the project's own word
    assert due(people) == []


def test_what_goes_is_told_before_and_gives_back_its_room(
    people, grown, django_capture_on_commit_callbacks
):
    rule(people, 2)
    assert due(people) == [1, 2]
    before = services.storage_used(people.team)
    doomed = list(grown.versions.filter(number__lte=2))
    assert services.retention_sweep(now=NOW) == 0
    told = [event_sentence(one) for one in Event.objects.of(grown)]
    assert "v1 goes in 7 days: nothing needs it" in told
    assert services.retention_sweep(now=NOW + services.NOTICE - timedelta(hours=1)) == 0
    assert grown.versions.count() == 4
    assert all(version.original.exists() for version in doomed)
    with django_capture_on_commit_callbacks(execute=True):
        assert services.retention_sweep(now=LATER) == 2
    assert sorted(grown.versions.values_list("number", flat=True)) == [3, 4]
    assert not any(version.directory.exists() for version in doomed)
    gone = sum(version.stored_bytes for version in doomed)
    assert services.storage_used(people.team) == before - gone
    assert services.retention_sweep(now=LATER) == 0  # again: nothing more


def test_notice_is_taken_back_when_the_version_is_needed_again(people, grown):
    rule(people, 3)
    services.retention_sweep(now=NOW)
    first = grown.versions.get(number=1)
    assert first.goes_at is not None
    job = Job.objects.create(project=people.team, name="j", kind="train", model_version=_base())
    job.datasets.create(dataset_version=first)
    assert services.retention_sweep(now=LATER) == 0
    first.refresh_from_db()
    assert first.goes_at is None
    RetentionRule.objects.all().delete()
    DatasetVersion.objects.filter(number=2).update(goes_at=NOW)
    assert services.retention_sweep(now=LATER) == 0
    assert not DatasetVersion.objects.exclude(goes_at=None).exists()


def _base() -> ModelVersion:
    return ModelVersion.objects.create(
        model=Model.objects.create(name="Tiny"), kind="base", source="local"
    )


def test_what_others_need_stays(people, grown):
    rule(people)
    assert due(people) == [1, 2, 3]
    base = _base()
    first, second, third = (grown.versions.get(number=n) for n in (1, 2, 3))
    Evaluation.objects.create(
        project=people.team, version=base, dataset_version_id=first.pk, dataset_label="x",
        predictions_path="x",
    )  # fmt: skip
    assert due(people) == [2, 3]
    learnt = {"job": str(first.pk), "datasets": [{"id": str(second.pk), "label": "data v2"}]}
    ModelVersion.objects.create(model=base.model, number=2, kind="full", source="job", facts=learnt)
    assert due(people) == [3]  # the job is gone, what it made is not
    mixed = [{"kind": "mix", "parameters": {"versions": [{"version": str(third.pk), "weight": 1}]}}]
    recipe = services.recipe_create(
        project=people.team, created_by=people.member, name="mix", steps=mixed
    )
    assert due(people) == []
    services.recipe_delete(recipe.pk, by=people.member)
    assert due(people) == [3]
    services.version_keep(third.pk, by=people.member, kept=True)
    assert due(people) == []


def test_what_stays_can_be_made_again(people, grown):
    """A version from the first one stays, so the first stays; its mixture's input, too."""
    first, second = (grown.versions.get(number=n) for n in (1, 2))
    steps = [
        {"kind": "mix", "parameters": {"versions": [{"version": str(second.pk), "weight": 1}]}}
    ]
    recipe = services.recipe_create(
        project=people.team, created_by=people.member, name="mix", steps=steps
    )
    run = services.run_create(recipe.pk, by=people.member, version_id=first.pk, name="new")
    rule(people)
    assert due(people) == [3]  # while it runs
    assert services.run_execute(run.pk)
    services.recipe_delete(recipe.pk, by=people.member)
    assert due(people) == [3]
    Dataset.objects.get(name="new").delete()
    assert due(people) == [1, 2, 3]


def test_unused_for_days(people, grown):
    rule(people, None, 30)
    assert due(people) == []
    assert due(people, NOW + timedelta(days=31)) == [1, 2, 3]  # never the newest
    rule(people, 3, 30)
    assert due(people, NOW + timedelta(days=31)) == [1]
    recipe = services.recipe_create(
        project=people.team, created_by=people.member, name="r", steps=[{"kind": "clean"}]
    )
    first = grown.versions.get(number=1)
    run = services.run_create(recipe.pk, by=people.member, version_id=first.pk)
    services.run_cancel(run.pk, by=people.member)
    type(run).objects.update(created_at=NOW + timedelta(days=20))
    assert due(people, NOW + timedelta(days=31)) == []
    assert due(people, NOW + timedelta(days=51)) == [1]


def test_one_sweep_takes_so_many_and_the_next_goes_on(people, grown, monkeypatch):
    monkeypatch.setattr("datasets.services.retention.AT_ONCE", 2)
    rule(people)
    services.retention_sweep(now=NOW)
    assert [services.retention_sweep(now=LATER) for _ in range(3)] == [2, 1, 0]
    assert grown.versions.get().number == 4


def test_the_lineage_of_what_is_gone_remains(people, grown):
    recipe = services.recipe_create(
        project=people.team, created_by=people.member, name="tidy", steps=[{"kind": "clean"}]
    )
    first = grown.versions.get(number=1)
    run = services.run_create(recipe.pk, by=people.member, version_id=first.pk, name="new")
    assert services.run_execute(run.pk)
    services.version_delete(first.pk, by=people.owner)
    assert RemovedVersion.objects.get().runs == [str(run.pk)]
    graph = answer(people.team, people.viewer, Wish()).graph
    key = key_of(Kind.DATA, first.pk)
    assert (graph.nodes[key].title, graph.nodes[key].is_gone) == ("data v1", True)
    assert [edge.target for edge in graph.edges if edge.source == key] == [key_of(Kind.RUN, run.pk)]


def test_who_changes_the_rule(client, people, grown):
    for person in (people.member, people.viewer, people.stranger):
        with pytest.raises(DomainError):
            services.retention_set(people.team, by=person, keep_newest=1, unused_days=None)
    with pytest.raises(DomainError):
        rule(people, 0)
    client.force_login(people.owner)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    page = reverse("datasets:retention")
    assert "Everything is kept" in client.get(page).content.decode()
    assert client.post(page, {"keep_newest": "0"}).status_code == 422
    assert client.post(page, {"keep_newest": "2"}).status_code == 302
    shown = client.get(page)
    assert [version.number for version in shown.context["due"]] == [1, 2]
    assert grown.versions.count() == 4  # looking removes nothing
    assert client.post(page, {"reset": "1"}).status_code == 302
    assert not RetentionRule.objects.exists()


def test_over_the_api_and_on_the_page_of_versions(client, people, grown):
    client.force_login(people.owner)
    api = f"/api/v1/projects/{people.team.pk}/retention/"
    body = {"keep_newest": 3, "unused_days": None}
    found = client.put(api, body, content_type="application/json").json()
    assert (found["is_own"], found["due_count"], found["due"][0]["name"]) == (True, 1, "data v1")
    services.retention_sweep(now=NOW)
    first = grown.versions.get(number=1)
    rows = reverse("datasets:version_rows", args=[grown.pk, first.pk])
    assert "Nothing needs version 1" in client.get(rows).content.decode()
    keep = reverse("datasets:version_keep", args=[grown.pk, first.pk])
    assert client.post(keep, {"kept": "1"}).status_code == 302
    page = client.get(reverse("datasets:version_list", args=[grown.pk])).content.decode()
    assert "pinned" in page
    assert client.get(api).json()["due_count"] == 0
    at = f"/api/v1/datasets/{grown.pk}/versions/{first.pk}/keep/"
    assert not client.post(at, {"kept": False}, content_type="application/json").json()["is_kept"]
    assert client.delete(api).status_code == 204
    assert not client.get(api).json()["is_own"]
