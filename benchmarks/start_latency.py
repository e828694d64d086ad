"""How soon a submitted training's process runs, and how soon the submission itself is answered.

Submits trainings over HTTP to an idle platform, one after the other. As soon as the engine's
process is seen the job is cancelled, and the next one begins when the machine is idle again. Beside
each submission a row is read over the same API, so that the ratio of the two can be compared
between machines.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import psutil
from running import Failed, Platform, demo_job, p95, platform, run, spread, verdict

START_SECONDS = 30.0


def started(directory: Path, deadline: float) -> int:
    """Waits until the engine's program runs; its process number."""
    facts = directory / "process-1.json"
    while not facts.exists():
        _in_time(directory, deadline)
    identity = json.loads(facts.read_text())
    pid = int(identity["pgid"])
    while True:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if line[0].decode() in identity["command"]:
            return pid
        _in_time(directory, deadline)


def _in_time(directory: Path, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise Failed(f"no engine process in {directory} after {START_SECONDS:.0f} s")
    time.sleep(0.002)


def once(running: Platform, key: str, body: dict[str, Any]) -> tuple[float, float, float]:
    """Seconds until the submission is answered, until the process runs, and of reading a row."""
    began = time.monotonic()
    job = running.call("POST", "/api/v1/jobs/", body, key)
    answered = time.monotonic() - began
    directory = running.home / "output" / job["attempts"][-1]["workload"]
    engine = psutil.Process(started(directory, began + START_SECONDS))
    runs = time.monotonic() - began
    path = f"/api/v1/jobs/{job['id']}/"
    running.call("POST", f"{path}cancel/", {}, key)
    running.until(path, key, {"cancelled"}, 60)
    psutil.wait_procs([engine], 10)
    began = time.monotonic()
    running.call("GET", path, key=key)
    return answered, runs, time.monotonic() - began


def main(rounds: int) -> None:
    """Measures and prints."""
    with platform() as running:
        key = running.register("bench")
        body = demo_job(running, key)
        for _round in range(2):
            once(running, key, body)
        found = []
        for number in range(rounds):
            time.sleep(1 + 0.37 * (number % 5))  # at another moment of the worker's polling
            found.append(once(running, key, body))
    answers, starts, reads = ([row[place] for row in found] for place in range(3))
    spread("submit → answer", answers)
    spread("submit → engine process", starts)
    spread("reading the job", reads)
    ratio = statistics.median(answers) / statistics.median(reads)
    print(f"a submission takes {ratio:.1f} times as long as reading the job")
    late = p95(answers) * 1000
    verdict("p95 of submitting", late, "ms", goal="under 200 ms", met=late < 200)
    late = p95(starts) * 1000
    verdict("p95 of starting", late, "ms", goal="under 1000 ms", met=late < 1000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    wanted = parser.parse_args().rounds
    run(lambda: main(wanted), "submitting over HTTP, the engine's start, and reading one row")
