"""From a job's choices to the engine's YAML, and what it will need."""

import math
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

from common.errors import DomainError
from common.phrases import gettext as _
from jobs.engines import strict_yaml
from jobs.engines.base import Estimate, Order, Source, Text
from jobs.engines.llamafactory import facts

GIB = 2**30
# hidden size and layers of well-known sizes, for models whose own config.json is not here
SHAPES = ((5e8, 896, 24), (1.5e9, 1536, 28), (4e9, 2560, 36), (8e9, 4096, 32), (14e9, 5120, 40),
          (32e9, 5120, 64), (72e9, 8192, 80))  # fmt: skip


def path_of(source: str, name: str) -> str:
    """What the configuration calls an input: the linked folder, or the hub's own name."""
    return source.removeprefix("hub:") if source.startswith("hub:") else f"inputs/{name}"


def has_evaluation(config: Mapping[str, Any]) -> bool:
    """Whether there is data to evaluate on while training."""
    return bool(config.get("eval_dataset") or config.get("val_size"))


def steps_of(config: Mapping[str, Any], rows: int, gpus: int) -> int | None:
    """Optimiser steps as the engine counts them; None while the data is not known."""
    limit = int(config.get("max_steps") or -1)
    if not rows:
        return limit if limit > 0 else None
    if config.get("max_samples"):
        rows = min(rows, int(config["max_samples"]))
    held_back = float(config.get("val_size") or 0)
    rows -= int(held_back if held_back > 1 else rows * held_back)
    per_batch = int(config["per_device_train_batch_size"]) * max(gpus, 1)
    batches = math.ceil(max(rows, 1) / per_batch)
    per_epoch = max(math.ceil(batches / int(config["gradient_accumulation_steps"])), 1)
    steps = math.ceil(per_epoch * float(config["num_train_epochs"]))
    return min(steps, limit) if limit > 0 else steps


def _layers(order: Order) -> dict[str, Any]:
    """The packaged parts of the combination."""
    packaged = facts.layers(order.kind)
    if order.kind != "train":
        return dict(packaged)
    return strict_yaml.merge(
        packaged["all"],
        packaged["stage"].get(order.stage, {}),
        packaged["method"].get(order.method, {}),
        packaged["stage_method"].get(f"{order.stage}+{order.method}", {}),
        packaged["preset"].get(order.preset, {}),
    )


def _scratch(config: dict[str, Any], order: Order) -> dict[str, Any]:
    """Random weights want larger steps than trained ones."""
    if order.settings.get("train_from_scratch") and "learning_rate" not in order.settings:
        config["learning_rate"] = 5e-4
    return config


def _rhythm(config: dict[str, Any], order: Order) -> dict[str, Any]:
    """Reports and checkpoints that suit the length of the run; evaluation where there is data."""
    steps = steps_of(config, order.rows, order.gpus)
    if steps:
        config["logging_steps"] = max(1, min(10, steps // 100))
        config["save_steps"] = max(10, min(500, steps // 5))
    config |= {key: order.settings[key] for key in ("logging_steps", "save_steps")
               if order.settings.get(key) is not None}  # fmt: skip
    if has_evaluation(config):
        config["eval_strategy"] = "steps"
        config["eval_steps"] = order.settings.get("eval_steps") or config["save_steps"]
        config["per_device_eval_batch_size"] = config["per_device_train_batch_size"]
        if order.preset == "thorough" and order.stage != "rm":
            config["early_stopping_steps"] = order.settings.get("early_stopping_steps") or 3
    if config.get("early_stopping_steps") and has_evaluation(config):
        config |= {
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
        }
    return config


def _hardware(order: Order) -> dict[str, Any]:
    """Number formats: half precision needs a GPU."""
    return {"bf16": True} if order.gpus else {"bf16": False, "dataloader_pin_memory": False}


def _place(order: Order) -> dict[str, Any]:
    """What only the platform says: model, data, output."""
    head: dict[str, Any] = {"model_name_or_path": path_of(order.source.base, "model")}
    if order.source.adapter:
        head["adapter_name_or_path"] = path_of(order.source.adapter, "adapter")
    if order.kind == "train":
        head |= {"stage": order.stage, "dataset_dir": "inputs/data"}
        head["dataset"] = ",".join(order.datasets)
        if order.eval_datasets:
            head["eval_dataset"] = ",".join(order.eval_datasets)
        head["output_dir"] = "output"
    if order.source.template:
        head["template"] = order.source.template
    return head


def _checked(config: dict[str, Any], order: Order) -> dict[str, Any]:
    """Rules of the engine over several arguments; DomainError names one of them."""
    for bad, field, message in (
        (config.get("train_on_prompt") and config.get("mask_history"), "mask_history",
         _("“Learn the questions too” and “learn the last answer only” exclude each other.")),
        (config.get("bf16") and config.get("fp16"), "config_overrides",
         _("bf16 and fp16 exclude each other.")),
        (config.get("bf16") and not order.gpus, "config_overrides",
         _("bf16 needs a GPU, and no node has one.")),
        (config.get("fp16") and not order.gpus, "config_overrides",
         _("fp16 needs a GPU, and no node has one.")),
        (config.get("val_size") and config.get("eval_dataset"), "val_size",
         _("There is evaluation data already: nothing has to be held back for testing.")),
        (config.get("early_stopping_steps") and not has_evaluation(config), "early_stopping_steps",
         _("Stopping early needs data to evaluate on: choose some, or hold back a part.")),
        (config.get("neat_packing") and order.stage != "sft", "config_overrides",
         _("neat_packing works for supervised fine-tuning only.")),
        (config.get("streaming") and int(config.get("max_steps") or -1) < 1, "max_steps",
         _("With streaming the number of steps has to be given.")),
        (config.get("pissa_init") and order.method == "qlora", "config_overrides",
         _("PiSSA does not work on a quantised base.")),
        (float(config.get("val_size") or 0) >= max(order.rows, 1) > 1, "val_size",
         _("More rows would be held back than there are.")),
    ):  # fmt: skip
        if bad:
            raise DomainError(message, field=field, code="bad_setting")
    return config


def build(order: Order) -> dict[str, Any]:
    """The final configuration as a mapping; the order of merging is in the template's head."""
    if order.kind == "train":
        base = _scratch(strict_yaml.merge(_place(order), _layers(order), _hardware(order)), order)
        config = _rhythm(strict_yaml.merge(base, dict(order.settings)), order)
        if config.get("val_size") == 0:
            del config["val_size"]
        elif config.get("val_size", 0) > 1:
            config["val_size"] = int(config["val_size"])
        return _checked(strict_yaml.merge(config, dict(order.overrides)), order)
    config = strict_yaml.merge(_layers(order), dict(order.settings), dict(order.overrides))
    if order.source.template:
        config.setdefault("template", order.source.template)
    if order.kind == "export":
        return _place(order) | config
    return _evaluation(order) | config


def _evaluation(order: Order) -> dict[str, Any]:
    """The models to ask and the data to ask them about."""
    subjects = []
    pairs: list[tuple[str, Source]] = [("candidate", order.source)]
    if order.baseline is not None:
        pairs.insert(0, ("baseline", order.baseline))
    for name, source in pairs:
        link = "model" if source.base == order.source.base else "baseline_model"
        subject = {"name": name, "model_name_or_path": path_of(source.base, link)}
        if source.adapter:
            subject["adapter_name_or_path"] = path_of(source.adapter, "adapter")
        subjects.append(subject)
    return {
        "subjects": subjects,
        "dataset_dir": "inputs/data",
        "dataset": ",".join(order.datasets),
    }


def _shape(source: Source) -> tuple[int, int, int]:
    """Hidden size, layers and words of the model."""
    known = source.shape
    if known.get("hidden_size") and known.get("num_hidden_layers"):
        return known["hidden_size"], known["num_hidden_layers"], known.get("vocab_size", 32_000)
    size = max(source.parameters, 1)
    _size, hidden, layers = min(SHAPES, key=lambda row: abs(math.log(row[0] / size)))
    return hidden, layers, 150_000


def _trainable(order: Order, config: Mapping[str, Any]) -> int:
    """How many weights change."""
    hidden, layers, _words = _shape(order.source)
    if order.method == "full":
        return order.source.parameters
    if order.method == "freeze":
        share = abs(int(config.get("freeze_trainable_layers") or 2)) / layers
        return int(order.source.parameters * min(share, 1))
    return 20 * int(config.get("lora_rank") or 8) * layers * hidden


def _resting(order: Order, config: Mapping[str, Any], changing: int) -> int:
    """Bytes of weights that stay as they are, and of the reference model where one is needed."""
    size, number = order.source.parameters, 2 if order.gpus else 4
    if order.method == "qlora":
        return int(size * (0.3 + 0.0625 * int(config.get("quantization_bit") or 4)))
    if order.method == "lora":
        return size * number
    has_reference = order.stage in {"dpo", "kto"} and config.get("pref_loss") not in {
        "orpo",
        "simpo",
    }
    return (size - changing + (size if has_reference else 0)) * number


def training_parts(order: Order, config: Mapping[str, Any]) -> list[tuple[Text, int]]:
    """Bytes on one GPU, in parts: weights, what changes them, activations, the rest.

    Weights: 2 bytes each on a GPU, 4 without one, 0.55 in 4 bits. Each weight that changes: 4 for
    itself, 4 for its gradient, 8 for AdamW's two averages. Activations with checkpointing: one
    hidden state a layer and token, one layer in full, and the scores of all words in 32 bits.
    """
    hidden, layers, words = _shape(order.source)
    number = 2 if order.gpus else 4
    changing = _trainable(order, config)
    state = 4 if "8bit" in str(config.get("optim")) else 8
    tokens = int(config["per_device_train_batch_size"]) * int(config["cutoff_len"])
    tokens *= 2 if order.stage in {"rm", "dpo"} else 1
    kept = layers * 17 * hidden if config.get("disable_gradient_checkpointing") else layers * hidden
    activations = tokens * ((kept + 17 * hidden) * number + words * 8)
    return [
        (gettext_lazy("Weights"), _resting(order, config, changing) + changing * 4),
        (gettext_lazy("Changes, gradients, optimiser"), changing * (4 + state)),
        (gettext_lazy("Activations"), activations),
        (gettext_lazy("Rest"), GIB),
    ]


def estimate(order: Order) -> Estimate:
    """What the job will need."""
    config = build(order)
    size = order.source.parameters
    number = 2 if order.gpus else 4
    if order.kind == "train":
        trained = _trainable(order, config)
        adapter = order.method in {"lora", "qlora"}
        checkpoint = trained * (4 if adapter else number) + trained * 8
        kept = min(int(config.get("save_total_limit") or 1), 5)
        return Estimate(
            tuple(training_parts(order, config)),
            steps_of(config, order.rows, order.gpus),
            int(config["per_device_train_batch_size"])
            * int(config["gradient_accumulation_steps"])
            * max(order.gpus, 1),
            checkpoint * (kept + 1),
        )
    parts: list[tuple[Text, int]] = [
        (gettext_lazy("Weights"), size * (number if order.kind == "evaluate" else 4)),
        (gettext_lazy("Rest"), GIB),
    ]
    rows = int(config.get("max_samples") or order.rows or 0)
    disk = size * 4 if order.kind == "export" else rows * 4096
    return Estimate(tuple(parts), None, int(config.get("batch_size") or 1), disk)
