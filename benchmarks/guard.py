"""Ends a benchmark's platform when the benchmark ends, however that comes about.

Run as `python guard.py HOME` with a pipe as standard input: as soon as nobody holds the pipe's
other end, everything that belongs to the platform in HOME is ended and HOME is removed. It runs in
a session of its own, so that neither Ctrl-C nor the killing of the benchmark reaches it.
"""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import docker
import psutil
from docker.errors import DockerException

POLITE_SECONDS = 20.0  # for `serve` to end its parts


def belonging(home: Path) -> list[psutil.Process]:
    """The platform's own processes, by their environment, and those of its workloads, by labels."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            workload = environment.get("TRAINER_WORKLOAD")
            if environment.get("TRAINER_HOME") == str(home) or (
                workload and (home / "output" / workload).is_dir()
            ):
                found.append(process)
    return found


def containers(home: Path) -> None:
    """Takes away what is left of its containers."""
    filters = {"label": "trainer.workload"}
    for one in docker.from_env().containers.list(all=True, filters=filters):
        if (home / "output" / one.labels["trainer.workload"]).is_dir():
            one.remove(force=True, v=True)


def end(home: Path) -> None:
    """Asks `serve` to end, then ends what is left, and removes the directory."""
    served = []
    for process in belonging(home):
        with contextlib.suppress(psutil.Error):
            if "serve" in process.cmdline():
                process.terminate()
                served.append(process)
    psutil.wait_procs(served, POLITE_SECONDS)
    while left := belonging(home):  # again, for one that was just being started
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, 5)
    with contextlib.suppress(DockerException):
        containers(home)
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(Path(sys.argv[1]))
