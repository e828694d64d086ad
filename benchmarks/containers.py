"""What a container costs: the same training in one and in a process, and how soon the next starts.

Two platforms run beside each other on this machine, one for each way of running workloads, and
train the demo model in turn; prints a line per round and the median of the ratios (container /
process), from the request that submits the job until the training's process has ended. Then
containers that only sleep follow each other on a node with room for one: prints how long the place
stood empty. It needs a Docker Engine with the engine's image (`make images`).
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound
from overhead import LIMIT_SECONDS, through_platform
from running import Failed, Platform, demo_job, p95, platform, run, spread, verdict

from tests.dockerd import built

ENGINE = "llm-cloud-trainer/llamafactory:cpu"
SLEEPER = "llm-cloud-trainer/sleeper:bench"
SLEEP = """\
import json, os, time
time.sleep(1)
epoch = int(os.environ["TRAINER_EPOCH"])
with open(f"result-{epoch}.json", "w") as file:
    json.dump({"epoch": epoch, "status": "finished"}, file)
"""
LIST = """
from nodes import services
from nodes.runners.images import fetch
for reference in ("{engine}", "{sleeper}"):
    row = services.image_build_begin(reference)
    services.image_ready(row.pk, fetch(reference, lambda doing, percent: None))
services.images_publish()
"""
FILL = """
from accounts.models import User
from nodes.services import workload_submit
user = User.objects.get(username="bench")
for number in range({count}):
    made = workload_submit(
        project=user.personal_project, created_by=user, name=f"sleeper {{number}}",
        engine="sleeper", verb="sleep", inputs={{}}, files={{}}, cpus={cpus}, memory_bytes=2**20,
    )
    print(made.pk)
"""


def images() -> None:
    """The sleeping engine's image, made from the real one's."""
    try:
        client = docker.from_env()
        client.images.get(ENGINE)
    except ImageNotFound:
        raise Failed(f"no image {ENGINE}: make it with `make images VARIANT=cpu`") from None
    except DockerException as error:
        raise Failed(f"Docker does not answer: {error}") from None
    recipe = (
        f"FROM {ENGINE}\nCOPY . /engine\nLABEL trainer.engine=sleeper trainer.description=/engine\n"
        'ENTRYPOINT ["/opt/llamafactory/venv/bin/python", "-I", "-S", "/engine/sleep.py"]\n'
    )
    facts = json.dumps({"name": "sleeper", "version": "1"})
    built(client, SLEEPER, {"Dockerfile": recipe, "sleep.py": SLEEP, "engine.json": facts})


def compare(process: Platform, container: Platform, rounds: int) -> None:
    """The same training here and there, in turn."""
    ratios = []
    made = [(one, one.register("bench")) for one in (process, container)]
    jobs = [(one, key, demo_job(one, key)) for one, key in made]
    for number in range(1, rounds + 1):
        plain, contained = (through_platform(*job)[0] for job in jobs)
        ratios.append(contained / plain)
        print(
            f"round {number}: container {contained:.1f} s, process {plain:.1f} s,"
            f" ratio {ratios[-1]:.3f}",
            flush=True,
        )
    ratio = statistics.median(ratios)
    verdict("median ratio", ratio, "", goal="at most 1.03", met=ratio <= 1.03)


def follow(container: Platform, count: int) -> None:
    """Containers that follow each other on a node with room for one."""
    script = FILL.format(count=count, cpus=float(os.cpu_count() or 1))
    folders = [
        container.home / "output" / workload
        for workload in container.manage("shell", "-v", "0", "-c", script).split()
    ]
    deadline = time.monotonic() + LIMIT_SECONDS
    while not all((folder / "exit-1.json").exists() for folder in folders):
        if time.monotonic() > deadline:
            raise Failed(f"the containers did not end in {LIMIT_SECONDS:.0f} s")
        time.sleep(0.5)
    times = [
        (_moment(folder, "process", "started_at"), _moment(folder, "exit", "ended_at"))
        for folder in folders
    ]
    times.sort()
    gaps = [times[number + 1][0] - times[number][1] for number in range(count - 1)]
    spread("end → next container's process", gaps)
    verdict("p95", p95(gaps), "s", goal="under 2 s", met=p95(gaps) < 2)


def _moment(folder: Path, kind: str, name: str) -> float:
    return float(json.loads((folder / f"{kind}-1.json").read_bytes())[name])


def main(rounds: int, count: int) -> None:
    """Both figures."""
    images()
    with platform() as process, platform(TRAINER_RUNNER="docker") as container:
        script = LIST.format(engine=ENGINE, sleeper=SLEEPER)
        container.manage("shell", "-v", "0", "-c", script)
        compare(process, container, rounds)
        follow(container, count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--containers", type=int, default=25)
    wanted = parser.parse_args()
    run(lambda: main(wanted.rounds, wanted.containers), "containers and processes, in turn")
