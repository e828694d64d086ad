"""The verb ``export``: merge an adapter into its model, and show that both answer the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .description import QUANTISER, offered
from .models import Loaded, engine_arguments, load, release
from .workload import ConfigError, Workload, make_readable

OUTPUT = Path("output")
PROMPTS = (
    "你好，请介绍一下你自己。",
    "什么是机器学习？",
    "Hello, please introduce yourself.",
    "Write one sentence about the sea.",
)
QUANTISATION_KEYS = (
    "export_quantization_bit", "export_quantization_dataset",
    "export_quantization_nsamples", "export_quantization_maxlen",
)  # fmt: skip
OTHER_KEYS = ("export_size", "export_device", "export_legacy_format", "stage")


def _stored_dtype(path: str) -> str:
    """Return the number format that a model was stored in; ``auto`` where it does not say."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path)
    text = str(getattr(config, "dtype", None) or "").removeprefix("torch.")
    return text if text in {"float16", "bfloat16", "float32"} else "auto"


def _export_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the engine's export is called with."""
    quantises = {key: config[key] for key in QUANTISATION_KEYS if config.get(key) is not None}
    if quantises and not offered(*QUANTISER)["available"]:
        raise ConfigError(f"Quantising needs {' and '.join(QUANTISER)}, which are not installed.")
    arguments = engine_arguments(config, export_dir=str(OUTPUT), **quantises)
    arguments |= {key: config[key] for key in OTHER_KEYS if config.get(key) is not None}
    arguments.setdefault("export_size", 5)
    if not quantises:
        arguments.setdefault("infer_dtype", _stored_dtype(arguments["model_name_or_path"]))
    return arguments


def _unmerged(arguments: dict[str, Any]) -> Loaded:
    """Load the source with its adapters beside the model instead of merged into it."""
    adapters = arguments.get("adapter_name_or_path")
    if not adapters:
        return load(arguments)
    from peft import PeftModel

    plain = {key: value for key, value in arguments.items() if key != "adapter_name_or_path"}
    loaded = load(plain | {"finetuning_type": "full"})
    *below, last = adapters if isinstance(adapters, list) else str(adapters).split(",")
    model: Any = loaded.model
    for adapter in below:
        model = PeftModel.from_pretrained(model, adapter.strip()).merge_and_unload()
    loaded.model = PeftModel.from_pretrained(model, last.strip()).eval()
    return loaded


@torch.inference_mode()
def _first_logits(loaded: Loaded, prompt: list[int]) -> torch.Tensor:
    ids = torch.tensor([prompt], device=loaded.model.device)
    return loaded.model(input_ids=ids).logits[0, -1].float().cpu()


@torch.inference_mode()
def _greedy(loaded: Loaded, prompt: list[int], length: int) -> str:
    from transformers import GenerationConfig

    ids = torch.tensor([prompt], device=loaded.model.device)
    made = loaded.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        generation_config=GenerationConfig(
            max_new_tokens=length,
            do_sample=False,
            eos_token_id=loaded.stop_ids,
            pad_token_id=loaded.pad_id,
        ),
    )
    return str(loaded.tokenizer.decode(made[0, len(prompt) :], skip_special_tokens=True))


def _sample(loaded: Loaded, prompts: list[str], length: int) -> list[tuple[str, torch.Tensor]]:
    """Return the answer to each prompt, and the scores of its first token."""
    found = []
    for text in prompts:
        turns = [{"role": "user", "content": text}, {"role": "assistant", "content": ""}]
        prompt, _ = loaded.template.encode_oneturn(loaded.tokenizer, turns)
        found.append((_greedy(loaded, prompt, length), _first_logits(loaded, prompt)))
    return found


def _compare(
    prompts: list[str],
    before: list[tuple[str, torch.Tensor]],
    after: list[tuple[str, torch.Tensor]],
) -> dict[str, Any]:
    """Return how far source and export agree."""
    answers = [
        {"prompt": prompt, "before": old[0], "after": new[0]}
        for prompt, old, new in zip(prompts, before, after, strict=True)
    ]
    gaps = []
    for (_, old), (_, new) in zip(before, after, strict=True):
        width = min(len(old), len(new))
        gaps.append(float((old[:width] - new[:width]).abs().max()))
    return {
        "prompts": len(answers),
        "equal": sum(answer["before"] == answer["after"] for answer in answers),
        "max_logit_difference": max(gaps, default=0.0),
        "answers": answers,
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def export(workload: Workload, config: dict[str, Any]) -> dict[str, Any]:
    """Write the merged model to the output folder and compare it with its source."""
    from llamafactory.train.tuner import export_model

    workload.phase("loading")
    arguments = _export_arguments(config)
    given = config.get("verify_prompts")
    prompts = list(PROMPTS) if given is None else [str(prompt) for prompt in given]
    length = int(config.get("verify_tokens") or 32)
    skip = {*QUANTISATION_KEYS, *OTHER_KEYS, "export_dir"}
    inference = {key: value for key, value in arguments.items() if key not in skip}

    workload.phase("merging")
    OUTPUT.mkdir(exist_ok=True)
    export_model(arguments)
    make_readable(OUTPUT)
    release()
    facts: dict[str, Any] = {"bytes": _size(OUTPUT), "dtype": arguments.get("infer_dtype", "auto")}
    if not prompts or arguments.get("stage", "sft") == "rm":
        return facts
    workload.phase("verifying", 0, len(prompts) * 2)
    source = _unmerged(inference)
    before = _sample(source, prompts, length)
    del source
    release()
    workload.phase("verifying", len(prompts), len(prompts) * 2)
    plain = {key: value for key, value in inference.items() if key != "adapter_name_or_path"}
    plain |= {"model_name_or_path": str(OUTPUT), "finetuning_type": "full"}
    merged = load(plain)
    after = _sample(merged, prompts, length)
    workload.phase("verifying", len(prompts) * 2, len(prompts) * 2)
    return facts | {"parity": _compare(prompts, before, after)}
