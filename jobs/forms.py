"""The form of a new job: it follows what is chosen, and keeps what a person has changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.conf import settings as site
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Project, User
from common.errors import DomainError
from datasets.models import DatasetVersion
from datasets.services import version_cut_count, version_unfit
from jobs import services
from jobs.engines import engine_named
from jobs.engines.base import Choice, Engine, Field, Order, Source, Text
from jobs.models import Job
from jobs.services.drafts import ENGINE, draft_order
from jobs.services.places import Start, hardware, start_foreseen
from jobs.services.reading import number_text, time_foreseen
from registry.models import ModelVersion

SET, WAS = "set_", "was_"
BOOLEANS = (("true", gettext_lazy("yes")), ("false", gettext_lazy("no")))
DATA = ("dataset_versions", "eval_dataset_versions", "after_dataset_versions")
TOLERANCE = 1.15  # the estimate is rough: only what is clearly too large is refused
MAX_ROWS = 200
UNFIT: dict[str, Text] = {
    "sft": gettext_lazy("This data has no questions with answers."),
    "dpo": gettext_lazy("This data has no pairs of better and worse answers."),
    "rm": gettext_lazy("This data has no pairs of better and worse answers."),
    "pt": gettext_lazy("This data holds no plain texts."),
    "kto": gettext_lazy("This data has no good or bad marks."),
}


def shown(value: Any) -> str:
    """A setting as people write it: 5e-6, 0.1, true, or nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    return str(value)


def control(row: Field) -> forms.Field:
    """The control of a setting. What it may hold is checked by the engine, not here."""
    common: dict[str, Any] = {"label": row.label, "help_text": row.help, "required": False}
    if row.kind == "bool":
        return forms.ChoiceField(choices=BOOLEANS, **common)
    if row.kind == "choice":
        return forms.ChoiceField(
            choices=[(shown(value), label) for value, label in row.choices], **common
        )
    number = {"inputmode": "decimal" if row.kind == "float" else "numeric"}
    widget = forms.TextInput(attrs=number if row.kind in {"int", "float"} else {})
    return forms.CharField(widget=widget, max_length=4000, **common)


class JobForm(forms.Form):
    """Names and free texts of a new job, and a control for each setting that matters."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("How you will find it again."),
    )
    output_name = forms.CharField(
        label=gettext_lazy("Register as"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("The model that gets the new version. Empty: the job's name."),
    )
    remark = forms.CharField(
        label=gettext_lazy("Remark"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    config_overrides = forms.CharField(
        label=gettext_lazy("Further arguments, as YAML"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "mono"}),
        help_text=gettext_lazy("One “argument: value” a line; wins over everything above."),
    )

    def __init__(self, *args: Any, rows: list[Field], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for row in rows:
            self.fields[SET + row.name] = control(row)


@dataclass(frozen=True)
class Option:
    """Something to choose, greyed with its reason when it cannot work."""

    value: str
    title: str
    text: str = ""
    is_chosen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Setting:
    """A control with what it was before anybody changed it."""

    field: Any
    row: Field
    was: str
    is_changed: bool


@dataclass
class JobPage:
    """Everything the page of a new job shows, worked out from what has been chosen so far."""

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
        gpus = self.data.get("gpus") or ""
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
            gpus=int(gpus) if gpus.isdigit() else None,
            output_name=self.data.get("output_name", ""),
            remark=self.data.get("remark", ""),
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

    @cached_property
    def form(self) -> JobForm:
        """The form with what a person changed and the defaults of what he did not."""
        data = self.data.copy()
        for row in self.rows:
            if row.name not in self.changed:
                data[SET + row.name] = shown(self.defaults.get(row.name, row.default))
        return JobForm(data, rows=self.rows)

    def settle(self) -> "JobPage":
        """Works everything out and puts each refusal to its field. Call it once, last."""
        _checked = self.checked
        for name, message in self.errors.items():
            for place in (SET + name, name):
                if place in self.form.fields:
                    self.form.add_error(place, message)
                    break
        return self

    @property
    def other_errors(self) -> list[str]:
        """Refusals that no control shows; before the start, what is merely missing is none."""
        names = set(self.form.fields)
        return [
            message
            for name, message in self.errors.items()
            if name not in names
            and SET + name not in names
            and not (name in {"dataset_versions", "model_version"} and not self.is_started)
        ]

    @property
    def is_started(self) -> bool:
        """Whether the person pressed the button."""
        return "start" in self.data

    @cached_property
    def settings(self) -> list[Setting]:
        """Controls in order, with what they were."""
        found = []
        for row in self.rows:
            was = shown(self.defaults.get(row.name, row.default))
            found.append(Setting(self.form[SET + row.name], row, was, row.name in self.changed))
        return found

    @property
    def main_settings(self) -> list[Setting]:
        """Those that most people look at, and any that was changed or is wrong."""
        return [item for item in self.settings if item.row.is_main]

    @property
    def more_settings(self) -> list[Setting]:
        """The others."""
        return [item for item in self.settings if not item.row.is_main]

    @cached_property
    def goals(self) -> list[dict[str, Any]]:
        """Goals as cards; those that the data does not fit are greyed."""
        data = self.chosen("dataset_versions")
        return [
            _card(goal, UNFIT[goal.value] if _unfit(data, goal.value) else "")
            for goal in self.engine.goals(self.kind)
        ]

    @cached_property
    def methods(self) -> list[dict[str, Any]]:
        """Methods as cards; those that do not fit the memory or the model are greyed."""
        return [
            _card(row, str(row.reason) or self._method_problem(row.value))
            for row in self.engine.methods(self.stage)
        ]

    def _method_problem(self, method: str) -> str:
        draft = self.draft(plain=True)
        if draft is None:
            return ""
        from dataclasses import replace

        try:
            order = draft_order(replace(draft, method=method))
        except DomainError as refused:
            return refused.message
        room = max(order.hardware.gpu_memory, default=order.hardware.memory)
        needed = self.engine.estimate(order).total
        if not room or needed <= room * TOLERANCE:
            return ""
        return _("needs about %(needed)s GB, you have %(room)s") % {
            "needed": round(needed / 2**30),
            "room": round(room / 2**30),
        }

    @cached_property
    def presets(self) -> list[dict[str, Any]]:
        """Presets as cards."""
        return [_card(row, "") for row in self.engine.presets(self.stage, self.method)]

    @cached_property
    def model_groups(self) -> list[tuple[str, list[Option]]]:
        """Models to choose: the project's own first."""
        own = [self._model(row) for row in self.models if row.model.project_id]
        base = [self._model(row) for row in self.models if not row.model.project_id]
        groups = [(_("of the project"), own), (_("base models"), base)]
        return [(title, rows) for title, rows in groups if rows]

    def _model(self, row: ModelVersion) -> Option:
        chosen = self.model_version is not None and row.pk == self.model_version.pk
        problem = self._model_problem(row)
        return Option(str(row.pk), str(row), row.get_kind_display(), chosen, problem)

    def _model_problem(self, row: ModelVersion) -> str:
        if row.kind == ModelVersion.Kind.QUANTISED and self.kind != Job.Kind.EVALUATE:
            return _("quantised")
        missing = row.chain()[0].startswith("hub:") and not site.HUB_ONLINE
        return _("its weights are not on this machine") if missing else ""

    def data_options(self, name: str, stage: str) -> list[Option]:
        """Data to choose, greyed where it does not fit the stage."""
        chosen = set(self.data.getlist(name))
        options = [
            Option(
                str(row.pk),
                str(row),
                _("%(rows)s rows · %(shape)s")
                % {"rows": f"{row.rows:,}", "shape": row.get_shape_display()},
                str(row.pk) in chosen,
                str(UNFIT[stage]) if stage and version_unfit(row, stage=stage) else "",
            )
            for row in self.versions
        ]
        return sorted(options, key=lambda option: bool(option.reason))

    @property
    def train_data(self) -> list[Option]:
        """Data to learn from; for a training every goal is still open."""
        return self.data_options("dataset_versions", "" if self.stage else "sft")

    @property
    def eval_data(self) -> list[Option]:
        """Data to measure the loss on."""
        return self.data_options("eval_dataset_versions", self.stage)

    @property
    def after_data(self) -> list[Option]:
        """Data to be questioned on afterwards."""
        return self.data_options("after_dataset_versions", "sft")

    @cached_property
    def cut(self) -> dict[str, Any] | None:
        """How many rows would be cut; None when it cannot be told."""
        data = self.chosen("dataset_versions")
        if self.checked is None or not data or self.kind == Job.Kind.EXPORT:
            return None
        base = self.checked.order.source.base
        if base.startswith("hub:"):
            return None
        defaults = {**self.defaults, **self.checked.order.settings}
        length = int(self.checked.order.overrides.get("cutoff_len") or defaults["cutoff_len"])
        try:
            count = sum(
                version_cut_count(
                    row,
                    tokenizer_dir=site.TRAINER_HOME / base,
                    template=self.checked.order.source.template,
                    cutoff_len=length,
                )
                for row in data
            )
        except Exception:  # noqa: BLE001  the tokenizers library raises nothing more exact
            return None
        return {"count": count, "rows": sum(row.rows for row in data), "length": length}

    @cached_property
    def config(self) -> str:
        """The final YAML; empty while something is missing."""
        return self.checked.engine.render(self.checked.order) if self.checked else ""

    @cached_property
    def start(self) -> Start:
        """When it would start."""
        gpus = self.checked.order.gpus if self.checked else 0
        return start_foreseen(gpus, self.checked.cpus if self.checked else 1.0)

    @cached_property
    def memory(self) -> dict[str, Any] | None:
        """Memory in parts, against what there is."""
        if self.checked is None:
            return None
        machine = hardware()
        gpus = self.checked.order.gpus
        room = max(machine.gpu_memory, default=0) if gpus else machine.memory
        total = self.checked.estimate.total
        scale = max(room, total, 1)
        colours = ("#3b5bdb", "#7048e8", "#1098ad", "#868e96")
        return {
            "total": total,
            "room": room,
            "fits": not room or total <= room * TOLERANCE,
            "parts": [
                {"label": label, "size": size, "percent": round(100 * size / scale, 1), "at": at}
                for at, (label, size) in enumerate(self.checked.estimate.parts)
            ],
            "colours": colours,
            "per_gpu": bool(gpus),
        }

    @property
    def pause_note(self) -> str:
        """Why a training of this kind cannot be paused; empty when it can."""
        return str(self.engine.why_not_pausable(self.stage, self.method))

    @property
    def more_changed(self) -> bool:
        """Whether a setting of the folded part was changed or is wrong."""
        return any(item.is_changed or item.field.errors for item in self.more_settings)

    @property
    def argument_count(self) -> int:
        """How many arguments the engine knows."""
        return len(self.engine.arguments())

    @property
    def to_look_at(self) -> int:
        """How many settings are refused."""
        return sum(1 for item in self.settings if item.field.errors) + bool(
            self.errors.get("config_overrides")
        )

    @property
    def should_hold_back(self) -> bool:
        """Whether the evaluation loss will be missing although it could be there."""
        return (
            self.kind == Job.Kind.TRAIN
            and self.checked is not None
            and not self.checked.order.eval_datasets
            and not self.checked.order.settings.get("val_size")
        )

    @cached_property
    def time_foreseen(self) -> float | None:
        """Seconds, from the pace of an earlier training of the same kind; None without one."""
        if self.checked is None or self.kind != Job.Kind.TRAIN or not self.checked.estimate.steps:
            return None
        return time_foreseen(self.checked.draft.model_version, self.method, self.checked.estimate)

    @property
    def gpus_chosen(self) -> int:
        """How many GPUs it would get."""
        return self.checked.order.gpus if self.checked else 1

    @cached_property
    def gpu_choices(self) -> list[int]:
        """Numbers of GPUs to choose from; empty without any."""
        count = len(hardware().gpu_memory)
        return [number for number in (1, 2, 4, 8) if number <= count]

    def submit(self) -> Job:
        """Submits the draft; DomainError, also noted for its field."""
        draft = self.draft()
        try:
            if draft is None:
                raise DomainError(_("Choose a model."), field="model_version", code="missing")
            values: Mapping[str, Any] = {
                name: getattr(draft, name)
                for name in (
                    "project", "kind", "name", "model_version", *DATA, "stage", "method",
                    "preset", "settings", "config_overrides", "parent", "gpus", "output_name",
                    "remark",
                )
            }  # fmt: skip
            key = self.data.get("form_key", "")
            return services.job_submit(
                created_by=self.user, idempotency_key=f"form:{key}" if key else "", **values
            )
        except DomainError as refused:
            self.note(refused)
            raise


def _unfit(data: tuple[DatasetVersion, ...], stage: str) -> bool:
    return any(version_unfit(version, stage=stage) for version in data)


def _card(row: Choice, reason: Text) -> dict[str, Any]:
    return {
        "value": row.value,
        "title": row.title,
        "text": reason or row.text,
        "icon": row.icon,
        "disabled": bool(reason),
        "reason": "",
    }


def data_of(job: Job, changes: Mapping[str, Any] | None = None) -> QueryDict:
    """The form's data that would submit the same job again, with some settings changed."""
    data = QueryDict(mutable=True)
    uses = {"train": DATA[0], "eval": DATA[1], "after": DATA[2]}
    for use in job.datasets.all():
        data.appendlist(uses[use.use], str(use.dataset_version_id))
    for name in ("stage", "method", "preset", "config_overrides", "output_name", "remark", "name"):
        data[name] = getattr(job, name)
    data["model_version"] = str(job.model_version_id)
    data["gpus"] = str(job.gpus)
    for name, value in {**job.settings, **(changes or {})}.items():
        data[SET + name] = shown(value)
    return data
