"""Command line of the runtime: ``python -m trainer_runtime VERB``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import failures, launch
from .workload import (
    EXIT_EPOCH_TAKEN,
    EXIT_FAILED,
    EXIT_FINISHED,
    EXIT_STOPPED,
    EpochTaken,
    StopRequested,
    Workload,
    read_config,
)

Work = Callable[[Workload, dict[str, Any]], dict[str, Any]]


ROWS_CACHE = Path(".cache") / "datasets"


def _settle_environment() -> None:
    """Give the libraries quiet and private defaults before they are imported."""
    os.environ.setdefault("HF_DATASETS_CACHE", str(Path.cwd() / ROWS_CACHE))
    os.environ.setdefault("HF_HOME", str(Path.cwd() / ".cache" / "huggingface"))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Threads that spin while they wait for each other take the cores that they wait for: beside
    # other work, a training on CPUs was many times slower so.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _work_of(verb: str) -> Work:
    """Import only what a verb needs."""
    if verb == "train":
        from .training import train

        return train
    if verb == "predict":
        from .prediction import predict

        return predict
    if verb == "export":
        from .exporting import export

        return export
    from .serving import serve

    return serve


def run_workload(verb: str) -> int:
    """Run a workload in the current folder and return the exit status."""
    workload = Workload(verb)
    try:
        workload.take_epoch()
        if verb == "train" and launch.is_launcher():
            return launch.run_group(verb)
        workload.watch_stop()
        try:
            facts = _work_of(verb)(workload, read_config())
        finally:
            shutil.rmtree(ROWS_CACHE, ignore_errors=True)  # encoded rows; nobody reads them again
        workload.finish("finished", facts)
    except EpochTaken as taken:
        print(f"trainer: {taken}", file=sys.stderr, flush=True)
        return EXIT_EPOCH_TAKEN
    except StopRequested as stop:
        workload.finish("stopped", stop.args[0] if stop.args else {})
        print("trainer: stopped on request", file=sys.stderr, flush=True)
        return EXIT_STOPPED
    except SystemExit as ended:
        failures.report(RuntimeError(f"The engine ended by itself: {ended.code}"), workload.stage)
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the edge of the program
        failures.report(error, workload.stage)
        return EXIT_FAILED
    return EXIT_FINISHED


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="trainer_runtime", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("train", "predict", "export", "serve"):
        verbs.add_parser(verb, help=f"{verb} as config.yaml in the current folder says")
    describe = verbs.add_parser("describe", help="write what this engine accepts as JSON files")
    describe.add_argument("--out", type=Path, required=True)
    verbs.add_parser("selftest", help="train a made-up model for one step")
    demo = verbs.add_parser("demo-model", help="make a small untrained model from a text")
    demo.add_argument("--corpus", type=Path, required=True)
    demo.add_argument("--out", type=Path, required=True)
    demo.add_argument("--seed", type=int, default=42)
    demo.add_argument("--vocab-size", type=int, default=4096)
    demo.add_argument("--hidden-size", type=int, default=256)
    demo.add_argument("--layers", type=int, default=2)
    return parser.parse_args(arguments)


def run_tool(options: argparse.Namespace) -> int:
    """Run a verb that has no workload."""
    if options.verb == "describe":
        from .description import describe

        describe(options.out)
    elif options.verb == "selftest":
        from .selftest import self_test

        self_test()
    else:
        from .demo_model import Shape, make_demo_model

        shape = Shape(options.vocab_size, options.hidden_size, options.layers)
        make_demo_model(options.corpus, options.out, seed=options.seed, shape=shape)
    return EXIT_FINISHED


def main(arguments: list[str]) -> int:
    """Run a verb and return the exit status."""
    options = parse(arguments)
    _settle_environment()
    if options.verb in {"train", "predict", "export", "serve"}:
        return run_workload(options.verb)
    return run_tool(options)


def _leave(status: int) -> None:
    """End at once: the work is done, and libraries can take seconds to tidy up after themselves."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    _leave(main(sys.argv[1:]))
