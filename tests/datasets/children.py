"""Processes of their own for tests: with the test's database, and killed where it hurts."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOUCHING = {"open", "os.mkdir", "os.rename", "os.link", "os.chmod", "os.remove", "os.rmdir"}


def environment() -> dict[str, str]:
    """Of a child that works on the test's database and home."""
    from django.conf import settings
    from django.db import connection

    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
        "TRAINER_HOME": str(settings.TRAINER_HOME),
        "TRAINER_DATABASE_URL": _database_url(connection.settings_dict),
    }


def _database_url(facts: dict[str, object]) -> str:
    if "sqlite" in str(facts["ENGINE"]):
        return f"sqlite:///{facts['NAME']}"
    return "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**facts)


def run(script: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a script in a child."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=check,
    )


def dies_after(steps: int) -> None:
    """kill -9 to this process before the n-th step that touches files of data."""
    left = steps

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in TOUCHING and any(
            isinstance(one, str | bytes | os.PathLike) and "/data/" in os.fsdecode(one)
            for one in arguments
        ):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def dies_everywhere(work: Callable[[int], object]) -> None:
    """Has `work` killed before its first such step, its second, and so on until it comes through.

    Called in a child; prints how many tries that took, and the last one's exit status.
    """
    steps = 0
    while True:
        steps += 1
        child = os.fork()
        if not child:
            work(steps)
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            print(steps, os.waitstatus_to_exitcode(status))
            return


# What `run` is given with the name of a service that counts something of the only version there is.
COUNT_DIES_EVERYWHERE = """
import sys
import django
django.setup()
from datasets import services
from datasets.models import DatasetVersion
from tests.datasets.children import dies_after, dies_everywhere


def count(steps):
    # Not given up, however often it dies.
    DatasetVersion.objects.update(progress={}, near_progress=None)
    version = DatasetVersion.objects.get()
    dies_after(steps)
    getattr(services, sys.argv[1])(version.pk)


dies_everywhere(count)
"""
