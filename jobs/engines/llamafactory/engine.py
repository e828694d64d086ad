"""The adapter of LLaMA-Factory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy

from common.errors import DomainError
from common.phrases import gettext as _
from jobs.engines import strict_yaml
from jobs.engines.base import (
    Advice,
    Choice,
    Estimate,
    Failure,
    Field,
    Order,
    Request,
    Source,
    Text,
)
from jobs.engines.llamafactory import facts, failures, render, rules
from jobs.engines.llamafactory.fields import FIELDS

STAGES = ("pt", "sft", "rm", "dpo", "kto")
METHODS = ("lora", "qlora", "freeze", "full")
PRESETS = ("quick", "balanced", "thorough", "small_gpu")
VERBS = {"train": "train", "evaluate": "predict", "export": "export"}
NOT_WEIGHTS = (
    "optimizer.pt", "scheduler.pt", "trainer_state.json", "training_args.bin", "scaler.pt",
    "trainer_log.jsonl", "all_results.json", "train_results.json", "eval_results.json",
    "optimizer.bin", "checkpoint-is-incomplete.txt",
)  # fmt: skip
GOALS = (
    Choice("sft", gettext_lazy("Answer like my examples"),
           gettext_lazy("supervised fine-tuning, SFT"), "message-circle"),
    Choice("dpo", gettext_lazy("Prefer better answers"), "DPO, ORPO, SimPO", "thumbs-up"),
    Choice("pt", gettext_lazy("Know my texts"),
           gettext_lazy("pretraining, also from nothing, PT"), "book-open"),
    Choice("kto", gettext_lazy("Good or bad marks"), "KTO", "circle-dot"),
    Choice("rm", gettext_lazy("Judge answers"), gettext_lazy("reward model, RM"), "scale"),
)  # fmt: skip


class LlamaFactory:
    """See `jobs.engines.base.Engine`."""

    name = facts.NAME
    title = "LLaMA-Factory"

    def version(self) -> str:
        """Of the installed environment; empty when none is installed here."""
        return str(facts.engine_facts().get("version") or "")

    def goals(self, kind: str) -> list[Choice]:
        """What a training can teach. PPO is not offered: the engine's own does not start."""
        return list(GOALS) if kind == "train" else []

    def methods(self, stage: str) -> list[Choice]:
        """Which weights may change."""
        reason = facts.capability("qlora")[1]
        return [
            Choice("lora", "LoRA", _("small add-on weights, fits most GPUs"), "layers-2"),
            Choice("qlora", "QLoRA", _("4-bit base, least memory"), "minimize-2",
                   reason),
            Choice("freeze", _("Freeze"), _("only the last layers"), "snowflake"),
            Choice("full", _("Full"), _("all weights, most memory"), "box"),
        ]  # fmt: skip

    def presets(self, stage: str, method: str) -> list[Choice]:
        """How thorough."""
        return [
            Choice("quick", _("Quick try"), _("once through up to 1,000 rows"), "zap"),
            Choice("balanced", _("Balanced"), _("3 epochs"), "gauge"),
            Choice("thorough", _("Thorough"),
                   _("5 epochs, stops when it no longer gains"), "target"),
            Choice("small_gpu", _("Small GPU"), _("short rows, one at a time"), "cpu"),
        ]  # fmt: skip

    def fields(self, kind: str, stage: str, method: str) -> list[Field]:
        """The settings that matter for the combination, the main ones first."""
        found = [field for field in FIELDS if field.matters_for(kind, stage, method)]
        return sorted(found, key=lambda field: not field.is_main)

    def all_fields(self) -> Sequence[Field]:
        """Every setting of the catalogue."""
        return FIELDS

    def arguments(self) -> Mapping[str, Mapping[str, Any]]:
        """Every argument of a training."""
        return facts.arguments()

    def defaults(self, order: Order) -> dict[str, Any]:
        """The values of `fields` when nobody changes anything."""
        plain = Order(**{**vars(order), "settings": {}, "overrides": {}})
        config = render.build(plain)
        return {
            field.name: config.get(field.name, field.default)
            for field in self.fields(order.kind, order.stage, order.method)
        }

    def clean(self, order: Order) -> dict[str, Any]:
        """`order.settings` as the engine wants them; DomainError names the one to blame."""
        self._combination_check(order)
        settings = rules.settings_clean(order)
        self._template_check(settings.get("template"))
        if settings.get("export_quantization_bit"):
            available, reason = facts.capability("quantise")
            if not available:
                raise DomainError(
                    _("Quantising is not possible here: %(reason)s. Export without it.")
                    % {"reason": reason},
                    field="export_quantization_bit",
                    code="not_available",
                )
        return settings

    def overrides(self, order: Order, text: str) -> dict[str, Any]:
        """The user's YAML, checked; DomainError with field config_overrides."""
        values = rules.overrides_clean(order.kind, text)
        self._template_check(values.get("template"), field=strict_yaml.FIELD)
        if values.get("export_quantization_bit") and not facts.capability("quantise")[0]:
            raise strict_yaml.refused(_("Quantising is not possible here."))
        return values

    def render(self, order: Order) -> str:
        """The final configuration, YAML."""
        return strict_yaml.dump(render.build(order))

    def request(self, kind: str, config: str, source: Source, data: str, **links: str) -> Request:
        """What to run. `links` are further inputs: checkpoint, baseline_model."""
        inputs = {"model": source.base, "adapter": source.adapter, "data": data, **links}
        files = {"config.yaml": config}
        if "checkpoint" in links:
            files["config.yaml"] += "resume_from_checkpoint: inputs/checkpoint\n"
        return Request(VERBS[kind], {k: v for k, v in inputs.items() if v}, files, {})

    def why_not_pausable(self, stage: str, method: str) -> Text:
        """Reward models without LoRA start from the beginning after a stop."""
        if stage == "rm" and method in {"full", "freeze"}:
            return _(
                "The engine cannot resume a reward model trained with this method: it would start "
                "from the beginning."
            )
        return ""

    def estimate(self, order: Order) -> Estimate:
        """What it will need."""
        return render.estimate(order)

    def classify(self, log_tail: str) -> Failure:
        """What went wrong, from the last lines of the log."""
        return failures.classify(log_tail)

    def advice(self, failure: str, code: str, settings: Mapping[str, Any]) -> Advice:
        """What to do about it."""
        return failures.advice(failure, code, settings)

    def weights(self, output: Path, checkpoint: str) -> list[Path]:
        """The files that are the model: of the end, or of a checkpoint when it is named."""
        folder = output / checkpoint if checkpoint else output
        if not folder.is_dir():
            return []
        files = [
            path
            for path in sorted(folder.iterdir())
            if path.is_file()
            and path.name not in NOT_WEIGHTS
            and not path.name.startswith(("rng_state", "."))
            and path.suffix not in {".png", ".pt"}
        ]
        has_weights = any(path.suffix in {".safetensors", ".bin"} for path in files)
        return files if has_weights else []

    def _combination_check(self, order: Order) -> None:
        if order.kind != "train":
            return
        if order.stage not in STAGES:
            raise DomainError(
                _("The goal “%(stage)s” is not offered; choose one of %(choices)s.")
                % {"stage": order.stage, "choices": ", ".join(STAGES)},
                field="stage",
                code="not_available",
            )
        if order.preset not in PRESETS:
            raise DomainError(
                _("There is no preset “%(preset)s”; choose one of %(choices)s.")
                % {"preset": order.preset, "choices": ", ".join(PRESETS)},
                field="preset",
                code="not_available",
            )
        found = next((row for row in self.methods(order.stage) if row.value == order.method), None)
        if found is None or found.reason:
            raise DomainError(
                _("The method “%(method)s” is not offered: %(reason)s.")
                % {"method": order.method, "reason": found.reason if found else ", ".join(METHODS)},
                field="method",
                code="not_available",
            )
        if (
            order.stage == "rm"
            and order.method in {"freeze", "full"}
            and order.source.has_tied_words
        ):
            raise DomainError(
                _("The engine cannot save this model's weights after this training. Use LoRA."),
                field="method",
                code="not_available",
            )
        if order.source.adapter and order.method in {"freeze", "full"}:
            raise DomainError(
                _("An adapter can only be trained on with LoRA or QLoRA. Export it first."),
                field="method",
                code="not_available",
            )

    def _template_check(self, template: str | None, field: str = "template") -> None:
        known = facts.templates()
        if template and known and template not in known:
            raise DomainError(
                _("The engine knows no chat template “%(name)s”.") % {"name": template},
                field=field,
                code="bad_setting",
            )
