"""What the platform adds to a training: the same YAML through it and by hand, in turn.

Prints a line per round and the median of the ratios (platform / by hand). By hand: the engine's
own command line on the same files; through the platform means from the request that submits the job
until the training's process has ended. Both include the start of the process.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e.running import Platform, Upload, prepared_platform  # noqa: E402
from tests.services import engines_dir  # noqa: E402


def through_platform(platform: Platform, key: str, body: dict[str, object]) -> tuple[float, Path]:
    """Seconds from the request to the end of the process, and the workload's directory."""
    began = time.perf_counter()
    job = platform.call("POST", "/api/v1/jobs/", body, key)
    path = f"/api/v1/jobs/{job['id']}/"
    while (state := platform.call("GET", path, key=key)["state"]) not in {
        "finalizing",
        "succeeded",
    }:
        assert state in {"queued", "preparing", "running"}, state
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    row = platform.until(path, key, {"succeeded"})
    return seconds, platform.home / "output" / row["attempts"][0]["workload"]


def by_hand(source: Path, home: Path) -> float:
    """Seconds of the engine's own command line on a copy of the same files."""
    with tempfile.TemporaryDirectory(dir=home) as place:
        here = Path(place)
        shutil.copy(source / "config.yaml", here)
        shutil.copytree(source / "inputs", here / "inputs", symlinks=True)
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env |= {
            "HF_HOME": str(home / "hf-cache" / "llamafactory"),
            "HF_HUB_OFFLINE": "1",
            "PYTHONSAFEPATH": "1",
        }
        command = engines_dir() / "llamafactory" / "venv" / "bin" / "llamafactory-cli"
        began = time.perf_counter()
        with (here / "log.txt").open("wb") as log:
            subprocess.run(
                [command, "train", "config.yaml"],
                cwd=here,
                env=env,
                stdout=log,
                stderr=log,
                check=True,
            )
        return time.perf_counter() - began


def main() -> None:
    """Runs the rounds and prints the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as home, prepared_platform(Path(home)) as platform:
        key = platform.register("bench")
        content = (ROOT / "deploy" / "demo" / "dataset.jsonl").read_bytes()
        upload = Upload({"name": "bench"}, "dataset.jsonl", content)
        data = platform.call("POST", "/api/v1/datasets/", upload, key)["latest_version"]
        base = platform.call("GET", "/api/v1/model-versions/?kind=base&source=demo", key=key)
        recipe = json.loads((ROOT / "deploy" / "demo" / "train.json").read_text("utf-8"))
        body = {
            "kind": "train",
            "name": "bench",
            "model_version": base["results"][0]["id"],
            "dataset_versions": [data["id"]],
            **recipe,
        }
        ratios = []
        for number in range(1, rounds + 1):
            platform_seconds, source = through_platform(platform, key, body)
            hand_seconds = by_hand(source, platform.home)
            ratios.append(platform_seconds / hand_seconds)
            print(
                f"round {number}: platform {platform_seconds:.1f} s,"
                f" by hand {hand_seconds:.1f} s, ratio {ratios[-1]:.3f}",
                flush=True,
            )
        print(f"median ratio {statistics.median(ratios):.3f} (at most 1.03 is wanted)")


if __name__ == "__main__":
    main()
