"""What jobs does on news from below."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Q
from django.dispatch import receiver
from django.urls import reverse
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import Project, User
from accounts.signals import (
    Stage,
    project_contents,
    project_emptying,
    project_usage,
    project_working,
)
from common.errors import Conflict
from common.phrases import gettext as _
from common.phrases import ngettext
from datasets.models import Dataset, DatasetVersion
from datasets.signals import (
    dataset_deleting,
    evaluation_sets,
    tokenizers_offered,
    versions_needed,
)
from datasets.statistics.tokenizers import Tokenizer
from jobs import services
from jobs.models import Attempt, Job, JobDataset
from jobs.services import checkpoints_refresh, metrics_take_in, workload_follow
from jobs.services.reading import remainings
from nodes.models import Workload
from nodes.services import files_are_here
from nodes.signals import (
    workload_changed,
    workload_progressed,
    workload_staged,
    workloads_foreseen,
    workloads_linked,
)
from registry.models import Evaluation, ModelVersion
from registry.signals import version_deleting

NAMED = 5
MOST_OFFERED = 500


@receiver(workload_changed, dispatch_uid="jobs.workload_changed")
def follow(sender: object, *, workload_id: uuid.UUID, **kwargs: Any) -> None:
    """A workload changed its state. What it left is read where the files are."""
    if files_are_here():
        workload_follow(workload_id)
    else:
        async_task("jobs.tasks.workload_follow", str(workload_id), cluster="web")


@receiver(workload_progressed, dispatch_uid="jobs.workload_progressed")
def take_in(sender: object, *, workload_id: uuid.UUID, **kwargs: Any) -> None:
    """A workload's metric file grew."""
    attempt = Attempt.objects.filter(workload_id=workload_id).first()
    if attempt is not None:
        metrics_take_in(attempt.pk)


@receiver(workload_staged, dispatch_uid="jobs.workload_staged")
def look_for_checkpoints(sender: object, *, workload_id: uuid.UUID, **kwargs: Any) -> None:
    """A node brought files of a workload."""
    attempt = Attempt.objects.filter(workload_id=workload_id).first()
    if attempt is not None:
        metrics_take_in(attempt.pk)
        checkpoints_refresh(attempt)


@receiver(workloads_linked, dispatch_uid="jobs.workloads_linked")
def link(sender: object, *, workload_ids: list[uuid.UUID], **kwargs: Any) -> dict[uuid.UUID, str]:
    """The pages of jobs."""
    found = Attempt.objects.filter(workload__in=workload_ids).values_list("workload", "job")
    return {workload: reverse("jobs:job_detail", args=[job]) for workload, job in found}


@receiver(workloads_foreseen, dispatch_uid="jobs.workloads_foreseen")
def foresee(
    sender: object, *, workload_ids: list[uuid.UUID], **kwargs: Any
) -> dict[uuid.UUID, datetime]:
    """By the steps that are left."""
    progress = ("workload", "job__state", "job__kind", "job__step", "job__total_steps")
    found = Attempt.objects.filter(workload__in=workload_ids).select_related("job").only(*progress)
    attempts = list(found)
    left = remainings(attempt.job for attempt in attempts)
    now = timezone.now()
    return {
        attempt.workload_id: now + timedelta(seconds=left[attempt.job_id].seconds)
        for attempt in attempts
        if attempt.job_id in left
    }


@receiver(evaluation_sets, dispatch_uid="jobs.evaluation_sets")
def tell_evaluation_sets(sender: object, **kwargs: Any) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """What jobs measure with, while they train and afterwards."""
    measured = JobDataset.objects.filter(use__in=(JobDataset.Use.EVAL, JobDataset.Use.AFTER))
    pairs = measured.order_by().values_list("job__project_id", "dataset_version_id")
    return list(pairs.distinct())


@receiver(versions_needed, dispatch_uid="jobs.versions_needed")
def tell_needed_data(sender: object, *, project: Project, **kwargs: Any) -> set[uuid.UUID]:
    """Data of jobs and scores, and what models learnt from whose jobs were deleted."""
    used = JobDataset.objects.filter(dataset_version__dataset__project=project)
    found = set(used.values_list("dataset_version_id", flat=True))
    found |= set(Evaluation.objects.values_list("dataset_version_id", flat=True))
    learnt = ModelVersion.objects.filter(facts__has_key="datasets")
    for rows in learnt.values_list("facts__datasets", flat=True).iterator():
        found |= {uuid.UUID(row["id"]) for row in rows}
    return found


@receiver(dataset_deleting, dispatch_uid="jobs.dataset_deleting")
def keep_used_data(
    sender: object, *, versions: list[DatasetVersion], by: User | None = None, **kwargs: Any
) -> None:
    """Conflict while a job refers to the data; jobs that one does not see are only counted."""
    jobs = Job.objects.filter(datasets__dataset_version__in=versions).distinct()
    seen = jobs if by is None else jobs.visible_to(by)
    _refuse(list(seen[: NAMED + 1]), _("The data is used by %(jobs)s. Delete those jobs first."))
    number = jobs.count()
    if number:
        raise Conflict(
            ngettext(
                "%(n)s job of a project that you do not see uses the data, so it stays. If you"
                " share it, you may stop that; the job keeps what it has.",
                "%(n)s jobs of projects that you do not see use the data, so it stays. If you"
                " share it, you may stop that; the jobs keep what they have.",
                number,
            )
            % {"n": number},
            code="in_use",
            data={"jobs": []},
        )


@receiver(version_deleting, dispatch_uid="jobs.version_deleting")
def keep_used_model(sender: object, *, version: ModelVersion, **kwargs: Any) -> None:
    """Conflict while a job refers to the version."""
    jobs = Job.objects.filter(model_version=version)
    _refuse(list(jobs[: NAMED + 1]), _("The model is used by %(jobs)s. Delete those jobs first."))


def _refuse(jobs: list[Job], message: str) -> None:
    if not jobs:
        return
    raise Conflict(
        message % {"jobs": _named(jobs)},
        code="in_use",
        data={"jobs": [str(job.pk) for job in jobs[:NAMED]]},
    )


def _named(jobs: list[Job]) -> str:
    return ", ".join(f"“{job.name}”" for job in jobs[:NAMED]) + (" …" if jobs[NAMED:] else "")


@receiver(project_working, dispatch_uid="jobs.project_working")
def tell_work(sender: object, *, project: Project, **kwargs: Any) -> list[str]:
    """Jobs that wait or run, or whose processes have not ended yet."""
    jobs = Job.objects.filter(project=project)
    stopping = Workload.objects.filter(project=project).exclude(state=Workload.State.ENDED)
    found = jobs.filter(
        Q(pk__in=jobs.active().values("pk")) | Q(attempts__workload__in=stopping)
    ).distinct()
    number = found.count()
    if not number:
        return []
    text = ngettext(
        "%(n)s job waits or runs: %(jobs)s. Cancel it or let it end.",
        "%(n)s jobs wait or run: %(jobs)s. Cancel them or let them end.",
        number,
    )
    return [text % {"n": number, "jobs": _named(list(found[: NAMED + 1]))}]


@receiver(project_contents, dispatch_uid="jobs.project_contents")
def tell_contents(sender: object, *, project: Project, **kwargs: Any) -> list[str]:
    """How many jobs the project has, and which of its datasets jobs of others learnt from."""
    number = Job.objects.filter(project=project).count()
    text = ngettext(
        "%(n)s job with its log and files", "%(n)s jobs with their logs and files", number
    )
    elsewhere = JobDataset.objects.exclude(job__project=project)
    shared = Dataset.objects.filter(
        project=project, versions__in=elsewhere.values("dataset_version")
    ).distinct()
    stays = _(
        "“%(dataset)s” stays and goes to the operators: jobs of other projects learnt from it"
    )
    told = [text % {"n": number}] if number else []
    return told + [stays % {"dataset": dataset.name} for dataset in shared]


@receiver(project_emptying, dispatch_uid="jobs.project_emptying")
def empty(sender: object, *, project: Project, stage: Stage, until: float, **kwargs: Any) -> bool:
    """Removes the project's jobs."""
    return stage is Stage.WORK and services.project_empty(project, until=until)


@receiver(project_usage, dispatch_uid="jobs.project_usage")
def count_usage(sender: object, *, project: Project, **kwargs: Any) -> dict[str, int]:
    """How many jobs of the project wait or run."""
    return {"active_jobs": Job.objects.filter(project=project).active().count()}


@receiver(tokenizers_offered, dispatch_uid="jobs.tokenizers_offered")
def offer_tokenizers(
    sender: object, *, user: User | AnonymousUser, only: uuid.UUID | None, **kwargs: Any
) -> list[Tokenizer]:
    """Those of enabled base models and of models that the user sees; an adapter has its base's.

    With `only` no others than that of this version.
    """
    rows = ModelVersion.objects.visible_to(user).filter(model__is_enabled=True)
    if only is not None:
        rows = rows.filter(pk=only)
    base_first = F("model__project_id").asc(nulls_first=True)
    rows = rows.select_related("model", "base__base").order_by(base_first, "-created_at")
    return [_tokenizer(row) for row in rows[:MOST_OFFERED]]


def _tokenizer(row: ModelVersion) -> Tokenizer:
    whole = row
    if row.kind == ModelVersion.Kind.ADAPTER:
        below = (one for one in row.lineage() if one.kind != ModelVersion.Kind.ADAPTER)
        whole = next(below, row)
    return Tokenizer(
        id=str(row.pk),
        name=str(row),
        directory=whole.directory,
        template=row.template or whole.template,
        is_base=row.model.project_id is None,
    )
