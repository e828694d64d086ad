"""Submitting: the configuration is rendered once, and everything or nothing is written."""

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings as site
from django.db import transaction

from accounts.models import Project, Role, User
from accounts.services import event_record, project_hold, role_require
from common.errors import DomainError, QuotaExceeded
from common.phrases import dump
from common.phrases import gettext as _
from datasets.models import DatasetVersion
from datasets.services import versions_materialise
from jobs.engines import engine_named
from jobs.engines.base import Order
from jobs.models import Attempt, Checkpoint, Job, JobDataset
from jobs.services.drafts import Checked, Draft, baseline_of, cpus_of, draft_check, source_of
from jobs.services.places import hardware
from nodes.services import workload_submit
from registry.models import ModelVersion

MEMORY_FLOOR = 2**30


def job_submit(
    *,
    project: Project,
    created_by: User | None,
    kind: str,
    name: str,
    model_version: ModelVersion,
    dataset_versions: Sequence[DatasetVersion] = (),
    eval_dataset_versions: Sequence[DatasetVersion] = (),
    after_dataset_versions: Sequence[DatasetVersion] = (),
    stage: str = "",
    method: str = "",
    preset: str = "",
    settings: dict[str, Any] | None = None,
    config_overrides: str = "",
    priority: int = 50,
    parent: Job | None = None,
    gpus: int | None = None,
    output_name: str = "",
    remark: str = "",
    idempotency_key: str = "",
) -> Job:
    """Checks, renders and submits a job, all or nothing; DomainError names the field to blame.

    The same `idempotency_key` in a project gives the job that it gave the first time.
    """
    if created_by is not None:
        role_require(created_by, project, Role.RESEARCHER)
    if idempotency_key and (found := _known(project, idempotency_key)):
        return found
    draft = Draft(
        project=project,
        kind=kind,
        model_version=model_version,
        name=_clean_name(name),
        dataset_versions=tuple(dataset_versions),
        eval_dataset_versions=tuple(eval_dataset_versions),
        after_dataset_versions=tuple(after_dataset_versions),
        stage=stage,
        method=method,
        preset=preset,
        settings=settings or {},
        config_overrides=config_overrides,
        gpus=gpus,
        output_name=output_name.strip()[:120],
        remark=remark.strip()[:2000],
        priority=priority,
        parent=parent,
        idempotency_key=idempotency_key[:120],
    )
    return draft_submit(draft_check(draft, by=created_by), by=created_by)


def _known(project: Project, key: str) -> Job | None:
    return Job.objects.filter(project=project, idempotency_key=key[:120]).first()


def _clean_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise DomainError(_("Give the job a name."), field="name", code="missing")
    if len(name) > 80 or any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise DomainError(
            _("A name has at most 80 characters, without control characters."),
            field="name",
            code="bad_name",
        )
    return name


def quota_check(project: Project) -> None:
    """QuotaExceeded when as many jobs wait or run as may; the caller holds the project's row."""
    active = Job.objects.filter(project=project).active().count()
    if active >= project.max_active_jobs:
        raise QuotaExceeded(
            _(
                "%(active)s jobs of this project wait or run, and it may have %(limit)s. Wait for"
                " one to end, or ask the project's manager for more."
            )
            % {"active": active, "limit": project.max_active_jobs},
            data={"limit": project.max_active_jobs, "active": active},
        )


def draft_submit(checked: Checked, *, by: User | None) -> Job:
    """Writes a checked draft: rows, data, workload."""
    job_id = uuid.uuid4()
    folder = Path(site.TRAINER_HOME) / "data" / "jobs" / str(job_id)
    try:
        with transaction.atomic():
            project_hold(checked.draft.project.pk)
            key = checked.draft.idempotency_key
            if key and (found := _known(checked.draft.project, key)):
                return found
            quota_check(checked.draft.project)
            job = _write(checked, job_id, by)
            attempt_start(job, by=by)
            return job
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write(checked: Checked, job_id: uuid.UUID, by: User | None) -> Job:
    draft, order = checked.draft, checked.order
    job = Job(
        pk=job_id,
        project=draft.project,
        created_by=by,
        name=draft.name,
        remark=draft.remark,
        kind=draft.kind,
        engine=checked.engine.name,
        stage=order.stage,
        method=order.method,
        preset=order.preset,
        model_version=draft.model_version,
        settings=dict(order.settings),
        config_overrides=draft.config_overrides,
        parent=draft.parent,
        priority=draft.priority,
        gpus=order.gpus,
        output_name=draft.output_name,
        idempotency_key=draft.idempotency_key,
        total_steps=checked.estimate.steps or 0,
    )
    job.config = checked.engine.render(_with_data(job, draft, order))
    job.estimate = {
        "memory": [[dump(label), size] for label, size in checked.estimate.parts],
        "memory_bytes": checked.estimate.total,
        "disk_bytes": checked.estimate.disk_bytes,
        "steps": checked.estimate.steps,
        "rows_per_step": checked.estimate.rows_per_step,
        "subjects": 2 if order.baseline else 1,
    }
    job.save(force_insert=True)
    JobDataset.objects.bulk_create(
        JobDataset(job=job, dataset_version=version, use=use, position=position)
        for use, versions in (
            (JobDataset.Use.TRAIN, draft.dataset_versions),
            (JobDataset.Use.EVAL, draft.eval_dataset_versions),
            (JobDataset.Use.AFTER, draft.after_dataset_versions),
        )
        for position, version in enumerate(versions)
    )
    event_record(job, project=job.project, actor=by, verb="submitted", new=job.state)
    return job


def _with_data(job: Job, draft: Draft, order: Order) -> Order:
    """Lays the data out and names it as dataset_info.json does."""
    versions = [*draft.dataset_versions, *draft.eval_dataset_versions]
    if not versions:
        return order
    unique = list({version.pk: version for version in versions}.values())
    names = {
        str(key): name for key, name in versions_materialise(unique, job.data_directory).items()
    }
    return replace(
        order,
        datasets=[names[str(version.pk)] for version in draft.dataset_versions],
        eval_datasets=[names[str(version.pk)] for version in draft.eval_dataset_versions],
    )


def attempt_start(
    job: Job,
    *,
    by: User | None,
    checkpoint: Checkpoint | None = None,
    is_automatic: bool = False,
) -> Attempt:
    """Submits a workload that runs the stored configuration; the caller is in a transaction."""
    engine = engine_named(job.engine)
    links: dict[str, str] = {}
    if job.kind == Job.Kind.EVALUATE and (base := baseline_of(job.model_version)):
        links["baseline_model"] = source_of(base).base
    source = source_of(job.model_version)
    if links.get("baseline_model") == source.base:
        links = {}
    if checkpoint is not None:
        folder = checkpoint_directory(checkpoint)
        if not folder.is_dir():
            raise DomainError(
                _("The files of %(checkpoint)s are gone.") % {"checkpoint": checkpoint.name},
                field="checkpoint",
                code="no_files",
            )
        links["checkpoint"] = folder.relative_to(site.TRAINER_HOME).as_posix()
    data = (
        job.data_directory.relative_to(site.TRAINER_HOME).as_posix()
        if job.data_directory.is_dir()
        else ""
    )
    request = engine.request(job.kind, job.config, source, data, **links)
    machine = hardware()
    needed = int(job.estimate.get("memory_bytes") or MEMORY_FLOOR)
    env = request.env | ({"TRAINER_PROCESSES": str(job.gpus)} if job.gpus > 1 else {})
    if not job.gpus:
        env["OMP_NUM_THREADS"] = str(machine.cpus)
    workload = workload_submit(
        project=job.project,
        created_by=by or job.created_by,
        name=job.name,
        engine=job.engine,
        verb=request.verb,
        inputs=request.inputs,
        files=request.files,
        env=env,
        gpus=job.gpus,
        gpu_memory_bytes=needed if job.gpus else 0,
        cpus=cpus_of(Order(job.kind, source, gpus=job.gpus, hardware=machine)),
        memory_bytes=MEMORY_FLOOR * 4 if job.gpus else needed,
        wall_seconds=site.JOB_WALL_SECONDS,
        priority=job.priority,
    )
    last = job.attempts.last()
    return Attempt.objects.create(
        job=job,
        number=last.number + 1 if last else 1,
        workload=workload,
        resumed_from=checkpoint,
        resumed_step=checkpoint.step if checkpoint else 0,
        is_automatic=is_automatic,
    )


def checkpoint_directory(checkpoint: Checkpoint) -> Path:
    """Where its files lie."""
    return checkpoint.attempt.workload.directory / "output" / checkpoint.name
