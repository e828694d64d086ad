"""Load a model with its tokenizer and template as the engine does for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .workload import ConfigError, check_inputs

PASSED_ON = (
    "template", "trust_remote_code", "infer_dtype", "enable_thinking", "quantization_bit",
    "quantization_method", "rope_scaling", "flash_attn", "default_system", "resize_vocab",
    "cutoff_len", "max_samples", "dataset_dir", "tool_format", "train_on_prompt", "mask_history",
)  # fmt: skip


@dataclass
class Loaded:
    """A model that is ready to answer."""

    model: Any
    tokenizer: Any
    template: Any
    data_args: Any
    model_args: Any

    @property
    def stop_ids(self) -> list[int]:
        ids = self.template.get_stop_token_ids(self.tokenizer)
        return sorted({int(one) for one in ids if one is not None})

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)


def engine_arguments(config: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the keys of a configuration that the engine's loader understands."""
    path = more.get("model_name_or_path", config.get("model_name_or_path"))
    if not path:
        raise ConfigError("model_name_or_path is missing.")
    kept = {name: config[name] for name in PASSED_ON if config.get(name) is not None}
    adapter = more.pop("adapter_name_or_path", config.get("adapter_name_or_path"))
    given = {"adapter_name_or_path": adapter} if adapter else {}
    check_inputs(
        {"model_name_or_path": path, "adapter_name_or_path": adapter}
        | {name: kept[name] for name in kept if name == "dataset_dir"}
    )
    method = {"finetuning_type": "lora" if adapter else "full"}
    return {**method, **kept, **given, "model_name_or_path": path, **more}


def load(arguments: Mapping[str, Any]) -> Loaded:
    """Load a model for inference; adapters are merged into it."""
    from llamafactory.data import get_template_and_fix_tokenizer
    from llamafactory.hparams import get_infer_args
    from llamafactory.model import load_model, load_tokenizer

    model_args, data_args, finetuning_args, _ = get_infer_args(dict(arguments))
    tokenizer = load_tokenizer(model_args)["tokenizer"]
    tokenizer.padding_side = "left"
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    model = load_model(tokenizer, model_args, finetuning_args, is_trainable=False)
    forget_generation_defaults(model)
    return Loaded(model, tokenizer, template, data_args, model_args)


def forget_generation_defaults(model: Any) -> None:
    """Drop sampling settings that came with the model: only what is asked for counts here."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig()


def context_length(loaded: Loaded, wanted: int | None = None) -> int:
    """Return how many tokens a prompt and its answer may have together."""
    config = loaded.model.config
    config = getattr(config, "text_config", None) or config
    possible = int(getattr(config, "max_position_embeddings", 0) or 32768)
    return min(wanted, possible) if wanted else possible


def release() -> None:
    """Give memory back before the next model is loaded."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
