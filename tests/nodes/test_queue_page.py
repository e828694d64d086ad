"""What the pages say of what waits and runs: when it starts, and where to read about it."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from accounts.models import Project
from inference.models import Deployment, Replica
from jobs.models import Attempt, Job, Metric
from nodes import services
from nodes.models import Image, Node, NodeToken, Workload
from registry.models import Model, ModelVersion
from tests.nodes.parts import register, runs, submit, witnessed
from tests.nodes.test_images import ready

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def nothing_told(transactional_db) -> None:
    """No page tells what was foreseen for another test."""
    cache.clear()


def ran(project, *minutes: int, **fields) -> None:
    """So many of a kind that ended well, each after so many minutes."""
    now = timezone.now()
    Workload.objects.bulk_create(
        Workload(
            project=project,
            name="before",
            engine="small",
            verb="train",
            gpus=1,
            state="ended",
            outcome="ok",
            started_at=now - timedelta(minutes=each),
            ended_at=now,
            **fields,
        )
        for each in minutes
    )


def minutes_until(workload: Workload) -> int | None:
    start = services.starts_foreseen().get(workload.pk)
    return start and round((start.at - timezone.now()).total_seconds() / 60)


def job_of(workload: Workload, **fields) -> Job:
    base = ModelVersion.objects.create(
        model=Model.objects.create(name="Tiny"), kind="base", source="local"
    )
    job = Job.objects.create(
        project=workload.project, name="j", kind="train", model_version=base, **fields
    )
    Attempt.objects.create(job=job, number=1, workload=workload, started_at=timezone.now())
    return job


def test_what_is_not_known_is_not_foreseen(people) -> None:
    register(gpus=1)
    runs(submit(people.team))
    waits = submit(people.team)
    ran(people.team, 60, 60)  # two are no kind
    ran(Project.objects.create(name="other"), 60, 60, 60)
    assert services.starts_foreseen() == {}
    Workload.objects.filter(state="running").update(is_service=True, wall_seconds=60)
    assert minutes_until(waits) is None


def test_by_how_long_the_same_kind_took(people) -> None:
    """One after the other; what has run longer than most is compared with those that did, too."""
    register(gpus=1)
    ran(people.team, 20, 30, 40, 90, 100, 110)
    first = runs(submit(people.team))
    second, third = submit(people.team), submit(people.team)
    assert (minutes_until(second), minutes_until(third)) == (65, 130)
    Workload.objects.filter(pk=first.pk).update(started_at=timezone.now() - HOUR)
    assert minutes_until(second) == 40
    assert not services.starts_foreseen()[second.pk].is_latest


def test_a_time_limit_gives_the_latest_moment(people, client) -> None:
    register(gpus=1)
    runs(submit(people.team, wall_seconds=1800))
    second = submit(people.team, is_service=True, wall_seconds=60)
    third = submit(people.team)
    assert (minutes_until(second), minutes_until(third)) == (30, None)
    assert services.starts_foreseen()[second.pk].is_latest
    client.force_login(people.member)
    page = client.get(reverse("nodes:node_list")).content.decode()
    assert page.count("it may start earlier") == 1
    assert page.count(">unknown<") == 1
    told = client.get("/api/v1/workloads/?state=waiting").json()["results"]
    assert [row["expected_start"] is None for row in told] == [True, False]


def test_a_training_tells_by_its_steps(people) -> None:
    register(gpus=1)
    first = runs(submit(people.team))
    job = job_of(first, state="running", step=20, total_steps=100)
    now = timezone.now()
    for step in (10, 20):
        at = now - timedelta(minutes=20 - step)
        Metric.objects.create(job=job, attempt=job.attempts.get(), step=step, at=at)
    assert minutes_until(submit(people.team)) == 80


def test_what_waits_and_runs_leads_to_its_page(people, client) -> None:
    """To the job or the deployment, for those who may see it."""
    node = register(gpus=1)
    first = runs(submit(people.team, "wl-first"))
    job = job_of(first)
    second = submit(people.team, "wl-second")
    deployment = Deployment.objects.create(project=people.team, name="d", version=job.model_version)
    Replica.objects.create(deployment=deployment, workload=second)
    here = reverse("nodes:node_detail", args=[node.pk])
    everywhere = reverse("nodes:node_list")
    of_job = f'href="{reverse("jobs:job_detail", args=[job.pk])}">wl-first<'
    served = f'href="{reverse("inference:deployment_detail", args=[deployment.pk])}">wl-second<'
    client.force_login(people.member)
    assert of_job in client.get(here).content.decode()
    assert served in client.get(everywhere).content.decode()
    client.force_login(people.stranger)
    for page in (client.get(here), client.get(everywhere)):
        assert str(job.pk) not in page.content.decode()
        assert str(deployment.pk) not in page.content.decode()


def test_past_alerts_and_tokens_lead_to_nodes_that_are_there(people, client) -> None:
    node = register()
    NodeToken.objects.create(
        token_hash="x", prefix="ntk_x", node=node, used_at=timezone.now(), expires_at=timezone.now()
    )
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=3))
    services.alerts_silence(witnessed(180))
    services.node_beat(node.pk, engines=["small"])
    services.alerts_silence(witnessed(2))
    client.force_login(people.operator)
    pages = [reverse("nodes:alert_list"), reverse("nodes:node_token_list")]
    link = f'<a href="{reverse("nodes:node_detail", args=[node.pk])}">gpu-01</a>'
    assert all(link in client.get(page).content.decode() for page in pages)
    Node.objects.update(state=Node.State.REMOVED)
    for page in (client.get(page).content.decode() for page in pages):
        assert link not in page
        assert "gpu-01" in page


def test_the_list_asks_as_the_node_does(people, client) -> None:
    """What happens to what runs, and whether at all."""
    nodes = [register(name) for name in ("a", "b")]
    client.force_login(people.operator)
    page = client.get(reverse("nodes:node_list")).content.decode()
    for node in nodes:
        for what in ("cordon", "drain"):
            assert page.count(f'data-dialog="{what}-{node.pk}"') == 1
            assert page.count(f'<dialog id="{what}-{node.pk}"') == 1
            assert page.count(reverse(f"nodes:node_{what}", args=[node.pk])) == 1
    assert page.count('value="stop"') == 2
    client.force_login(people.viewer)
    assert "<dialog" not in client.get(reverse("nodes:node_list")).content.decode()


def test_removing_an_image_asks(people, client) -> None:
    image = ready("lab/engine:cpu", 1)
    Image.objects.update(is_enabled=False)
    client.force_login(people.operator)
    page = client.get(reverse("nodes:image_list")).content.decode()
    assert f'<dialog id="remove-{image.pk}"' in page
    assert page.count(reverse("nodes:image_remove", args=[image.pk])) == 1
