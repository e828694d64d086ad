"""What has been chosen so far for a new job, and what follows from it."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings as site
from django.http import QueryDict
from django.utils.functional import cached_property

from accounts.models import Project, User
from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import text_of, whole
from datasets.models import DatasetVersion
from datasets.services import version_unfit
from jobs import services
from jobs.engines import engine_named
from jobs.engines.base import Engine, Field, Order, Source
from jobs.forms.controls import SET, WAS
from jobs.models import Job
from jobs.services.drafts import ENGINE, draft_order
from jobs.services.places import hardware
from registry.models import ModelVersion

MAX_ROWS = 200


@dataclass
class Chosen:
    """The posted choices, read as rows of the database. Refusals are kept in `errors` by field."""

    kind: str
    user: User
    project: Project
    data: QueryDict
    parent: Job | None = None
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The engine that would run it."""
        return engine_named(ENGINE)

    @cached_property
    def stage(self) -> str:
        """What is taught: the goal that the data fits; empty for other kinds than training."""
        if self.kind != Job.Kind.TRAIN:
            return ""
        wanted = self.data.get("stage") or "sft"
        data = self.chosen("dataset_versions")
        if self.is_started or not data or not version_unfit(data[0], stage=wanted):
            return wanted
        fitting = (goal.value for goal in self.engine.goals(self.kind))
        return next((goal for goal in fitting if not version_unfit(data[0], stage=goal)), wanted)

    @cached_property
    def method(self) -> str:
        """Which weights change."""
        return (self.data.get("method") or "lora") if self.kind == Job.Kind.TRAIN else ""

    @cached_property
    def preset(self) -> str:
        """How thorough."""
        return (self.data.get("preset") or "balanced") if self.kind == Job.Kind.TRAIN else ""

    @cached_property
    def models(self) -> list[ModelVersion]:
        """What may be used in the project."""
        rows = ModelVersion.objects.usable_in(self.project).exclude(kind=ModelVersion.Kind.REWARD)
        return list(rows.select_related("model", "base__model").order_by("model__name", "-number"))

    @cached_property
    def model_version(self) -> ModelVersion | None:
        """The chosen model; at first the only one that there is."""
        if "model_version" not in self.data:
            ready = [row for row in self.models if not self._model_problem(row)]
            return ready[0] if len(ready) == 1 else None
        wanted = self.data["model_version"]
        return next((row for row in self.models if str(row.pk) == wanted), None)

    def _model_problem(self, row: ModelVersion) -> str:
        if row.kind == ModelVersion.Kind.QUANTISED and self.kind != Job.Kind.EVALUATE:
            return _("quantised")
        missing = row.chain()[0].startswith("hub:") and not site.HUB_ONLINE
        return _("its weights are not on this machine") if missing else ""

    @cached_property
    def versions(self) -> list[DatasetVersion]:
        """Ready data of the project, then what is public."""
        rows = DatasetVersion.objects.visible_to(self.user).filter(state=DatasetVersion.State.READY)
        rows = rows.select_related("dataset").order_by("-created_at")[:MAX_ROWS]
        here = [row for row in rows if row.dataset.project_id == self.project.pk]
        return here + [row for row in rows if row.dataset.project_id != self.project.pk]

    def chosen(self, name: str) -> tuple[DatasetVersion, ...]:
        """Chosen data, in the order of the list."""
        wanted = set(self.data.getlist(name))
        return tuple(row for row in self.versions if str(row.pk) in wanted)

    @cached_property
    def rows(self) -> list[Field]:
        """Settings that matter."""
        return self.engine.fields(self.kind, self.stage, self.method)

    @cached_property
    def changed(self) -> dict[str, str]:
        """Settings that a person has changed: filled in, and not what was shown."""
        found = {row.name: str(self.data.get(SET + row.name) or "").strip() for row in self.rows}
        return {
            name: value
            for name, value in found.items()
            if value and value != self.data.get(WAS + name, "")
        }

    def draft(self, *, plain: bool = False) -> services.Draft | None:
        """What has been chosen so far; None without a model."""
        if self.model_version is None:
            return None
        return services.Draft(
            project=self.project,
            kind=self.kind,
            model_version=self.model_version,
            name=self.data.get("name", "").strip(),
            dataset_versions=self.chosen("dataset_versions"),
            eval_dataset_versions=self.chosen("eval_dataset_versions"),
            after_dataset_versions=self.chosen("after_dataset_versions"),
            stage=self.stage,
            method=self.method,
            preset=self.preset,
            settings={} if plain else self.changed,
            config_overrides="" if plain else self.data.get("config_overrides", ""),
            gpus=whole(self.data.get("gpus", "")),
            output_name=text_of(self.data, "output_name"),
            remark=text_of(self.data, "remark", 2000),
            parent=self.parent,
        )

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """What each setting is when nobody changes it."""
        draft = self.draft(plain=True)
        try:
            order = draft_order(draft) if draft else self._order_without_model()
            return self.engine.defaults(order)
        except DomainError as refused:
            self.note(refused)
            return {row.name: row.default for row in self.rows}

    def _order_without_model(self) -> Order:
        """What the settings would be for some model, while none is chosen."""
        return Order(
            self.kind,
            Source(base="models/none"),
            stage=self.stage,
            method=self.method,
            preset=self.preset,
            rows=sum(row.rows for row in self.chosen("dataset_versions")),
            hardware=hardware(),
        )

    @cached_property
    def checked(self) -> services.Checked | None:
        """The draft when it would run; otherwise the refusal is noted."""
        draft = self.draft()
        if draft is None:
            return None
        try:
            return services.draft_check(draft, by=self.user)
        except DomainError as refused:
            self.note(refused)
            return None

    def note(self, refused: DomainError) -> None:
        """Keeps a refusal for its field."""
        name = (refused.field or "").removeprefix("settings.")
        self.errors.setdefault(name, refused.message)

    @property
    def is_started(self) -> bool:
        """Whether the person pressed the button."""
        return "start" in self.data
