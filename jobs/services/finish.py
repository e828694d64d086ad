"""Registers what a job made. Every step may be repeated: a crash loses and doubles nothing."""

import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.translation import override

from common.errors import Conflict, DomainError
from common.languages import spoken
from common.phrases import gettext as _
from jobs.engines import engine_named
from jobs.engines.base import Failure
from jobs.models import Attempt, Job, JobDataset
from jobs.services.drafts import baseline_of
from jobs.services.endings import fail, last_checkpoint, result_of
from jobs.services.moves import locked, move
from jobs.services.submit import checkpoint_directory, job_submit
from registry.models import Evaluation, ModelVersion
from registry.services import evaluation_create, version_publish

State = Job.State


def job_finish(job_id: uuid.UUID) -> None:
    """Registers results of a job that is being finished, then ends it. Idempotent."""
    job = Job.objects.with_parts().filter(pk=job_id).first()
    attempt = job.latest_attempt() if job else None
    if job is None or attempt is None or job.state != State.FINALIZING:
        return
    try:
        if job.kind == Job.Kind.EVALUATE:
            _evaluated(job, attempt)
        elif job.kind == Job.Kind.EXPORT:
            _exported(job, attempt)
        else:
            _trained(job, attempt)
    except DomainError as refused:
        with transaction.atomic():
            held = locked(job_id)
            if held.state == State.FINALIZING:
                fail(held, Failure(Job.Failure.ENGINE_BUG, refused.message, "results"))


def _end(
    job_id: uuid.UUID, to: str, *, version: ModelVersion | None, result: dict[str, Any]
) -> None:
    with transaction.atomic():
        job = locked(job_id)
        if job.state != State.FINALIZING:
            return
        job.output_version = version
        job.result = result
        if job.kind == Job.Kind.TRAIN and isinstance(result.get("steps"), int):
            job.step = max(job.step, int(result["steps"]))
        if to == State.SUCCEEDED and job.total_steps and job.kind != Job.Kind.TRAIN:
            job.step = job.total_steps
        job.wanted = ""
        move(job, to)
        after = list(job.datasets.filter(use=JobDataset.Use.AFTER))
    if to == State.SUCCEEDED and version is not None:
        for row in after:
            evaluate_after(job, version, row)


def evaluate_after(job: Job, version: ModelVersion, row: JobDataset) -> Job | None:
    """Submits the evaluation asked for with the training; a refusal is noted, not raised."""
    with override(spoken(job.created_by.language if job.created_by else "")):
        name = _("Evaluation of %(name)s") % {"name": job.name[:60]}  # a name, so it stays so
    try:
        return job_submit(
            project=job.project,
            created_by=job.created_by,
            kind=Job.Kind.EVALUATE,
            name=name,
            model_version=version,
            dataset_versions=[row.dataset_version],
            priority=job.priority,
            parent=job,
            idempotency_key=f"after:{job.pk}:{row.pk}",
        )
    except DomainError as refused:
        from accounts.services import event_record

        event_record(
            job,
            project=job.project,
            actor=None,
            verb="evaluation_refused",
            reason=refused.message,
        )
        return None


def _linked(files: Iterable[Path], target: Path) -> Path:
    """The files as hard links in `target`, which appears whole or not at all."""
    if target.is_dir():
        return target
    draft = target.with_name(f".{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for path in files:
        try:
            os.link(path, draft / path.name)
        except OSError:
            shutil.copy2(path, draft / path.name)
    draft.replace(target)
    return target


def _output_name(job: Job) -> str:
    if job.output_name:
        return job.output_name
    if job.kind == Job.Kind.EXPORT and job.model_version.model.project_id == job.project_id:
        return job.model_version.model.name
    return job.name


def _trained(job: Job, attempt: Attempt) -> None:
    """Publishes the final weights, or those of the last checkpoint after a stop."""
    result = result_of(attempt)
    finished = result.get("status") == "finished" and attempt.workload.outcome == "ok"
    engine = engine_named(job.engine)
    output, checkpoint = attempt.workload.directory / "output", ""
    if not finished:
        last = last_checkpoint(job)
        if last is None:
            _end(job.pk, State.STOPPED, version=None, result=result)
            return
        output, checkpoint = checkpoint_directory(last).parent, last.name
    files = engine.weights(output, checkpoint)
    if not files:
        raise Conflict(_("The engine left no weights."))
    facts = {
        "job": str(job.pk),
        "stage": job.stage,
        "method": job.method,
        "steps": result.get("steps"),
        "metrics": result.get("metrics") or {},
        "trainable_parameters": result.get("trainable_parameters"),
        "checkpoint": checkpoint,
        "datasets": [
            {"id": str(row.dataset_version_id), "label": str(row.dataset_version)}
            for row in job.datasets.filter(use=JobDataset.Use.TRAIN).select_related(
                "dataset_version__dataset"
            )
        ],
    }
    version = _publish(job, _kind_of(job), files, facts, result)
    _end(job.pk, State.SUCCEEDED if finished else State.STOPPED, version=version, result=result)


def _kind_of(job: Job) -> str:
    if job.stage == Job.Stage.RM:
        return ModelVersion.Kind.REWARD
    return (
        ModelVersion.Kind.ADAPTER
        if job.method in {Job.Method.LORA, Job.Method.QLORA}
        else ModelVersion.Kind.FULL
    )


def _publish(
    job: Job, kind: str, files: list[Path], facts: dict[str, Any], result: dict[str, Any]
) -> ModelVersion:
    parameters = result.get("num_parameters")
    return version_publish(
        project=job.project,
        model_name=_output_name(job),
        kind=kind,
        source=ModelVersion.Source.JOB,
        template=_template(job),
        base=job.model_version,
        path=_linked(files, job.weights_directory),
        parameters=parameters if isinstance(parameters, int) else job.model_version.parameters,
        facts=facts,
        created_by=job.created_by,
    )


def _template(job: Job) -> str:
    """The template that the configuration named: serving has to use the same."""
    import yaml

    named = (yaml.safe_load(job.config) or {}).get("template")
    return str(named or job.model_version.template or "")


def _exported(job: Job, attempt: Attempt) -> None:
    result = result_of(attempt)
    files = engine_named(job.engine).weights(attempt.workload.directory / "output", "")
    if not files:
        raise Conflict(_("The engine left no weights."))
    quantised = bool(job.settings.get("export_quantization_bit"))
    kind = ModelVersion.Kind.QUANTISED if quantised else ModelVersion.Kind.MERGED
    facts = {
        "job": str(job.pk),
        "parity": result.get("parity") or {},
        "dtype": result.get("dtype"),
        "bits": job.settings.get("export_quantization_bit"),
    }
    version = _publish(job, kind, files, facts, result)
    _end(job.pk, State.SUCCEEDED, version=version, result=result)


def _evaluated(job: Job, attempt: Attempt) -> None:
    """Scores the stored answers of the base first, then of the candidate beside it."""
    result = result_of(attempt)
    data = job.datasets.select_related("dataset_version__dataset").get(use=JobDataset.Use.TRAIN)
    base = baseline_of(job.model_version)
    versions = {"candidate": job.model_version} | ({"baseline": base} if base else {})
    output = attempt.workload.directory / "output"
    found = {name: output / f"{name}.jsonl" for name in ("baseline", "candidate")}
    found = {name: path for name, path in found.items() if path.is_file() and name in versions}
    if "candidate" not in found:
        raise Conflict(_("The engine left no answers."))
    folder = _linked(found.values(), job.predictions_directory)
    made: dict[str, Evaluation] = {}
    for name, path in found.items():
        made[name] = evaluation_create(
            project=job.project,
            created_by=job.created_by,
            version=versions[name],
            baseline=made.get("baseline"),
            dataset_version_id=data.dataset_version_id,
            dataset_label=str(data.dataset_version),
            settings=_generation(job),
            predictions_path=folder / path.name,
        )
        job.evaluations.add(made[name])
    _end(job.pk, State.SUCCEEDED, version=None, result=result)


def _generation(job: Job) -> dict[str, Any]:
    """How the answers were made, for whoever compares them."""
    import yaml

    config = yaml.safe_load(job.config) or {}
    names = (
        "max_samples",
        "max_new_tokens",
        "temperature",
        "top_p",
        "seed",
        "cutoff_len",
        "template",
    )
    return {name: config[name] for name in names if config.get(name) is not None}
