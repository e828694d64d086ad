"""Datasets that other people and projects may read and use, and what becomes of it."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Event, Membership, Project, Role
from accounts.services import project_contents_of
from accounts.texts import event_sentence
from common.errors import Conflict, DomainError
from datasets import services
from datasets.models import Dataset, DatasetShare, DatasetVersion, RecipeRun
from jobs.models import Job
from jobs.services import draft_check
from jobs.services.drafts import Draft
from registry.models import Model, ModelVersion


@pytest.fixture
def shared(people, make) -> Dataset:
    """A dataset of the team that `stranger` may read."""
    dataset = make()
    services.share_create(dataset.pk, by=people.member, user="Stranger")
    return dataset


@pytest.fixture
def base(db) -> ModelVersion:
    model = Model.objects.create(name="Tiny")
    return ModelVersion.objects.create(
        model=model, kind="base", source="local", path="models/tiny", template="default"
    )


def job_of(person, dataset: Dataset, base: ModelVersion, name: str) -> Job:
    job = Job.objects.create(
        project=person.personal_project, name=name, kind="train", model_version=base
    )
    job.datasets.create(dataset_version=dataset.latest)
    return job


def test_a_person_sees_what_is_shared_by_name(people, shared, make):
    hidden = make(name="hidden")
    seen = Dataset.objects.visible_to(people.stranger)
    assert list(seen) == [shared]
    assert hidden not in seen
    assert list(DatasetVersion.objects.visible_to(people.stranger)) == [shared.latest]
    assert not Dataset.objects.editable_by(people.stranger).exists()
    assert not Dataset.objects.visible_to(people.developer).filter(pk=hidden.pk, name="x").exists()
    people.stranger.is_active = False
    assert not Dataset.objects.visible_to(people.stranger).exists()


def test_the_members_of_a_project_see_what_is_shared_with_it(people, make):
    dataset = make()
    other = Project.objects.create(name="other")
    services.share_create(dataset.pk, by=people.member, project=str(other.pk))
    assert not Dataset.objects.visible_to(people.stranger).exists()
    Membership.objects.create(project=other, user=people.stranger, role=Role.VIEWER)
    services.share_create(dataset.pk, by=people.member, user="stranger")  # both ways
    assert list(Dataset.objects.visible_to(people.stranger)) == [dataset]  # and only once
    assert list(Dataset.objects.shared_with(people.stranger)) == [dataset]


def test_a_deleted_project_shares_nothing(people, shared):
    from accounts.services import project_delete

    project_delete(people.team.pk, name="team", by=people.owner)
    assert not Dataset.objects.visible_to(people.stranger).exists()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"user": "nobody"}, "user_unknown"),
        ({"user": "strang"}, "user_unknown"),  # no part of a name finds anybody
        ({"project": "team"}, "project_unknown"),
        ({"project": "00000000-0000-0000-0000-000000000000"}, "project_unknown"),
        ({}, "receiver"),
        ({"user": "viewer"}, "shared_already"),  # a member
    ],
)
def test_who_cannot_be_let_in(people, make, given, code):
    dataset = make()
    with pytest.raises(DomainError) as refused:
        services.share_create(dataset.pk, by=people.member, **given)
    assert refused.value.code == code
    assert not DatasetShare.objects.exists()


def test_nobody_shares_twice_or_what_is_not_theirs(people, shared, make):
    with pytest.raises(Conflict):
        services.share_create(shared.pk, by=people.member, user="stranger@example.org")
    for person in (people.stranger, people.viewer, people.developer):
        with pytest.raises(Dataset.DoesNotExist):
            services.share_create(shared.pk, by=person, user="operator")
    share = shared.shares.get()
    with pytest.raises(DatasetShare.DoesNotExist):
        services.share_delete(share.pk, by=people.stranger)
    with pytest.raises(IntegrityError), transaction.atomic():
        DatasetShare.objects.create(dataset=shared)


def test_the_receiver_makes_things_in_an_own_project(people, shared, base):
    recipe = services.recipe_create(
        project=people.stranger.personal_project, created_by=people.stranger, name="own",
        steps=[{"kind": "clean"}],
    )  # fmt: skip
    version = shared.latest
    with pytest.raises(DomainError):  # not into the dataset itself
        services.run_create(recipe.pk, by=people.stranger, version_id=version.pk)
    run = services.run_create(recipe.pk, by=people.stranger, version_id=version.pk, name="mine")
    assert services.run_execute(run.pk)
    made = DatasetVersion.objects.get(run=run)
    assert made.dataset.project == people.stranger.personal_project
    assert made.parent == version
    assert not Dataset.objects.visible_to(people.owner).filter(pk=made.dataset_id).exists()


def test_taken_back_nothing_new_begins_and_what_was_begun_goes_on(people, shared, base):
    project, version = people.stranger.personal_project, shared.latest
    draft = Draft(
        project=project, kind="train", model_version=base, name="late", dataset_versions=(version,),
        stage="sft",
    )  # fmt: skip
    draft_check(draft, by=people.stranger)
    steps = [
        {"kind": "mix", "parameters": {"versions": [{"version": str(version.pk), "weight": 1}]}}
    ]
    recipe = services.recipe_create(
        project=project, created_by=people.stranger, name="own", steps=steps
    )
    running = services.run_create(recipe.pk, by=people.stranger, version_id=version.pk, name="mine")
    services.share_delete(shared.shares.get().pk, by=people.owner)
    assert not Dataset.objects.visible_to(people.stranger).exists()
    with pytest.raises(DomainError) as refused:
        draft_check(draft, by=people.stranger)
    assert "no longer shared" in refused.value.message
    with pytest.raises(DatasetVersion.DoesNotExist):
        services.run_create(recipe.pk, by=people.stranger, version_id=version.pk, name="later")
    assert services.run_execute(running.pk)
    running.refresh_from_db()
    assert running.state == RecipeRun.State.SUCCEEDED


def test_data_in_use_elsewhere_stays_without_saying_by_whom(people, shared, base, make):
    job_of(people.stranger, shared, base, "private plan")
    for remove, which in (
        (services.dataset_delete, shared.pk),
        (services.version_delete, _second(shared, make).pk),
    ):
        with pytest.raises(Conflict) as refused:
            remove(which, by=people.owner)
        assert "private plan" not in refused.value.message
        assert refused.value.message.startswith("1 job of a project that you do not see")
        assert refused.value.data == {"jobs": []}
    with pytest.raises(Conflict) as refused:
        services.dataset_delete(shared.pk, by=people.operator)
    assert "private plan" in refused.value.message


def _second(dataset: Dataset, make) -> DatasetVersion:
    """The first version, which now is not the only one."""
    first = dataset.latest
    DatasetVersion.objects.create(
        dataset=dataset, number=2, state="ready", filename="a", file_format="jsonl"
    )
    return first


def test_a_run_of_another_project_is_not_named(people, shared):
    recipe = services.recipe_create(
        project=people.stranger.personal_project, created_by=people.stranger, name="private plan",
        steps=[{"kind": "clean"}],
    )  # fmt: skip
    services.run_create(recipe.pk, by=people.stranger, version_id=shared.latest.pk, name="mine")
    with pytest.raises(Conflict) as refused:
        services.dataset_delete(shared.pk, by=people.owner)
    assert "private plan" not in refused.value.message


def test_what_happened_is_told_to_the_project_alone(client, people, shared):
    services.share_delete(shared.shares.get().pk, by=people.owner)
    services.share_create(shared.pk, by=people.owner, user="stranger")
    told = [event_sentence(one) for one in Event.objects.of(shared).order_by("id")]
    assert told[-3:] == [
        "shared with stranger", "no longer shared with stranger", "shared with stranger",
    ]  # fmt: skip
    client.force_login(people.stranger)
    page = client.get(reverse("datasets:version_list", args=[shared.pk])).content.decode()
    assert "shared with stranger" not in page
    assert "shared by team" in page
    assert reverse("datasets:dataset_sharing", args=[shared.pk]) not in page


def test_the_list_of_what_is_shared_costs_no_query_more(client, people, shared, make):
    client.force_login(people.stranger)
    address = reverse("datasets:dataset_list") + "?scope=shared"

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            page = client.get(address)
        assert [one.name for one in page.context["page"]][-1] == "data"
        return len(caught)

    few = queries()
    for number in range(8):
        dataset = make(name=f"n{number}")
        services.share_create(dataset.pk, by=people.owner, user="stranger")
    assert queries() == few
    found = client.get("/api/v1/datasets/", {"shared": "true"}).json()
    assert found["count"] == 9
    assert client.get("/api/v1/datasets/", {"shared": "false"}).json()["count"] == 0


def test_the_page_and_the_api_share_and_take_back(client, people, make):
    dataset = make()
    client.force_login(people.member)
    page = reverse("datasets:dataset_sharing", args=[dataset.pk])
    assert client.post(page, {"user": "nobody"}).status_code == 422
    assert client.post(page, {"user": "stranger"}).status_code == 302
    share = dataset.shares.get()
    assert "stranger" in client.get(page).content.decode()
    gone = reverse("datasets:share_delete", args=[dataset.pk, share.pk])
    assert client.post(gone).status_code == 302
    assert not dataset.shares.exists()
    api = f"/api/v1/datasets/{dataset.pk}/shares/"
    made = client.post(api, {"user": "stranger"}, content_type="application/json")
    assert (made.status_code, made.json()["name"]) == (201, "stranger")
    personal = people.stranger.personal_project
    project = {"receiver": str(personal.pk)}
    assert client.post(api, project, content_type="application/json").status_code == 201
    assert [one["name"] for one in client.get(api).json()] == ["stranger", personal.name]
    assert client.delete(f"{api}{made.json()['id']}/").status_code == 204
    assert dataset.shares.count() == 1
    assert client.get("/api/v1/datasets/nonsense/shares/").status_code == 404


def test_a_job_form_and_a_recipe_offer_shared_data(client, people, shared, base):
    client.force_login(people.stranger)
    version = str(shared.latest.pk)
    page = client.get(reverse("jobs:job_create"), {"dataset": version}).content.decode()
    assert version in page
    recipe = services.recipe_create(
        project=people.stranger.personal_project, created_by=people.stranger, name="own",
        steps=[{"kind": "clean"}],
    )  # fmt: skip
    page = client.get(reverse("datasets:recipe_detail", args=[recipe.pk])).content.decode()
    assert version in page


def test_the_deletion_of_a_project_counts_shares_and_recipes(people, shared):
    services.recipe_create(
        project=people.team, created_by=people.owner, name="r", steps=[{"kind": "clean"}]
    )
    told = project_contents_of(people.team)
    assert "1 recipe" in told
    assert "1 share of a dataset with somebody else" in told
