"""What the start page shows: the newest line of work, trainings, machines, other projects."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Case, Count, OuterRef, Prefetch, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.http import actor
from accounts.models import Membership, Project, User
from common.phrases import gettext as _
from common.phrases import ngettext
from datasets.models import Dataset, DatasetVersion
from inference.models import Deployment
from jobs.models import Job, JobDataset
from jobs.services import reading
from nodes.models import Lease, Node, NodeSample

SHOWN = 6
MACHINES_SHOWN = 8
KINDS = {
    Job.State.QUEUED: "wait",
    Job.State.PAUSED: "wait",
    Job.State.SUCCEEDED: "ok",
    Job.State.FAILED: "no",
    Job.State.STOPPED: "off",
    Job.State.CANCELLED: "off",
}


def greeting(request: HttpRequest) -> str:
    """By the reader's own time of day, which the browser tells by a cookie."""
    try:
        zone = ZoneInfo(request.COOKIES.get("zone", "UTC").replace("%2F", "/"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo("UTC")
    name = {"name": actor(request).first_name or actor(request).username}
    hour = timezone.now().astimezone(zone).hour
    if 5 <= hour < 12:
        return _("Good morning, %(name)s") % name
    if 12 <= hour < 18:
        return _("Good afternoon, %(name)s") % name
    return _("Good evening, %(name)s") % name


@dataclass(frozen=True)
class Training:
    """A line of the list of trainings."""

    job: Job
    kind: str
    parts: str
    state: str
    note: str
    left: float | None

    @property
    def loss(self) -> object:
        """The newest loss."""
        return self.job.latest.get("loss", self.job.latest.get("train_loss"))


def data_of(job: Job) -> list[DatasetVersion]:
    """What it learns from, in order; needs `with_data`."""
    return [row.dataset_version for row in job.training_data]  # type: ignore[attr-defined]


def with_data(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """With the datasets of training beside each, as `training_data`."""
    rows = JobDataset.objects.filter(use=JobDataset.Use.TRAIN)
    return jobs.prefetch_related(
        Prefetch(
            "datasets",
            rows.select_related("dataset_version__dataset"),
            to_attr="training_data",
        )
    )


def trainings(project: Project) -> list[Training]:
    """The newest trainings of the project, those that go on first."""
    jobs = Job.objects.filter(project=project, kind=Job.Kind.TRAIN)
    at_work = Case(When(state=Job.State.QUEUED, then=1), default=0)
    first = with_data(jobs.active()).order_by(at_work, "-created_at")
    active = list(first.select_related("model_version__model")[:SHOWN])
    rest = SHOWN - len(active)
    if rest:
        done = jobs.exclude(pk__in=[job.pk for job in active])
        active += list(with_data(done).select_related("model_version__model")[:rest])
    notes = reading.waiting_notes(job for job in active if job.is_active)
    left = reading.remainings(active)
    return [_training(job, *notes.get(job.pk, (0, "")), left.get(job.pk)) for job in active]


def _training(job: Job, place: int, note: str, left: reading.Remaining | None) -> Training:
    parts = [str(job.model_version), job.get_method_display() or job.get_stage_display()]
    parts += [str(version) for version in data_of(job)[:1]]
    state = str(job.get_state_display()).capitalize()
    if job.is_active:
        if place:
            state = _("No. %(n)s in line") % {"n": place}
    elif job.state == Job.State.FAILED:
        state = str(job.get_failure_display() or job.get_state_display()).capitalize()
        note = job.failure_line
    return Training(
        job,
        KINDS.get(Job.State(job.state), "run"),
        " · ".join(parts),
        state,
        note,
        left.seconds if left else None,
    )


@dataclass(frozen=True)
class Cell:
    """A GPU's square: you, used, off or free."""

    look: str
    title: str


@dataclass(frozen=True)
class Machine:
    """A line of the machines card."""

    node: Node
    cells: list[Cell]
    note: str
    cpu_percent: float | None
    url: str


def machines(project: Project) -> list[Machine]:
    """The nodes with their GPUs; without GPUs their processors."""
    held = dict(
        Lease.objects.filter(released_at=None).values_list("gpu_id", "workload__project_id")
    )
    found = []
    nodes = list(Node.objects.present().prefetch_related("gpus")[:MACHINES_SHOWN])
    samples = NodeSample.objects.filter(node__in=nodes).newest()
    busy = dict(samples.values_list("node_id", "cpu_percent"))
    for node in nodes:
        gpus = [gpu for gpu in node.gpus.all() if gpu.is_present]
        ready = node.state == Node.State.READY
        cells = [
            Cell(_look(held.get(gpu.pk), project, ready=ready), f"GPU {gpu.index}: {gpu.name}")
            for gpu in gpus
        ]
        note = str(node.get_state_display())
        if ready:
            note = gpus[0].name if gpus else _("%(n)s CPUs") % {"n": node.cpu_count}
        cpu_percent = busy.get(node.pk) if ready else None
        found.append(Machine(node, cells, note, cpu_percent, _node_url(node)))
    return found


def _look(holder: object, project: Project, *, ready: bool) -> str:
    if holder is not None:
        return "you" if holder == project.pk else "used"
    return "free" if ready else "off"


def _node_url(node: Node) -> str:
    return reverse("nodes:node_detail", args=[node.pk])


def _going_on(projects: Sequence[Project]) -> dict[uuid.UUID, list[str]]:
    """What runs, waits and is in service in each of the projects, in words."""
    jobs = Job.objects.filter(project__in=projects).active().order_by().values("project")
    counted = jobs.annotate(
        running=Count("pk", Q(kind=Job.Kind.TRAIN, state__in=Job.GOING_ON)),
        others=Count("pk", ~Q(kind=Job.Kind.TRAIN) & Q(state__in=Job.GOING_ON)),
        waiting=Count("pk", Q(state=Job.State.QUEUED)),
    )
    by_project = {row["project"]: row for row in counted}
    services = Deployment.objects.filter(project__in=projects).active().order_by()
    serving = dict(services.values_list("project").annotate(number=Count("pk")))
    return {
        project.pk: _said(by_project.get(project.pk, {}), serving.get(project.pk, 0))
        for project in projects
    }


def _said(counts: Mapping[str, Any], serving: int) -> list[str]:
    running, others = counts.get("running", 0), counts.get("others", 0)
    waiting = counts.get("waiting", 0)
    lines = [
        (running, ngettext("%(n)s training running", "%(n)s trainings running", running)),
        (others, ngettext("%(n)s other job running", "%(n)s other jobs running", others)),
        (waiting, ngettext("%(n)s job waiting", "%(n)s jobs waiting", waiting)),
        (serving, ngettext("%(n)s model in service", "%(n)s models in service", serving)),
    ]
    return [text % {"n": number} for number, text in lines if number]


@dataclass(frozen=True)
class Elsewhere:
    """A line of the reader's other projects."""

    project: Project
    role: str
    now: list[str]  # what goes on there
    last: Job | None  # where nothing goes on
    datasets: int


def around(user: User, project: Project, *, only_busy: bool) -> tuple[list[str], list[Elsewhere]]:
    """What goes on in the project, for the line under the greeting, and in the reader's others.

    Those come first in which something goes on, then those with the newest work; with `only_busy`
    there are no more than the first.
    """
    rows = Membership.objects.filter(user=user).exclude(project=project).select_related("project")
    newest = Job.objects.filter(project=OuterRef("project")).order_by("-created_at")
    data = Dataset.objects.filter(project=OuterRef("project")).order_by().values("project")
    found = list(
        rows.annotate(
            last=Subquery(newest.values("pk")[:1]),
            last_at=Subquery(newest.values("created_at")[:1]),
            datasets=Coalesce(Subquery(data.annotate(number=Count("pk")).values("number")), 0),
        )
    )
    now = _going_on([project, *(row.project for row in found)])
    found.sort(key=lambda row: _liveliness(row, now), reverse=True)
    shown = [row for row in found[:SHOWN] if now[row.project_id] or not only_busy]
    idle = [row.last for row in shown if row.last and not now[row.project_id]]
    jobs = Job.objects.only("name", "state", "created_at", "finished_at").in_bulk(idle)
    lines = [
        Elsewhere(
            row.project,
            row.get_role_display(),
            now[row.project_id],
            jobs.get(row.last),
            row.datasets,
        )
        for row in shown
    ]
    return now[project.pk] or [_("Nothing runs at the moment.")], lines


def _liveliness(row: Any, now: Mapping[uuid.UUID, list[str]]) -> tuple[bool, float, int]:
    last = row.last_at.timestamp() if row.last_at else 0.0
    return bool(now[row.project_id]), last, row.datasets


def in_service(project: Project) -> list[Deployment]:
    """Deployments that hold or wait for a place."""
    found = Deployment.objects.filter(project=project).active()
    return list(found.select_related("version__model")[:SHOWN])
