"""Every combination that is offered really trains: a step each, with what we render."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from jobs.engines import engine_named
from jobs.engines.base import Hardware, Order, Source
from jobs.engines.llamafactory.engine import METHODS, STAGES
from tests.engines.conftest import Engine, engine, prepare, shelf

__all__ = ["engine", "shelf"]
pytestmark = pytest.mark.engine
DATA = {"pt": "text", "sft": "chat", "rm": "pair", "dpo": "pair", "kto": "judged"}
EXTRA = {
    "scratch": ("pt", "full", {"train_from_scratch": True}, {}),
    "orpo": ("dpo", "lora", {"pref_loss": "orpo"}, {}),
    "simpo": ("dpo", "lora", {"pref_loss": "simpo"}, {}),
    "early-stop": ("sft", "lora", {"val_size": 0.1, "early_stopping_steps": 2}, {}),
    "dora": ("sft", "lora", {"use_dora": True, "neftune_noise_alpha": 5}, {}),
    "overrides": ("sft", "full", {}, {"lr_scheduler_type": "constant", "adam_beta2": 0.99}),
}
# The small model's words are tied: with it the engine cannot save these, and they are refused.
TIED = {("rm", "freeze"), ("rm", "full")}
COMBINATIONS = {
    f"{stage}-{method}": (stage, method, {}, {})
    for stage in STAGES
    for method in METHODS
    if (stage, method) not in TIED
} | EXTRA


def configuration(stage: str, method: str, settings: dict, overrides: dict) -> dict:
    adapter = engine_named("llamafactory")
    order = Order(
        kind="train",
        source=Source(base="models/base", template="qwen3_nothink", parameters=1_000_000),
        stage=stage,
        method=method,
        preset="quick",
        settings={
            "max_steps": 1,
            "cutoff_len": 64,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 1,
            **settings,
        },
        overrides=overrides,
        datasets=[DATA[stage]],
        rows=16,
        hardware=Hardware(memory=2**34, cpus=2),
    )
    return yaml.safe_load(adapter.render(order))


@pytest.fixture(scope="module")
def folders(engine: Engine, shelf: Path, tmp_path_factory) -> dict[str, Path]:
    """One step of every combination, run in one process: the imports take longer than all steps."""
    base = tmp_path_factory.mktemp("combinations")
    inputs = {"model": shelf / "model", "data": shelf / "data"}
    found = {
        name: prepare(base / name, configuration(*parts), inputs)
        for name, parts in COMBINATIONS.items()
    }
    runner = Path(__file__).parents[1] / "engines" / "stages.py"
    environment = engine.environment(HF_HOME=str(base / "cache"))
    environment.pop("PYTHONSAFEPATH")
    subprocess.run(
        [engine.python, str(runner), *map(str, found.values())],
        check=True,
        env=environment,
        capture_output=True,
        timeout=590,
    )
    return found


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_combination_trains(folders: dict[str, Path], name: str) -> None:
    error = folders[name] / "error.txt"
    assert not error.exists(), json.loads(error.read_text())[-2000:]
    result = json.loads((folders[name] / "result-1.json").read_text())
    assert result["status"] == "finished"
    weights = engine_named("llamafactory").weights(folders[name] / "output", "")
    assert any(path.suffix == ".safetensors" for path in weights)
    assert not any(path.name in {"optimizer.pt", "training_args.bin"} for path in weights)
