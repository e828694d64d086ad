"""Everything that the page of a new job shows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings as site
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy

from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import text_of
from datasets.lengths import lengths_by
from datasets.models import DatasetVersion
from datasets.services import version_unfit
from datasets.statistics.tokenizers import Tokenizer
from jobs import services
from jobs.engines.base import Choice, Text
from jobs.forms.chosen import Chosen
from jobs.forms.controls import DATA, SET, JobForm, Option, Setting, shown
from jobs.models import Job
from jobs.services.drafts import draft_order
from jobs.services.places import Start, hardware, start_foreseen
from jobs.services.reading import time_foreseen
from registry.models import ModelVersion

TOLERANCE = 1.15  # the estimate is rough: only what is clearly too large is refused
UNFIT: dict[str, Text] = {
    "sft": gettext_lazy("This data has no questions with answers."),
    "dpo": gettext_lazy("This data has no pairs of better and worse answers."),
    "rm": gettext_lazy("This data has no pairs of better and worse answers."),
    "pt": gettext_lazy("This data holds no plain texts."),
    "kto": gettext_lazy("This data has no good or bad marks."),
}


class JobPage(Chosen):
    """The choices with the form, the cards, the consequences."""

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
        """How many rows would be cut, or how far their count is; None when it cannot be told."""
        data = self.chosen("dataset_versions")
        if self.checked is None or not data or self.kind == Job.Kind.EXPORT:
            return None
        order = self.checked.order
        base = order.source.base
        if base.startswith("hub:"):
            return None
        told = {key: value for key, value in order.overrides.items() if value is not None}
        asked = {**self.defaults, **order.settings, **told}
        # The engine keeps a token of its own in rows that it packs.
        is_packed = bool(asked.get("packing") or asked.get("neat_packing"))
        length = int(asked["cutoff_len"]) - is_packed
        template = order.source.template
        directory = site.TRAINER_HOME / base
        tokenizer = Tokenizer("", base, directory, template, is_base=True)
        # Texts for pretraining are joined and cut into blocks: nothing of them is lost.
        others = [row for row in data if row.shape != "text"]
        found = [lengths_by(row, tokenizer, length, by=self.user) for row in others]
        if any(one.state == "failed" for one in found):
            return None
        return {
            "count": sum(one.cut for one in found),
            "rows": sum(row.rows for row in data),
            "is_counted": all(one.state == "done" for one in found),
            "percent": sum(one.percent for one in found) // max(len(found), 1),
        }

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
        return {
            "total": total,
            "room": room,
            "fits": not room or total <= room * TOLERANCE,
            "parts": [
                {"label": label, "size": size, "percent": round(100 * size / scale, 1), "at": at}
                for at, (label, size) in enumerate(self.checked.estimate.parts)
                if size
            ],
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
            key = text_of(self.data, "form_key")
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
