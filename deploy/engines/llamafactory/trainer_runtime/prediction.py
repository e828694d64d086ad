"""The verb ``predict``: what each model answers to each row, and how well it knew the reference."""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from .models import Loaded, engine_arguments, load, release
from .workload import ConfigError, DataError, StopRequested, Workload

OUTPUT = Path("output")


@dataclass(frozen=True)
class Row:
    """One row of the data, as the engine encodes it for training."""

    index: int
    messages: list[dict[str, str]]
    reference: str
    prompt_ids: list[int]
    reference_ids: list[int]


@dataclass(frozen=True)
class Options:
    """How answers are made."""

    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int
    batch_size: int

    @classmethod
    def of(cls, config: dict[str, Any]) -> Options:
        return cls(
            max_new_tokens=int(config.get("max_new_tokens") or 128),
            temperature=float(config.get("temperature") or 0.0),
            top_p=float(config.get("top_p") or 1.0),
            seed=int(config.get("seed") or 42),
            batch_size=max(int(config.get("batch_size") or 1), 1),
        )


def _subjects(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the models to ask, each with a name of its own."""
    subjects = config.get("subjects")
    if not isinstance(subjects, list) or not subjects:
        raise ConfigError("subjects has to be a list with at least one model.")
    names = [str(subject.get("name") or "") for subject in subjects]
    if len(set(names)) != len(names) or not all(name.isidentifier() for name in names):
        raise ConfigError(f"The names of the subjects have to be different words; got {names}.")
    return subjects


def _prepare(config: dict[str, Any], subject: dict[str, Any]) -> tuple[Loaded, list[Row], int]:
    """Load a subject and encode the rows for it; also return how many rows cannot be used."""
    from llamafactory.data.loader import _get_merged_dataset

    if not config.get("dataset"):
        raise ConfigError("dataset is missing.")
    arguments = engine_arguments(
        config,
        model_name_or_path=subject.get("model_name_or_path"),
        adapter_name_or_path=subject.get("adapter_name_or_path"),
        eval_dataset=config["dataset"],
    )
    loaded = load(arguments)
    single: Any = SimpleNamespace(seed=Options.of(config).seed, local_process_index=0)
    names, data_args = loaded.data_args.eval_dataset, loaded.data_args
    try:
        dataset: Any = _get_merged_dataset(names, loaded.model_args, data_args, single, "sft")
    except KeyError as missing:
        raise DataError(f"The data has no column or field {missing}.") from missing
    if dataset is None or len(dataset) == 0:
        raise DataError("The data has no rows.")
    rows = [row for index, raw in enumerate(dataset) if (row := _encoded(index, raw, loaded))]
    if not rows:
        raise DataError("No row of the data is a conversation that ends with an answer.")
    return loaded, rows, len(dataset) - len(rows)


def _encoded(index: int, raw: dict[str, Any], loaded: Loaded) -> Row | None:
    """Encode a row as the trainer does; None for a row that the trainer would drop."""
    from llamafactory.data.processor.processor_utils import infer_seqlen

    prompt, response = raw["_prompt"], raw["_response"]
    if len(prompt) % 2 != 1 or len(response) != 1:
        return None
    system, tools = raw["_system"] or None, raw["_tools"] or None
    turns = [{"role": m["role"], "content": m["content"]} for m in [*prompt, *response]]
    tokenizer, template = loaded.tokenizer, loaded.template
    prompt_ids, reference_ids = template.encode_oneturn(tokenizer, turns, system, tools)
    if template.efficient_eos:
        reference_ids = [*reference_ids, tokenizer.eos_token_id]
    cutoff = loaded.data_args.cutoff_len
    prompt_length, reference_length = infer_seqlen(len(prompt_ids), len(reference_ids), cutoff)
    messages = [{"role": "system", "content": system}] if system else []
    return Row(
        index=index,
        messages=[*messages, *turns[:-1]],
        reference=turns[-1]["content"],
        prompt_ids=list(prompt_ids[:prompt_length]),
        reference_ids=list(reference_ids[:reference_length]),
    )


def _left_padded(
    rows: list[list[int]], pad: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids of one length and the mask of the real ones."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, width - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[place, width - len(row) :] = 1
    return ids.to(device), mask.to(device)


@torch.inference_mode()
def reference_losses(loaded: Loaded, rows: list[Row]) -> list[float]:
    """Return each row's mean negative log likelihood over the tokens of its reference."""
    model = loaded.model
    whole = [row.prompt_ids + row.reference_ids for row in rows]
    ids, mask = _left_padded(whole, loaded.pad_id, model.device)
    kept = max(len(row.reference_ids) for row in rows) + 1
    options: dict[str, Any] = {}
    accepted = inspect.signature(model.forward).parameters
    if "logits_to_keep" in accepted:
        options["logits_to_keep"] = kept
    if "position_ids" in accepted:
        options["position_ids"] = (mask.cumsum(dim=-1) - 1).clamp_min(0)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **options).logits
    logits = logits[:, -kept:]
    losses: list[float] = []
    for place, row in enumerate(rows):
        count = len(row.reference_ids)
        if count == 0:
            losses.append(0.0)
            continue
        scores = logits[place, -count - 1 : -1].float()
        targets = torch.tensor(row.reference_ids, device=scores.device)
        losses.append(float(torch.nn.functional.cross_entropy(scores, targets)))
    return losses


@torch.inference_mode()
def answers(loaded: Loaded, rows: list[Row], options: Options) -> list[tuple[str, str]]:
    """Return the text that the model answers to each row, and why it ended there."""
    from transformers import GenerationConfig

    ids, mask = _left_padded([row.prompt_ids for row in rows], loaded.pad_id, loaded.model.device)
    sampling: dict[str, Any] = {"do_sample": False}
    if options.temperature > 0:
        sampling = {
            "do_sample": True,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "top_k": 0,
        }
        torch.manual_seed(options.seed + rows[0].index)
    made = loaded.model.generate(
        input_ids=ids,
        attention_mask=mask,
        generation_config=GenerationConfig(
            max_new_tokens=options.max_new_tokens,
            eos_token_id=loaded.stop_ids,
            pad_token_id=loaded.pad_id,
            **sampling,
        ),
    )[:, ids.shape[1] :]
    stops = set(loaded.stop_ids)
    found: list[tuple[str, str]] = []
    for tokens in made.tolist():
        end = next((place for place, token in enumerate(tokens) if token in stops), None)
        text = loaded.tokenizer.decode(
            tokens[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        found.append((str(text), "length" if end is None else "stop"))
    return found


def _batches(rows: list[Row], size: int) -> Iterator[list[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _ask(workload: Workload, config: dict[str, Any], subject: dict[str, Any]) -> dict[str, Any]:
    """Ask one subject every row and return what there is to say about it."""
    name = str(subject["name"])
    options = Options.of(config)
    workload.phase("loading")
    loaded, rows, skipped = _prepare(config, subject)
    started = time.monotonic()
    done, loss_sum, token_sum = 0, 0.0, 0
    workload.phase("generating", 0, len(rows))
    with (OUTPUT / f"{name}.jsonl").open("w", encoding="utf-8") as handle:
        for batch in _batches(rows, options.batch_size):
            if workload.stop_requested:
                raise StopRequested
            losses = reference_losses(loaded, batch)
            for row, loss, (text, finish) in zip(
                batch, losses, answers(loaded, batch, options), strict=True
            ):
                tokens = len(row.reference_ids)
                loss_sum += loss * tokens
                token_sum += tokens
                line = {
                    "index": row.index,
                    "prompt": loaded.tokenizer.decode(row.prompt_ids),
                    "messages": row.messages,
                    "reference": row.reference,
                    "prediction": text,
                    "loss": loss,
                    "tokens": tokens,
                    "finish": finish,
                }
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")
            handle.flush()
            done += len(batch)
            workload.phase("generating", done, len(rows))
        os.fsync(handle.fileno())
    facts = {
        "name": name,
        "rows": done,
        "skipped": skipped,
        "tokens": token_sum,
        "loss": loss_sum / token_sum if token_sum else None,
        "generation_seconds": round(time.monotonic() - started, 3),
    }
    del loaded
    release()
    return facts


def predict(workload: Workload, config: dict[str, Any]) -> dict[str, Any]:
    """Ask each subject in turn, so that only one of them is in memory."""
    OUTPUT.mkdir(exist_ok=True)
    results = []
    for subject in _subjects(config):
        started = time.monotonic()
        facts = _ask(workload, config, subject)
        results.append(facts | {"seconds": round(time.monotonic() - started, 3)})
    return {"subjects": results}
