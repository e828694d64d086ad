"""The files that a running workload shares with the platform.

Everything is relative to the current folder: ``config.yaml`` is read, ``epoch-<n>.lock`` says who
runs it, ``metrics.jsonl`` grows while it runs, and ``result-<n>.json`` is the very last thing.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

CONFIG_FILE = Path("config.yaml")
METRICS_FILE = Path("metrics.jsonl")

EXIT_FINISHED = 0
EXIT_FAILED = 1
EXIT_STOPPED = 75
EXIT_EPOCH_TAKEN = 78


class StopRequested(BaseException):
    """Raised where a stop was asked for; not an Exception, so that no engine code swallows it."""


class EpochTaken(Exception):
    """Another process runs, or ran, this epoch of the workload."""


class ConfigError(ValueError):
    """The configuration cannot be used as it is."""


class DataError(ValueError):
    """The data cannot be used as it is."""


def finite_numbers(values: Mapping[str, Any]) -> dict[str, float | int]:
    """Keep the entries that are real, finite numbers."""
    kept: dict[str, float | int] = {}
    for name, value in values.items():
        if isinstance(value, bool):
            continue
        if hasattr(value, "item"):
            value = value.item()
        if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            kept[name] = value
    return kept


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new one, never a half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(path)


def make_readable(folder: Path) -> None:
    """Give files the usual rights; some libraries write weights that only their owner may read."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o666 & ~mask)


def read_config() -> dict[str, Any]:
    """Read the configuration as the engine itself would."""
    from omegaconf import OmegaConf

    if not CONFIG_FILE.exists():
        raise ConfigError(f"{CONFIG_FILE} is missing in {Path.cwd()}.")
    try:
        config = OmegaConf.to_container(OmegaConf.load(CONFIG_FILE), resolve=True)
    except Exception as broken:
        raise ConfigError(f"{CONFIG_FILE} cannot be read: {broken}") from broken
    if not isinstance(config, dict):
        raise ConfigError(f"{CONFIG_FILE} has to hold a mapping.")
    return {str(key): value for key, value in config.items()}


def check_inputs(config: Mapping[str, Any]) -> None:
    """Refuse paths to inputs that are not there, before a library takes them for names on a hub."""
    names = ("model_name_or_path", "adapter_name_or_path", "resume_from_checkpoint", "dataset_dir")
    for name in names:
        value = config.get(name)
        for path in value.split(",") if isinstance(value, str) else []:
            local = path.strip().startswith(("inputs/", "./", "../", "/"))
            if local and not Path(path.strip()).exists():
                raise ConfigError(f"{name}: {path.strip()} is not there.")


def is_main_process() -> bool:
    """Tell whether this is the process of a group that writes the shared files."""
    return os.environ.get("RANK", "0") == "0"


class Metrics:
    """Appends one JSON object a line; every line is out before the call returns."""

    def __init__(self, path: Path = METRICS_FILE) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(self, kind: str, **fields: Any) -> None:
        if not is_main_process():
            return
        line = json.dumps({"kind": kind, **fields, "time": time.time()}, ensure_ascii=False)
        with self._lock, self._path.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        counts = {"done": done, "total": total}
        given = {key: value for key, value in counts.items() if value is not None}
        self.write("phase", name=name, **given)


class Workload:
    """One epoch of one workload: takes the marker, reports, and writes the result."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.epoch = int(os.environ.get("TRAINER_EPOCH", "1"))
        self.metrics = Metrics()
        self.stage = "starting"
        self.stop_requested = False
        self._raise_on_stop = True
        self._started = time.monotonic()

    def take_epoch(self) -> None:
        """Create the marker of this epoch, or refuse: an epoch runs once."""
        if not is_main_process() or os.environ.get("TRAINER_LAUNCHED"):
            return
        marker = Path(f"epoch-{self.epoch}.lock")
        try:
            descriptor = os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            holder = marker.read_text(encoding="utf-8").strip() or "unknown"
            raise EpochTaken(
                f"Epoch {self.epoch} of this workload was taken by process {holder}."
            ) from None
        with os.fdopen(descriptor, "w") as handle:
            handle.write(str(os.getpid()))

    def watch_stop(self) -> None:
        """Let SIGTERM end the work: at once, or at the next safe point while one is awaited."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def stop_only_at_safe_points(self) -> None:
        """From here on the work looks at ``stop_requested`` itself."""
        if self.stop_requested:
            raise StopRequested
        self._raise_on_stop = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True
        if self._raise_on_stop:
            raise StopRequested

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        """Report what is being done; errors are judged by it."""
        self.stage = name
        self.metrics.phase(name, done, total)

    def finish(self, status: str, facts: Mapping[str, Any]) -> None:
        """Write the result file; nothing is written after it."""
        if not is_main_process():
            return
        result = {
            "epoch": self.epoch,
            "status": status,
            "verb": self.verb,
            "steps": 0,
            "seconds": round(time.monotonic() - self._started, 3),
            **facts,
        }
        path = Path(f"result-{self.epoch}.json")
        write_atomically(path, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
