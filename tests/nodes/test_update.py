"""An update while a training runs: parts stopped, the database migrated, parts started again."""

import json
import subprocess
import sys

import pytest

from accounts.models import Event
from nodes.models import Workload
from tests.nodes.conftest import ROOT, until
from tests.nodes.far import Control, far_platform

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(control: Control, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0", *words],
        env=control.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def stop(machine) -> None:
    """As a service manager does it: politely, and waits."""
    for name in list(machine.processes):
        process = machine.processes[name]
        process.terminate()
        process.wait(60)
        machine.kill(name)


def test_a_migration_and_a_restart_of_everything(
    engine, home, settings, submit, tmp_path_factory, transactional_db
) -> None:
    """The newest migration of `nodes` is undone and made again: a real change of its tables."""
    root = tmp_path_factory.mktemp("far")
    names = sorted(path.stem for path in (ROOT / "nodes" / "migrations").glob("0*.py"))
    with far_platform(home, settings.ENGINES_DIR, settings.SECRET_KEY, root) as (control, (node,)):

        def start() -> None:
            control.web()
            control.worker()
            node.agent()
            node.worker()

        start()
        node.ready()
        workload = submit({"steps": 250, "seconds": 0.1, "save": 50, "weigh": 3200})
        log = workload.log_path
        until(lambda: log.exists() and "step 20\n" in log.read_text(), 60)
        stop(node)
        stop(control)
        try:
            migrate(control, "nodes", names[-2])
        finally:
            migrate(control)
        waiting = submit({"steps": 1}, cpus=0.1)  # what comes meanwhile waits
        start()
        for one in (workload, waiting):
            until(lambda: Workload.objects.get(pk=one.pk).state == "ended", 120)  # noqa: B023
            one.refresh_from_db()
            assert (one.outcome, one.epoch) == ("ok", 1)
    rows = [json.loads(line) for line in workload.metrics_path.read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "log"] == list(range(1, 251))
    steps = [line for line in log.read_text().splitlines() if line.startswith("step ")]
    assert steps == [f"step {step}" for step in range(1, 251)]
    moves = Event.objects.of(workload).filter(verb="state").values_list("new", flat=True)
    assert list(moves) == ["placed", "starting", "running", "ended"]
