"""A job before it is one: checked choices, the configuration they give, what it will need."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.conf import settings as site

from accounts.models import Project, User
from common.errors import DomainError
from common.phrases import gettext as _
from datasets.models import DatasetVersion
from datasets.services import dataset_name, version_stop, version_unfit
from jobs.engines import engine_named
from jobs.engines.base import Engine, Estimate, Order, Source
from jobs.models import Job
from jobs.services.places import hardware
from registry.models import ModelVersion

ENGINE = "llamafactory"
SIZES = ("hidden_size", "num_hidden_layers", "vocab_size")


@dataclass(frozen=True)
class Draft:
    """What a person asked for. Rows, not ids: the caller has looked them up in what he may see."""

    project: Project
    kind: str
    model_version: ModelVersion
    name: str = ""
    dataset_versions: tuple[DatasetVersion, ...] = ()
    eval_dataset_versions: tuple[DatasetVersion, ...] = ()
    after_dataset_versions: tuple[DatasetVersion, ...] = ()
    stage: str = ""
    method: str = ""
    preset: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    config_overrides: str = ""
    gpus: int | None = None
    output_name: str = ""
    remark: str = ""
    priority: int = 50
    parent: Job | None = None
    idempotency_key: str = ""


@dataclass(frozen=True)
class Checked:
    """A draft that will run: the order for the engine and what it will need."""

    draft: Draft
    order: Order
    engine: Engine
    estimate: Estimate
    cpus: float


def _config_of(directory: Path | None) -> dict[str, Any]:
    """The model's own config.json; empty without one."""
    if directory is None:
        return {}
    try:
        facts = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return dict(facts.get("text_config") or facts) if isinstance(facts, dict) else {}


def source_of(version: ModelVersion, name: str = "candidate") -> Source:
    """The version as an engine loads it; DomainError when its weights cannot be reached."""
    base, adapter = version.chain()
    if base.startswith("hub:") and (not site.HUB_ONLINE or base == "hub:"):
        raise DomainError(
            _(
                "The weights of “%(model)s” are not on this machine, and the platform does not"
                " fetch from hubs. Ask an operator to import them, or choose another model."
            )
            % {"model": version},
            field="model_version",
            code="no_weights",
        )
    under = next((v for v in (version, *version.lineage()) if v.location == base), version)
    facts = _config_of(under.directory)
    return Source(
        base=base,
        adapter=adapter or "",
        template=version.template or under.template,
        parameters=under.parameters or version.parameters or (under.bytes or 0) // 2,
        shape={size: int(facts[size]) for size in SIZES if isinstance(facts.get(size), int)},
        name=name,
        has_tied_words=facts.get("tie_word_embeddings") is True,
    )


def baseline_of(version: ModelVersion) -> ModelVersion | None:
    """The model that a version is compared with: where its line began."""
    line = version.lineage()
    return line[-1] if line else None


def _data_check(draft: Draft) -> None:
    if draft.kind == Job.Kind.EXPORT:
        return
    if not draft.dataset_versions:
        raise DomainError(
            _("Choose at least one dataset."), field="dataset_versions", code="missing"
        )
    stage = draft.stage if draft.kind == Job.Kind.TRAIN else "sft"
    groups = (
        ("dataset_versions", draft.dataset_versions, stage),
        ("eval_dataset_versions", draft.eval_dataset_versions, stage),
        ("after_dataset_versions", draft.after_dataset_versions, "sft"),
    )
    for name, versions, wanted in groups:
        if len({version.pk for version in versions}) != len(versions):
            raise DomainError(_("The same data is named twice."), field=name, code="twice")
        for version in versions:
            if reason := _unfit(version, wanted):
                raise DomainError(
                    _("“%(data)s” cannot be used here: %(reason)s")
                    % {"data": version, "reason": reason},
                    field=name,
                    code="data_unfit",
                    data={"dataset_version": str(version.pk)},
                )
    if draft.kind == Job.Kind.EVALUATE and len(draft.dataset_versions) > 1:
        raise DomainError(
            _("An evaluation is about one dataset. Submit one for each."),
            field="dataset_versions",
            code="too_many",
        )


def _unfit(version: DatasetVersion, stage: str) -> str:
    if version.state != DatasetVersion.State.READY:
        return _("it is %(state)s") % {"state": DatasetVersion.State(version.state).label}
    return version_unfit(version, stage=stage)


def _stops_check(draft: Draft, order: Order) -> None:
    """Refuses rows at which the engine would stop under the job's chat template."""
    told = order.overrides.get("template") or order.settings.get("template")
    template = str(told or order.source.template)
    for name in ("dataset_versions", "eval_dataset_versions", "after_dataset_versions"):
        for version in getattr(draft, name):
            if reason := version_stop(version, template=template):
                raise DomainError(
                    _("“%(data)s” cannot be used here: %(reason)s")
                    % {"data": version, "reason": reason},
                    field=name,
                    code="data_stops",
                    data={"dataset_version": str(version.pk)},
                )


def _model_check(draft: Draft) -> None:
    version = draft.model_version
    if not ModelVersion.objects.usable_in(draft.project).filter(pk=version.pk).exists():
        raise DomainError(
            _(
                "“%(model)s” cannot be used in the project %(project)s. Choose an enabled base"
                " model or one of the project's own."
            )
            % {"model": version, "project": draft.project},
            field="model_version",
            code="model_not_usable",
        )
    if version.kind == ModelVersion.Kind.REWARD:
        raise DomainError(
            _("“%(model)s” judges answers; it does not write any. Choose a chat model.")
            % {"model": version},
            field="model_version",
            code="model_unfit",
        )
    if version.kind == ModelVersion.Kind.QUANTISED and draft.kind != Job.Kind.EVALUATE:
        raise DomainError(
            _("“%(model)s” is quantised: train or merge the full weights it came from.")
            % {"model": version},
            field="model_version",
            code="model_unfit",
        )


def _gpus_of(draft: Draft, available: int) -> int:
    """How many GPUs: as asked, or one where there are any."""
    if draft.gpus is None or draft.kind != Job.Kind.TRAIN:
        return min(available, 1)
    if not 0 <= draft.gpus <= available:
        raise DomainError(
            _("The largest machine has %(count)s GPUs.") % {"count": available},
            field="gpus",
            code="not_available",
        )
    return draft.gpus


def draft_order(draft: Draft) -> Order:
    """The draft in the engine's terms, with checked settings and overrides; DomainError."""
    engine, machine = engine_named(ENGINE), hardware()
    base = baseline_of(draft.model_version) if draft.kind == Job.Kind.EVALUATE else None
    training = draft.kind == Job.Kind.TRAIN
    rows = sum(version.rows for version in draft.dataset_versions)
    order = Order(
        kind=draft.kind,
        source=source_of(draft.model_version),
        stage=(draft.stage or "sft") if training else "",
        method=(draft.method or "lora") if training else "",
        preset=(draft.preset or "balanced") if training else "",
        settings=draft.settings,
        datasets=[dataset_name(version) for version in draft.dataset_versions],
        eval_datasets=[dataset_name(version) for version in draft.eval_dataset_versions],
        rows=rows,
        baseline=source_of(base, "baseline") if base else None,
        gpus=_gpus_of(draft, len(machine.gpu_memory)),
        hardware=machine,
    )
    settings = dict(engine.clean(order))
    order = replace(order, settings=settings)
    return replace(order, overrides=engine.overrides(order, draft.config_overrides))


def cpus_of(order: Order) -> float:
    """Without a GPU one job at a time: two on the same cores slow each other down many times over.

    A quarter of the machine stays free for a small deployment beside it.
    """
    return 0.75 * order.hardware.cpus if not order.gpus else 2.0


def draft_check(draft: Draft, *, by: User | None = None) -> Checked:
    """Everything that can be refused before anything is written; DomainError names the field."""
    _model_check(draft)
    if draft.kind == Job.Kind.TRAIN:
        draft = replace(
            draft,
            stage=draft.stage or "sft",
            method=draft.method or "lora",
            preset=draft.preset or "balanced",
        )
    order = draft_order(draft)
    _data_check(draft)
    _stops_check(draft, order)
    _visible_check(draft, by)
    engine = engine_named(ENGINE)
    return Checked(draft, order, engine, engine.estimate(order), cpus_of(order))


def _visible_check(draft: Draft, by: User | None) -> None:
    if by is None:
        return
    for name in ("dataset_versions", "eval_dataset_versions", "after_dataset_versions"):
        wanted: set[uuid.UUID] = {version.pk for version in getattr(draft, name)}
        seen = DatasetVersion.objects.visible_to(by).filter(pk__in=wanted).count()
        if seen != len(wanted):
            raise DomainError(
                _("This data is gone, or no longer shared with you. Choose other data."),
                field=name,
                code="unknown",
            )
