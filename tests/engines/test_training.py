"""The trainer's contract, with real trainings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import Engine, Run, finish, prepare, read_lines, run, start, training, wait_for

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
STAGES = {
    "pt": {"stage": "pt", "finetuning_type": "full", "dataset": "text"},
    "scratch": {
        "stage": "pt",
        "finetuning_type": "full",
        "dataset": "text",
        "train_from_scratch": True,
    },
    "freeze": {"stage": "sft", "finetuning_type": "freeze", "freeze_trainable_layers": 1},
    "rm": {"stage": "rm", "finetuning_type": "lora", "dataset": "pair"},
    "dpo": {"stage": "dpo", "finetuning_type": "lora", "dataset": "pair"},
    "orpo": {"stage": "dpo", "finetuning_type": "lora", "dataset": "pair", "pref_loss": "orpo"},
    "simpo": {"stage": "dpo", "finetuning_type": "lora", "dataset": "pair", "pref_loss": "simpo"},
    "kto": {"stage": "kto", "finetuning_type": "lora", "dataset": "judged"},
}


def test_a_full_training_reports_and_ends_with_its_result(trained: Run) -> None:
    assert trained.status == 0, trained.errors
    result = trained.result()
    assert (result["status"], result["verb"], result["steps"]) == ("finished", "train", 90)
    assert result["num_parameters"] == result["trainable_parameters"] > 100_000
    assert result["checkpoints"] == ["checkpoint-90"]
    assert result["metrics"]["eval_loss"] < 0.5
    assert result["metrics"]["train_loss"] > 0
    steps = [row for row in trained.metrics("log") if "loss" in row["values"]]
    assert [row["step"] for row in steps] == list(range(1, 91))
    assert {row["total"] for row in steps} == {90}
    assert all({"grad_norm", "learning_rate"} <= row["values"].keys() for row in steps)
    assert steps[-1]["values"]["loss"] < steps[0]["values"]["loss"] / 3
    assert [row["name"] for row in trained.metrics("checkpoint")] == ["checkpoint-90"]
    phases = [row["name"] for row in trained.metrics("phase")]
    assert {"loading", "preparing", "training", "evaluating", "saving"} <= set(phases)
    assert (trained.folder / "output" / "model.safetensors").exists()


def test_an_epoch_runs_once_and_an_error_says_its_class(engine: Engine, trained: Run) -> None:
    again = run(engine, "train", trained.folder)
    assert again.status == 78
    assert "Epoch 1" in again.errors
    wrong = training(stage="ppo", max_steps=1)
    (trained.folder / "config.yaml").write_text(json.dumps(wrong))
    refused = run(engine, "train", trained.folder, TRAINER_EPOCH="2")
    assert refused.status not in (0, 75, 78)
    last = refused.errors.strip().splitlines()[-1]
    assert last.startswith("trainer-error: ")
    error = json.loads(last.removeprefix("trainer-error: "))
    assert (error["type"], error["class"]) == ("ConfigError", "user_config")
    assert not (trained.folder / "result-2.json").exists()


def test_a_stopped_training_goes_on_where_it_was(
    engine: Engine, shelf: Path, tmp_path: Path
) -> None:
    inputs = {"model": shelf / "model", "data": shelf / "data"}
    config = training(max_steps=2000, save_steps=5000, lr_scheduler_type="constant")
    config["dataloader_num_workers"] = 1  # the stop goes to the whole group, so to this one, too
    first = prepare(tmp_path / "first", config, inputs)
    process = start(engine, "train", first)
    wait_for(lambda: sum(r["kind"] == "log" for r in read_lines(first / "metrics.jsonl")) >= 8)
    os.killpg(process.pid, signal.SIGTERM)
    stopped = finish(process, first)
    assert stopped.status == 75, stopped.errors
    result = stopped.result()
    step = result["steps"]
    assert (result["status"], result["checkpoints"]) == ("stopped", [f"checkpoint-{step}"])
    assert stopped.metrics("checkpoint")[-1]["step"] == step
    assert 8 <= step < 2000

    checkpoint = first / "output" / f"checkpoint-{step}"
    config |= {"resume_from_checkpoint": "inputs/checkpoint", "max_steps": step + 3}
    second = prepare(tmp_path / "second", config, {**inputs, "checkpoint": checkpoint})
    resumed = run(engine, "train", second, TRAINER_EPOCH="2")
    assert resumed.status == 0, resumed.errors
    result = resumed.result(2)
    assert (result["resumed_step"], result["steps"], result["epoch"]) == (step, step + 3, 2)
    steps = [row["step"] for row in resumed.metrics("log") if "loss" in row["values"]]
    assert steps == [step + 1, step + 2, step + 3]


@pytest.fixture(scope="module")
def stage_folders(
    engine: Engine, shelf: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Two steps of every stage, run in one process."""
    base = tmp_path_factory.mktemp("stages")
    inputs = {"model": shelf / "model", "data": shelf / "data"}
    folders = {
        name: prepare(
            base / name,
            training(max_steps=2, save_steps=2, per_device_train_batch_size=2) | keys,
            inputs,
        )
        for name, keys in STAGES.items()
    }
    command = [engine.python, str(HERE / "stages.py"), *map(str, folders.values())]
    environment = engine.environment(HF_HOME=str(base / "cache"))
    environment.pop("PYTHONSAFEPATH")
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    return folders


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_trains(stage_folders: dict[str, Path], name: str) -> None:
    folder = stage_folders[name]
    error = folder / "error.txt"
    assert not error.exists(), json.loads(error.read_text())
    outcome = Run(0, folder, "")
    result = outcome.result()
    assert (result["status"], result["steps"]) == ("finished", 2)
    assert result["metrics"]["train_loss"] > 0
    assert [row["name"] for row in outcome.metrics("checkpoint")] == ["checkpoint-2"]
    whole = result["trainable_parameters"] == result["num_parameters"]
    assert whole is (STAGES[name]["finetuning_type"] == "full")


def test_two_processes_train_and_stop_together(engine: Engine, shelf: Path, tmp_path: Path) -> None:
    config = training(max_steps=3000, save_steps=5000, ddp_backend="gloo", use_cpu=True)
    inputs = {"model": shelf / "model", "data": shelf / "data"}
    folder = prepare(tmp_path / "group", config, inputs)
    process = start(engine, "train", folder, TRAINER_PROCESSES="2", OMP_NUM_THREADS="1")
    wait_for(lambda: sum(r["kind"] == "log" for r in read_lines(folder / "metrics.jsonl")) >= 3)
    process.terminate()
    stopped = finish(process, folder)
    assert stopped.status == 75, stopped.errors
    step = stopped.result()["steps"]
    assert (folder / "output" / f"checkpoint-{step}" / "trainer_state.json").exists()
    steps = [row["step"] for row in stopped.metrics("log") if "loss" in row["values"]]
    assert steps == list(range(1, step + 1))
