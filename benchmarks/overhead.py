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
import tempfile
import time
from pathlib import Path

from running import Failed, Platform, demo_job, platform, run, verdict

from tests.services import engines_dir

LIMIT_SECONDS = 900.0


def through_platform(running: Platform, key: str, body: dict[str, object]) -> tuple[float, Path]:
    """Seconds from the request to the end of the process, and the workload's directory.

    The end is read from the supervisor's file: asking the platform all the time would cost the
    training a part of the processors that nobody takes from the one by hand.
    """
    began = time.time()
    job = running.call("POST", "/api/v1/jobs/", body, key)
    path = f"/api/v1/jobs/{job['id']}/"
    workload = running.call("GET", path, key=key)["attempts"][0]["workload"]
    folder = running.home / "output" / workload
    ended = folder / "exit-1.json"
    while not ended.exists():
        if time.time() - began > LIMIT_SECONDS:
            raise Failed(f"the training did not end in {LIMIT_SECONDS} s")
        time.sleep(0.2)
    row = running.until(path, key, {"succeeded", "failed", "cancelled"})
    if row["state"] != "succeeded":
        raise Failed(f"the training is {row['state']}: {row['reason']}")
    return json.loads(ended.read_bytes())["ended_at"] - began, folder


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
            "TRAINER_HOME": str(home),  # says whose it is
        }
        command = engines_dir() / "llamafactory" / "venv" / "bin" / "llamafactory-cli"
        began = time.perf_counter()
        with (here / "log.txt").open("wb") as log:
            done = subprocess.run(
                [command, "train", "config.yaml"],
                cwd=here,
                env=env,
                stdout=log,
                stderr=log,
                check=False,
            )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise Failed(f"the training by hand:\n{(here / 'log.txt').read_text()[-2000:]}")
        return seconds


def main(rounds: int) -> None:
    """Runs the rounds and prints the ratio."""
    with platform() as running:
        key = running.register("bench")
        body = demo_job(running, key)
        ratios = []
        for number in range(1, rounds + 1):
            platform_seconds, source = through_platform(running, key, body)
            hand_seconds = by_hand(source, running.home)
            ratios.append(platform_seconds / hand_seconds)
            print(
                f"round {number}: platform {platform_seconds:.1f} s,"
                f" by hand {hand_seconds:.1f} s, ratio {ratios[-1]:.3f}",
                flush=True,
            )
        ratio = statistics.median(ratios)
        verdict("median ratio", ratio, "", goal="at most 1.03", met=ratio <= 1.03)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args().rounds
    run(lambda: main(wanted), "a training through the platform and the same files by hand, in turn")
