"""Start one training process for each GPU of this machine and keep them together.

Set ``TRAINER_PROCESSES`` to the number of processes here. For several machines also set
``TRAINER_NODES``, ``TRAINER_NODE_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

from .workload import EXIT_FAILED, EXIT_FINISHED, EXIT_STOPPED

SECONDS_TO_FOLLOW = 30.0


def processes_wanted() -> int:
    """Return how many processes this machine has to run; 1 where nothing else was asked for."""
    return int(os.environ.get("TRAINER_PROCESSES", "1"))


def machines_wanted() -> int:
    """Return how many machines share the training."""
    return int(os.environ.get("TRAINER_NODES", "1"))


def is_launcher() -> bool:
    """Tell whether this process has to start the others instead of training itself."""
    return "LOCAL_RANK" not in os.environ and (processes_wanted() > 1 or machines_wanted() > 1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environments() -> list[dict[str, str]]:
    """Return the environment of each process."""
    here, machines = processes_wanted(), machines_wanted()
    rank = int(os.environ.get("TRAINER_NODE_RANK", "0"))
    shared = os.environ | {
        "TRAINER_LAUNCHED": "1",
        "WORLD_SIZE": str(here * machines),
        "LOCAL_WORLD_SIZE": str(here),
        "GROUP_RANK": str(rank),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": os.environ.get("MASTER_PORT") or str(_free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    return [
        {**shared, "LOCAL_RANK": str(local), "RANK": str(rank * here + local)}
        for local in range(here)
    ]


def run_group(verb: str) -> int:
    """Run the processes until all have ended; return the exit status of the whole."""
    command = [sys.executable, "-m", "trainer_runtime", verb]
    group = [subprocess.Popen(command, env=environment) for environment in _environments()]

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in group:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    failed_at: float | None = None
    while any(process.poll() is None for process in group):
        statuses = [process.poll() for process in group]
        bad = [s for s in statuses if s not in (None, EXIT_FINISHED, EXIT_STOPPED)]
        if bad and failed_at is None:
            failed_at = time.monotonic()
            pass_on(signal.SIGTERM, None)
        if failed_at is not None and time.monotonic() - failed_at > SECONDS_TO_FOLLOW:
            for process in group:
                process.kill()
        time.sleep(0.1)
    statuses = [process.wait() for process in group]
    bad = [status for status in statuses if status not in (EXIT_FINISHED, EXIT_STOPPED)]
    if bad:
        return bad[0] if 0 < bad[0] < 128 else EXIT_FAILED
    return EXIT_STOPPED if EXIT_STOPPED in statuses else EXIT_FINISHED
