"""The end of a project: refused while something of it works, then hidden, emptied and gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import services
from accounts.models import Event, Invitation, Membership, Project
from common.errors import Conflict, DomainError
from datasets import services as datasets
from datasets.models import Dataset, DatasetVersion, Recipe, RecipeRun
from inference.models import Deployment
from inference.services import conversation_create, deployment_create
from jobs.models import Job
from nodes.models import Workload
from registry.models import Evaluation, Model, ModelVersion
from tests.access.objects import ROWS, everything

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def things(people, home) -> dict[str, object]:
    """One thing of each kind in `team`, nothing of which works."""
    found = everything(people, home)
    Dataset.objects.filter(is_public=True).update(is_public=False)
    RecipeRun.objects.update(state=RecipeRun.State.FAILED)
    return found


def delete(people: SimpleNamespace) -> None:
    services.project_delete(people.team.pk, name="team", by=people.owner)


def files(home: Path) -> set[str]:
    """What lies in the folders of data, models and work, but for the list of all data."""
    own = {"data/dataset_info.json", "data/.lock"}
    folders = ("data", "output", "logs", "checkpoints", "models", "temp")
    found = (path for folder in folders for path in (home / folder).rglob("*"))
    return {str(path.relative_to(home)) for path in found if path.is_file()} - own


@pytest.fixture
def sweep(django_capture_on_commit_callbacks):
    """Sweeps as the queue does, with what follows a commit; how many projects are gone."""

    def run() -> int:
        with django_capture_on_commit_callbacks(execute=True):
            return services.projects_sweep()

    return run


def rows_of(project: Project) -> list[str]:
    """Kinds of rows that belong to the project."""
    kinds = (Dataset, Recipe, RecipeRun, Job, Workload, Deployment, Evaluation, Model, Membership)
    return [kind.__name__ for kind in kinds if kind.objects.filter(project_id=project.pk).exists()]


def test_everything_of_it_goes_from_the_database_and_the_disk(people, home, things, sweep) -> None:
    assert len(rows_of(people.team)) == 9
    assert files(home)
    team = people.team.pk
    delete(people)
    assert sweep() == 1
    assert rows_of(people.team) == []
    assert not Project.objects.filter(pk=team).exists()
    assert files(home) == set()
    assert ModelVersion.objects.filter(model__project=None).exists(), "base models stay"
    trail = Event.objects.filter(subject_id=team)
    assert [(event.verb, event.actor) for event in trail] == [
        ("deleted", people.owner),
        ("removed", None),
    ]
    assert trail[0].data["name"] == "team"
    assert "1 conversation" in trail[0].data["contents"]
    assert sweep() == 0


def test_nobody_sees_it_from_the_moment_on(people, things) -> None:
    delete(people)
    for who in ("owner", "member", "viewer", "operator"):
        client = Client()
        client.force_login(getattr(people, who))
        for address in (
            reverse("accounts:project_detail", args=[people.team.pk]),
            reverse("jobs:job_detail", args=[things["job"].pk]),
            reverse("datasets:dataset_detail", args=[things["dataset"].pk]),
            reverse("registry:model_detail", args=[things["model"].pk]),
            reverse("inference:deployment_detail", args=[things["deployment"].pk]),
        ):
            assert client.get(address).status_code == 404, (who, address)
        assert "team" not in client.get(reverse("accounts:project_list")).content.decode()
        found = client.get("/search/", {"q": "te"}).content.decode()
        assert str(people.team.pk) not in found
        assert str(things["job"].pk) not in found


def test_the_name_has_to_be_typed(client, people, home, things) -> None:
    client.force_login(people.owner)
    address = reverse("accounts:project_delete", args=[people.team.pk])
    page = client.get(address).content.decode()
    assert "1 job with its log and files" in page
    assert "4 people lose access" in page
    for wrong in ("", "Team", "teams"):
        refused = client.post(address, {"name": wrong})
        assert refused.status_code == 422
        assert set(refused.context["form"].errors) == {"name"}
    assert client.post(address, {"name": " team "}).status_code == 302
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("kind", ["job", "workload", "deployment", "recipe", "upload"])
def test_what_works_keeps_it_and_is_named(client, people, things, kind) -> None:
    if kind == "job":
        Job.objects.update(state=Job.State.QUEUED)
        words = "1 job waits or runs: “job”"
    elif kind == "workload":
        Workload.objects.filter(pk=things["workload"].pk).update(state=Workload.State.STOPPING)
        words = "1 job waits or runs: “job”"
    elif kind == "deployment":
        Deployment.objects.update(state=Deployment.State.READY)
        words = "“team” is in service"
    elif kind == "recipe":
        RecipeRun.objects.update(state=RecipeRun.State.RUNNING)
        words = "The recipe “team: dataset v1” still runs"
    else:
        version = DatasetVersion.objects.filter(dataset__name="dataset", number=1)
        version.update(state=DatasetVersion.State.CHECKING)
        words = "“dataset v1” was just uploaded"
    client.force_login(people.owner)
    address = reverse("accounts:project_delete", args=[people.team.pk])
    assert words in client.get(address).content.decode()
    refused = client.post(address, {"name": "team"})
    assert refused.status_code == 422
    assert words in refused.content.decode()
    api = APIClient()
    api.force_authenticate(people.owner)
    over_api = api.delete(reverse("api-project-detail", args=[people.team.pk]) + "?name=team")
    assert over_api.status_code == 409
    assert words in over_api.json()["reasons"][0]
    assert Project.objects.get(pk=people.team.pk).deleted_at is None
    assert people.team.memberships.count() == 4


def test_the_api_asks_for_the_name(people, things) -> None:
    client = APIClient()
    client.force_authenticate(people.owner)
    address = reverse("api-project-detail", args=[people.team.pk])
    wrong = client.delete(address)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "name")
    client.force_authenticate(people.member)
    assert client.delete(f"{address}?name=team").status_code == 404
    client.force_authenticate(people.owner)
    assert client.delete(f"{address}?name=team").status_code == 204
    assert client.get(address).status_code == 404


def test_operators_delete_in_the_administration(people, things) -> None:
    client = Client()
    client.force_login(people.operator)
    address = reverse("admin:accounts_project_delete", args=[people.team.pk])
    assert "1 conversation" in client.get(address).content.decode()
    Job.objects.update(state=Job.State.RUNNING)
    client.post(address, {"post": "yes"})
    assert Project.objects.get(pk=people.team.pk).deleted_at is None
    Job.objects.update(state=Job.State.SUCCEEDED)
    answer = client.post(address, {"post": "yes"})
    assert answer.status_code == 302, [str(one) for one in get_messages(answer.wsgi_request)]
    assert Project.objects.get(pk=people.team.pk).deleted_at is not None
    looked_at = client.get(reverse("admin:accounts_project_change", args=[people.team.pk]))
    assert looked_at.status_code == 200
    personal = people.owner.personal_project.pk
    own = reverse("admin:accounts_project_delete", args=[personal])
    assert client.post(own, {"post": "yes"}).status_code == 403


def test_a_personal_project_stays(client, people) -> None:
    personal = people.owner.personal_project
    client.force_login(people.owner)
    page = reverse("accounts:project_delete", args=[personal.pk])
    assert "personal project" in client.get(page).content.decode()
    assert (
        page
        not in client.get(reverse("accounts:project_detail", args=[personal.pk])).content.decode()
    )
    with pytest.raises(DomainError, match="personal project"):
        services.project_delete(personal.pk, name=personal.name, by=people.owner)


def test_its_invitations_open_nothing_and_its_people_go_elsewhere(client, people) -> None:
    _made, code = services.invitation_create(created_by=people.operator, project=people.team)
    client.force_login(people.owner)
    client.post(reverse("accounts:project_switch"), {"project": people.team.pk})
    delete(people)
    assert Invitation.objects.get().state == Invitation.State.WITHDRAWN
    with pytest.raises(DomainError, match="withdrawn"):
        services.user_register(
            username="ada", email="ada@example.org", password="long-Enough-77", code=code
        )
    assert "owner" in client.get("/").content.decode()
    services.projects_sweep()
    assert Invitation.objects.get().project is None
    people.owner.refresh_from_db()
    assert people.owner.last_project is None


def test_nothing_new_begins_in_it(people, things) -> None:
    delete(people)
    upload = SimpleUploadedFile("rows.jsonl", ROWS.encode())
    for act in (
        lambda: services.project_hold(people.team.pk),
        lambda: datasets.dataset_create(
            project=people.team, created_by=people.operator, name="late", upload=upload
        ),
        lambda: deployment_create(
            project=people.team, created_by=people.operator, version=things["model_version"]
        ),
        lambda: conversation_create(project=people.team, created_by=people.operator),
        lambda: services.invitation_create(created_by=people.operator, project=people.team),
    ):
        with pytest.raises(Conflict, match="was deleted"):
            act()


def test_data_that_jobs_of_others_learnt_from_goes_to_the_operators(
    client, people, home, things
) -> None:
    public, version = things["public_dataset"], things["public_version"]
    Dataset.objects.filter(pk=public.pk).update(is_public=True)
    elsewhere = Job.objects.create(
        project=people.stranger.personal_project,
        created_by=people.stranger,
        name="elsewhere",
        kind=Job.Kind.TRAIN,
        model_version=ModelVersion.objects.get(model__project=None),
        state=Job.State.SUCCEEDED,
    )
    elsewhere.datasets.create(dataset_version=version)
    client.force_login(people.owner)
    page = client.get(reverse("accounts:project_delete", args=[people.team.pk])).content.decode()
    assert "“public_dataset” stays and goes to the operators" in page
    delete(people)
    assert services.projects_sweep() == 1
    public.refresh_from_db()
    assert public.project.is_commons
    assert version.rows_path.is_file()
    assert not Dataset.objects.filter(name="dataset").exists()
    assert Event.objects.of(public).last().data["from"] == "team"
    client.force_login(people.stranger)
    assert client.get(reverse("jobs:job_detail", args=[elsewhere.pk])).status_code == 200
    page = client.get(reverse("datasets:dataset_detail", args=[public.pk]), follow=True)
    assert page.status_code == 200
    commons = public.project
    with pytest.raises(DomainError, match="keeps data"):
        services.project_delete(commons.pk, name=commons.name, by=people.operator)
    elsewhere.delete()
    datasets.dataset_delete(public.pk, by=people.operator)
    assert services.project_commons() == commons, "there is one, for ever"


def test_two_kept_datasets_of_one_name_both_find_room(people, home) -> None:
    for name in ("first", "second"):
        project = services.project_create(name=name, created_by=people.owner)
        dataset = datasets.dataset_create(
            project=project,
            created_by=people.operator,
            name="faq",
            upload=SimpleUploadedFile("rows.jsonl", ROWS.encode()),
        )
        job = Job.objects.create(
            project=people.team,
            name="job",
            kind=Job.Kind.TRAIN,
            model_version=ModelVersion.objects.create(
                model=Model.objects.create(name=name), kind="base", source="local"
            ),
            state=Job.State.SUCCEEDED,
        )
        job.datasets.create(dataset_version=dataset.versions.get())
        services.project_delete(project.pk, name=name, by=people.owner)
    assert services.projects_sweep() == 2
    kept = Dataset.objects.filter(project__is_commons=True)
    assert sorted(kept.values_list("name", flat=True)) == ["faq", "faq 2"]


def test_a_sweep_that_runs_out_of_time_asks_for_another(people, home, things) -> None:
    from accounts.services import deletion

    delete(people)
    long_ago = time.monotonic() - 1
    assert not deletion._removed(Project.objects.get(pk=people.team.pk), long_ago)
    assert Project.objects.filter(pk=people.team.pk).exists()
    assert services.projects_sweep() == 1


DIES = """
import os, signal, sys
left = 50

def watch(event, arguments):
    global left
    if event == "os.remove" and "shard-" in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
"""


@pytest.mark.django_db(transaction=True)
def test_a_kill_in_the_middle_leaves_nothing_visible_and_the_next_sweep_finishes(
    people, home, things
) -> None:
    """The sweep is a real process that kills itself while it removes files."""
    folder = things["job"].weights_directory / "shards"
    folder.mkdir(parents=True)
    for number in range(100):
        (folder / f"shard-{number}").touch()
    delete(people)
    code = DIES + "import django; django.setup(); from accounts.services import *; projects_sweep()"
    values = connection.settings_dict
    url = (
        f"sqlite:///{values['NAME']}"
        if connection.vendor == "sqlite"
        else f"postgres://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:"
        f"{values['PORT']}/{values['NAME']}"
    )
    env = os.environ | {
        "TRAINER_HOME": str(home),
        "TRAINER_DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=env, cwd=ROOT)
    assert process.wait() == -signal.SIGKILL
    assert next(folder.iterdir(), None), "it was not done yet"
    assert Project.objects.get(pk=people.team.pk).deleted_at is not None
    assert not Project.objects.visible_to(people.operator).filter(pk=people.team.pk).exists()
    assert not Job.objects.visible_to(people.operator).exists()
    assert services.projects_sweep() == 1
    assert rows_of(people.team) == []
    assert files(home) == set()
