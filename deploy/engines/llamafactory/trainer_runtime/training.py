"""The verb ``train``: one run of the engine's trainer, watched by a callback of ours."""

from __future__ import annotations

import functools
import importlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from .workload import (
    ConfigError,
    StopRequested,
    Workload,
    check_inputs,
    finite_numbers,
    is_main_process,
    make_readable,
)

STAGES = ("pt", "sft", "rm", "dpo", "kto")
DEFAULTS: dict[str, Any] = {"do_train": True, "disable_tqdm": True, "report_to": "none"}


class Reporter(TrainerCallback):
    """Writes the metrics and stops the training, with a checkpoint, where that was asked for."""

    def __init__(self, workload: Workload, output: Path) -> None:
        self.workload = workload
        self.output = output
        self.facts: dict[str, Any] = {}
        self.last_values: dict[str, float | int] = {}
        self.stopping = False
        self._saved_step: int | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        from llamafactory.extras.misc import count_parameters

        trainable, everything = count_parameters(kwargs["model"])
        self.facts |= {
            "num_parameters": everything,
            "trainable_parameters": trainable,
            "total_steps": state.max_steps,
            "resumed_step": state.global_step,
            "resumable": not args.save_only_model,
        }
        self.workload.stop_only_at_safe_points()
        self.workload.phase("training", state.global_step, state.max_steps)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._report_checkpoint()
        if self.workload.stage == "evaluating":
            self.workload.phase("training", state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.facts["steps"] = state.global_step
        if self._stop_wanted(args) and state.global_step < state.max_steps:
            self.stopping = True
            control.should_save = True
            control.should_evaluate = False
            control.should_training_stop = True

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.workload.stage != "evaluating":
            self.workload.phase("evaluating")

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs = dict(kwargs.get("logs") or {})
        epoch = logs.pop("epoch", state.epoch)
        values = finite_numbers(logs)
        self.last_values |= values
        self.workload.metrics.write(
            "log", step=state.global_step, total=state.max_steps, epoch=epoch, values=values
        )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._saved_step = state.global_step

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._report_checkpoint()
        self.facts["steps"] = state.global_step
        if self.stopping:
            raise StopRequested
        self.workload.phase("saving")

    def _report_checkpoint(self) -> None:
        """Name a checkpoint once every other callback is through with it."""
        if self._saved_step is not None and is_main_process():
            step, self._saved_step = self._saved_step, None
            make_readable(self.output / f"checkpoint-{step}")
            self.workload.metrics.write("checkpoint", step=step, name=f"checkpoint-{step}")

    def _stop_wanted(self, args: Any) -> bool:
        """Tell whether any process of the group was asked to stop."""
        wanted = self.workload.stop_requested
        if args.world_size == 1:
            return wanted
        import torch
        import torch.distributed

        flag = torch.tensor([int(wanted)], device=args.device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return bool(flag.item())


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """Complete a configuration and refuse what this runtime cannot do."""
    config = DEFAULTS | config
    stage = config.get("stage", "sft")
    if stage not in STAGES:
        raise ConfigError(f"The stage {stage!r} is not offered; choose one of {', '.join(STAGES)}.")
    if not config.get("output_dir"):
        raise ConfigError("output_dir is missing.")
    check_inputs(config)
    resumes = config.get("resume_from_checkpoint")
    if stage == "rm" and config.get("finetuning_type", "lora") == "lora" and resumes:
        config["adapter_name_or_path"] = resumes  # the engine restores no adapter in this stage
        config.pop("create_new_adapter", None)
    return config


def _reporting(phase: str, workload: Workload, inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that reports a phase before it does what it did."""

    inner = getattr(inner, "__wrapped__", inner)

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        workload.phase(phase)
        return inner(*args, **kwargs)

    return outer


def _report_phases(stage: str, workload: Workload) -> None:
    """Have the engine's steps before the training reported."""
    workflow: Any = importlib.import_module(f"llamafactory.train.{stage}.workflow")
    workflow.get_dataset = _reporting("preparing", workload, workflow.get_dataset)
    workflow.load_model = _reporting("loading", workload, workflow.load_model)


def _let_data_workers_outlive_stop() -> None:
    """Have the processes that read data ignore SIGTERM, which goes to the whole group.

    The trainer makes a few more steps after a stop was asked for, and ends them itself. They also
    end on their own when the trainer is gone.
    """
    from torch.utils.data._utils import signal_handling

    inner = signal_handling._set_worker_signal_handlers

    def outer() -> None:
        inner()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    signal_handling._set_worker_signal_handlers = outer


def checkpoints(folder: Path) -> list[str]:
    """Return the names of the checkpoints in a folder, the oldest first."""
    found = {
        int(path.name.removeprefix("checkpoint-")): path.name
        for path in folder.glob("checkpoint-*")
        if path.is_dir() and path.name.removeprefix("checkpoint-").isdigit()
    }
    return [found[step] for step in sorted(found)]


def final_metrics(folder: Path) -> dict[str, float | int]:
    """Return the numbers that the engine left at the end."""
    path = folder / "all_results.json"
    if not path.exists():
        return {}
    return finite_numbers(json.loads(path.read_text(encoding="utf-8")))


def train(workload: Workload, config: dict[str, Any]) -> dict[str, Any]:
    """Train as the configuration says; raise StopRequested where a stop cut it short."""
    workload.phase("loading")
    config = prepared(config)
    output = Path(config["output_dir"])
    output.mkdir(parents=True, exist_ok=True)
    reporter = Reporter(workload, output)
    try:
        from llamafactory.train.tuner import run_exp

        _report_phases(config.get("stage", "sft"), workload)
        _let_data_workers_outlive_stop()
        run_exp(config, callbacks=[reporter])
    except StopRequested as stop:
        facts = reporter.facts | {"checkpoints": checkpoints(output)}
        stop.args = ({"metrics": reporter.last_values, **facts},)
        raise
    if is_main_process():
        make_readable(output)
    metrics = final_metrics(output)
    return {**reporter.facts, "metrics": metrics, "checkpoints": checkpoints(output)}
