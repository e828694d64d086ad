"""What kind of failure it was, from the end of the log, and what to do about it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from common.texts import json_of
from jobs.engines.base import Advice, Failure, Text

MARK = "trainer-error: "
# code, failure, the words that prove it; the first that is found counts
PATTERNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("gpu_oom", "oom", (
        "CUDA out of memory", r"torch\.OutOfMemoryError", "CUBLAS_STATUS_ALLOC_FAILED")),
    ("memory", "oom", (r"MemoryError\b", "Cannot allocate memory", "can't allocate memory")),
    ("disk", "disk", ("No space left on device", "Disk quota exceeded", r"Errno 28\b")),
    ("ecc", "gpu_hw", ("uncorrectable ECC", "NVRM: Xid", "GPU has fallen off the bus")),
    ("nccl", "gpu_hw", ("NCCL error", "ncclSystemError", "ncclUnhandledCudaError")),
    ("gpu", "gpu_hw", (
        "CUDA error", "CUDNN_STATUS", "device-side assert", "no CUDA GPUs are available")),
    ("quantiser", "user_config", (
        "pip install bitsandbytes", "No package metadata was found for bitsandbytes")),
    ("gated", "network_hub", (
        "GatedRepo", "401 Client Error", "403 Client Error", "Repository Not Found")),
    ("offline", "network_hub", (
        "LocalEntryNotFound", "offline mode", "is not a local folder", "couldn't connect to")),
    ("network", "network_hub", (
        "ConnectionError", "Max retries exceeded", "Name or service not known",
        "Read timed out", "Temporary failure in name resolution")),
    ("no_rows", "user_data", (
        "Cannot find valid samples", "The data has no rows", "No row of the data",
        "Cannot find sufficient samples")),
    ("dataset", "user_data", (
        "DatasetGenerationError", "Undefined dataset", "Cannot open data",
        "Column .* not in the dataset", "ArrowInvalid", "Invalid role tag")),
    ("unknown_key", "user_config", (
        "Some keys are not used by the HfArgumentParser", "Some specified arguments are not used",
        "got an unexpected keyword argument")),
    ("template", "user_config", (
        "Template .* does not exist", "Cannot add this chat template")),
    ("adapter_method", "user_config", ("Adapter is only valid for the LoRA method",)),
    ("lora_target", "user_config", (
        "Target modules .* not found in the base model", "Please specify .*lora_target")),
    ("precision", "user_config", (
        "bf16/gpu", "fp16 mixed precision requires a GPU", "does not support `pure_bf16`",
        "bf16 on gpu")),
    ("checkpoint", "user_config", (
        "The checkpoint .* is not there", "Can't find a valid checkpoint")),
    ("too_long", "user_config", (
        "index out of range in self", "maximum sequence length", "position_ids")),
    ("nan", "user_config", (
        "probability tensor contains either `inf`, `nan`", "loss is nan", "Found NaN")),
    ("tied", "user_config", ("Some tensors share memory, this will lead to duplicate memory",)),
    ("versions", "engine_bug", (
        "ImportError: .*required for a normal functioning", "ModuleNotFoundError")),
)  # fmt: skip
COMPILED = tuple((code, failure, re.compile("|".join(words))) for code, failure, words in PATTERNS)


def _reported(tail: str) -> tuple[dict[str, Any], str]:
    """The engine's own last word."""
    for line in reversed(tail.splitlines()):
        place = line.find(MARK)
        if place < 0:
            continue
        try:
            facts = json_of(line[place + len(MARK) :])
        except ValueError:
            continue
        if isinstance(facts, dict):
            return facts, f"{facts.get('type')}: {facts.get('message')}"
    return {}, ""


def _proof(lines: list[str], pattern: re.Pattern[str]) -> str:
    return next((line.strip() for line in reversed(lines) if pattern.search(line)), "")


def classify(tail: str) -> Failure:
    """Kind, line and code. The engine's own class counts unless a pattern knows better."""
    facts, said = _reported(tail)
    lines = [line for line in tail.splitlines() if MARK not in line]
    scope = [said, *lines[-400:]] if said else lines[-400:]
    for code, failure, pattern in COMPILED:
        if said and pattern.search(said):
            return Failure(failure, said[:1000], code)
    if facts:
        return Failure(str(facts.get("class") or "engine_bug"), said[:1000], "")
    for code, failure, pattern in COMPILED:
        if line := _proof(scope, pattern):
            return Failure(failure, line[:1000], code)
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return Failure("engine_bug", last[:1000], "")


def _less_memory(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Half the rows at once with twice the batches per step; shorter rows when few are left."""
    rows = int(settings.get("per_device_train_batch_size") or 4)
    batches = int(settings.get("gradient_accumulation_steps") or 4)
    changes: dict[str, Any] = {}
    if rows > 1:
        changes["per_device_train_batch_size"] = max(rows // 2, 1)
        changes["gradient_accumulation_steps"] = batches * 2
    if rows <= 2:
        changes["cutoff_len"] = max(int(settings.get("cutoff_len") or 2048) // 2, 64)
    return changes


def _smaller_steps(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"learning_rate": float(settings.get("learning_rate") or 1e-4) / 5}


BY_CODE: dict[str, Text] = {
    "quantiser": _(
        "QLoRA needs bitsandbytes in the engine's environment. Ask an operator, or choose LoRA."
    ),
    "gated": _(
        "The hub does not give this model away without an agreement or a token. Ask an operator to"
        " import it."
    ),
    "no_rows": _(
        "After the engine's own checks no row was left. Look at the dataset's check: the format"
        " has to fit the goal."
    ),
    "dataset": _(
        "The engine could not read the data. Look at the dataset's check and its columns."
    ),
    "unknown_key": _("An argument is not known to this engine. Take it out of the overrides."),
    "template": _(
        "The chat template does not exist or does not fit the tokenizer. Take the model's own."
    ),
    "adapter_method": _(
        "An adapter can only be trained on with LoRA. Export it first to train all weights."
    ),
    "lora_target": _("The LoRA modules do not exist in this model. Take “all”."),
    "precision": _(
        "The node cannot compute in this number format. Take bf16 and fp16 out of the overrides."
    ),
    "checkpoint": _("The checkpoint is gone. Resume from another one, or retry from the start."),
    "too_long": _("The rows are longer than the model can read. Lower the longest example."),
    "nan": _("The numbers ran away. Try a smaller learning rate."),
    "tied": _("The engine cannot save this model with this method. Take LoRA."),
    "versions": _(
        "A part is missing in the engine's environment. Ask an operator to install it again."
    ),
    "nccl": _("The GPUs could not talk to each other. Retry; if it happens again, use one GPU."),
    "ecc": _("The GPU has broken memory. Tell an operator: the node should take no more work."),
}
BY_FAILURE: dict[str, Text] = {
    "oom": _(
        "It needed more memory than there is. Take fewer rows at once and more batches per step:"
        " the result is the same. If that is not enough: shorter rows, LoRA or QLoRA instead of"
        " full."
    ),
    "disk": _("The disk of the node is full. Remove old runs and checkpoints, then retry."),
    "network_hub": _(
        "The model could not be fetched. Try again later, or ask an operator to import it as a"
        " local model."
    ),
    "user_data": _(
        "Something is wrong with the data. Look at the dataset's check, correct it and start again"
        " with the new version."
    ),
    "user_config": _(
        "Something is wrong with the settings. The line above says what; change it and start again."
    ),
    "gpu_hw": _("The GPU or its driver failed. Retry; if it happens again, tell an operator."),
    "node_lost": _(
        "The machine went silent again and again. Retry when the node is back; it goes on from the"
        " last checkpoint."
    ),
    "timeout": _(
        "It ran into the time limit. Resume from the last checkpoint, or train fewer steps."
    ),
    "quota": _("A limit of the project is reached. Ask its manager."),
    "engine_bug": _(
        "The engine ended with an error of its own. The log has the details; a retry helps when it"
        " was chance."
    ),
}


def _shorter_rows(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"cutoff_len": max(int(settings.get("cutoff_len") or 2048) // 2, 64)}


CHANGES: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "oom": _less_memory,
    "nan": _smaller_steps,
    "lora_target": lambda settings: {"lora_target": "all"},
    "too_long": _shorter_rows,
}


def advice(failure: str, code: str, settings: Mapping[str, Any]) -> Advice:
    """What to do, with concrete changes where there are some."""
    text = BY_CODE.get(code) or BY_FAILURE.get(failure, "")
    change = CHANGES.get(code) or CHANGES.get(failure)
    return Advice(text, change(settings) if change else {})
