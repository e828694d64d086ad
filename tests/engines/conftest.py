"""The installed engine, and a small model and data that its tests share."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.services import engines_dir

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "deploy" / "engines" / "llamafactory"
PAIRS = [
    ("你好", "你好！有什么可以帮你的吗？"),
    ("天空是什么颜色？", "晴天的天空是蓝色的。"),
    ("一加一等于几？", "一加一等于二。"),
    ("北京在哪里？", "北京在中国的北方，是中国的首都。"),
    ("Hello", "Hello! How can I help you?"),
    ("What is two plus two?", "Two plus two is four."),
    ("Name a fruit.", "An apple is a fruit."),
    ("Where is Paris?", "Paris is the capital of France."),
]
TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


@dataclass(frozen=True)
class Engine:
    """An installed engine and what to start it with."""

    folder: Path
    python: str

    def command(self, *arguments: str) -> list[str]:
        return [self.python, "-m", "trainer_runtime", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return kept | {"PYTHONSAFEPATH": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"} | more


@dataclass(frozen=True)
class Run:
    """What a finished workload left behind."""

    status: int
    folder: Path
    errors: str

    def result(self, epoch: int = 1) -> dict[str, Any]:
        return dict(json.loads((self.folder / f"result-{epoch}.json").read_text()))

    def metrics(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in read_lines(self.folder / "metrics.jsonl") if row["kind"] == kind]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the whole lines of a JSONL file that may still be growing."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def prepare(folder: Path, config: dict[str, Any], inputs: dict[str, Path]) -> Path:
    """Make the folder of a workload."""
    (folder / "inputs").mkdir(parents=True)
    for name, target in inputs.items():
        (folder / "inputs" / name).symlink_to(target)
    text = json.dumps(config, ensure_ascii=False)  # JSON is YAML
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return folder


def start(engine: Engine, verb: str, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a workload as the platform does."""
    with (folder / "out.log").open("wb") as out, (folder / "err.log").open("wb") as err:
        return subprocess.Popen(
            engine.command(verb),
            cwd=folder,
            env=engine.environment(**environment),
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def finish(process: subprocess.Popen[bytes], folder: Path, timeout: float = 240) -> Run:
    """Wait for a workload and collect what it left."""
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return Run(status, folder, (folder / "err.log").read_text(errors="replace"))


def run(engine: Engine, verb: str, folder: Path, **environment: str) -> Run:
    """Run a workload to its end."""
    return finish(start(engine, verb, folder, **environment), folder)


def wait_for(condition: Any, timeout: float = 120) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(os.path.relpath(self._path))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The installed engine, with the runtime of this checkout in it."""
    folder = engines_dir() / "llamafactory"
    mark = folder / "engine.json"
    if not mark.exists():
        pytest.skip(f"no engine in {folder}; run deploy/engines/llamafactory/install.py")
    python = json.loads(mark.read_text())["python"]
    command = [python, str(SOURCE / "install.py"), "--target", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return Engine(folder, python)


@pytest.fixture(scope="session")
def shelf(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model in ``model`` and data for every stage in ``data``."""
    folder = tmp_path_factory.mktemp("shelf")
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(f"{q}\n{a}" for q, a in PAIRS), encoding="utf-8")
    arguments = ["demo-model", "--corpus", str(corpus), "--out", str(folder / "model")]
    small = ["--hidden-size", "128", "--layers", "2", "--vocab-size", "512"]
    command = engine.command(*arguments, *small)
    subprocess.run(command, check=True, capture_output=True, env=engine.environment(), cwd=folder)
    write_data(folder / "data")
    return folder


def write_data(folder: Path) -> None:
    """Write one data set for each stage."""
    folder.mkdir()
    chats = [
        [{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in PAIRS
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        "chat": [{"messages": chat} for chat in chats * 12],
        "few": [{"messages": chat} for chat in chats],
        "text": [{"text": f"{q} {a}"} for q, a in PAIRS * 8],
        "pair": [
            {"messages": chat[:1], "chosen": chat[1], "rejected": {**chat[1], "content": "no"}}
            for chat in chats * 2
        ],
        "judged": [
            {"messages": chat, "good": place % 2 == 0} for place, chat in enumerate(chats * 2)
        ],
    }
    shape = {"formatting": "sharegpt", "tags": TAGS}
    info: dict[str, dict[str, Any]] = {
        "chat": {**shape, "columns": {"messages": "messages"}},
        "few": {**shape, "columns": {"messages": "messages"}},
        "text": {"columns": {"prompt": "text"}},
        "pair": {
            **shape,
            "ranking": True,
            "columns": {"messages": "messages", "chosen": "chosen", "rejected": "rejected"},
        },
        "judged": {**shape, "columns": {"messages": "messages", "kto_tag": "good"}},
    }
    for name, lines in rows.items():
        info[name]["file_name"] = f"{name}.jsonl"
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")


def training(**more: Any) -> dict[str, Any]:
    """Return a training configuration."""
    return {
        "model_name_or_path": "inputs/model",
        "dataset_dir": "inputs/data",
        "dataset": "chat",
        "output_dir": "output",
        "stage": "sft",
        "finetuning_type": "full",
        "template": "qwen3_nothink",
        "cutoff_len": 128,
        "learning_rate": 2e-3,
        "logging_steps": 1,
        "per_device_train_batch_size": 8,
        **more,
    }


@pytest.fixture(scope="session")
def trained(engine: Engine, shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model that has learnt the chats by heart."""
    folder = tmp_path_factory.mktemp("trained") / "work"
    config = training(max_steps=90, save_steps=1000, lr_scheduler_type="constant_with_warmup")
    config |= {"eval_dataset": "few", "eval_strategy": "steps", "eval_steps": 45}
    prepare(folder, config, {"model": shelf / "model", "data": shelf / "data"})
    return run(engine, "train", folder)


@pytest.fixture(scope="session")
def adapter(
    engine: Engine, shelf: Path, trained: Run, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """An adapter that changed the trained model's mind."""
    folder = tmp_path_factory.mktemp("adapter") / "work"
    config = training(finetuning_type="lora", max_steps=6, dataset="few", logging_steps=2)
    base = trained.folder / "output"
    prepare(folder, config, {"model": base, "data": shelf / "data"})
    return run(engine, "train", folder)


@contextlib.contextmanager
def serving(engine: Engine, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a model server until the block ends."""
    process = start(engine, "serve", folder, **environment)
    try:

        def ready() -> bool:
            assert process.poll() is None, (folder / "err.log").read_text(errors="replace")
            return any(row.get("name") == "ready" for row in read_lines(folder / "metrics.jsonl"))

        wait_for(ready)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
