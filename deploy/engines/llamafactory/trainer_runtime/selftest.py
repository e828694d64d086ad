"""The verb ``selftest``: one real training step on a made-up model, in a folder of its own."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

ROWS = [
    {"instruction": "What is two plus two?", "input": "", "output": "Two plus two is four."},
    {"instruction": "天空是什么颜色？", "input": "", "output": "晴天的天空是蓝色的。"},
] * 4


def self_test() -> None:
    """Train for one step; raise where the environment cannot."""
    from .demo_model import Shape, make_demo_model
    from .training import train
    from .workload import Workload

    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="trainer-selftest-") as name:
        os.chdir(name)
        try:
            os.environ["HF_HOME"] = str(Path(name) / "cache")
            text = "\n".join(f"{row['instruction']}\n{row['output']}" for row in ROWS)
            Path("corpus.txt").write_text(text, encoding="utf-8")
            make_demo_model(Path("corpus.txt"), Path("model"), seed=1, shape=Shape(512, 64, 2))
            Path("data").mkdir()
            Path("data/rows.json").write_text(json.dumps(ROWS), encoding="utf-8")
            info = {"rows": {"file_name": "rows.json"}}
            Path("data/dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
            facts = train(
                Workload("train"),
                {
                    "model_name_or_path": "model",
                    "stage": "sft",
                    "finetuning_type": "full",
                    "dataset_dir": "data",
                    "dataset": "rows",
                    "template": "qwen3_nothink",
                    "cutoff_len": 64,
                    "max_steps": 1,
                    "logging_steps": 1,
                    "output_dir": "output",
                    "per_device_train_batch_size": 2,
                },
            )
            if facts.get("steps") != 1 or "train_loss" not in facts["metrics"]:
                raise RuntimeError(f"The test training ended without its one step: {facts}")
        finally:
            os.chdir(before)
    print(f"The self-test passed: {json.dumps(facts['metrics'])}")
