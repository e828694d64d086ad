"""An update while a training runs: parts stopped, the database migrated, parts started again."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from accounts.models import Event
from nodes.models import Workload
from tests.nodes.conftest import ROOT, until
from tests.nodes.far import Control, far_platform

pytestmark = pytest.mark.django_db(transaction=True)


def manage(env: dict[str, str], *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)


def migrate(control: Control, *words: str) -> None:
    done = manage(control.env, "migrate", "--verbosity", "0", *words)
    assert done.returncode == 0, done.stderr


def stop(machine, *names: str) -> None:
    """As a service manager does it: politely, and waits."""
    for name in names or list(machine.processes):
        process = machine.processes[name]
        process.terminate()
        process.wait(180)
        machine.kill(name)


def test_a_migration_and_a_restart_of_everything(
    engine, home, settings, submit, tmp_path_factory, transactional_db
) -> None:
    """A migration that changes tables of `nodes`, and all after it, are undone and made again."""
    root = tmp_path_factory.mktemp("far")
    with far_platform(home, settings.ENGINES_DIR, settings.SECRET_KEY, root) as (control, (node,)):

        def start() -> None:
            control.web()
            control.worker()
            node.agent()
            node.worker()

        start()
        node.ready()
        workload = submit({"steps": 60, "seconds": 0.1, "save": 20, "weigh": 3200, "waits": True})
        log = workload.log_path
        until(lambda: log.exists() and "step 20\n" in log.read_text())
        stop(node)
        stop(control)
        try:
            migrate(control, "nodes", "0011_exited_workloads")
            early = manage(node.env, "node_agent")
            assert early.returncode == 75, early.stderr
            assert re.search(r" \w+\.\d{4}_\w+ is missing", early.stderr), early.stderr
        finally:
            migrate(control)
        waiting = submit({"steps": 1}, cpus=0.1)  # what comes meanwhile waits
        start()
        (node.home / "output" / str(workload.pk) / "go").touch()
        for one in (workload, waiting):
            until(lambda: Workload.objects.get(pk=one.pk).state == "ended")  # noqa: B023
            one.refresh_from_db()
            assert (one.outcome, one.epoch) == ("ok", 1)
    is_whole(workload, 60)


def is_whole(workload: Workload, count: int) -> None:
    """Every step once in the curve and in the log, and every move once."""
    rows = [json.loads(line) for line in workload.metrics_path.read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "log"] == list(range(1, count + 1))
    lines = workload.log_path.read_text().splitlines()
    steps = [line for line in lines if line.startswith("step ")]
    assert steps == [f"step {step}" for step in range(1, count + 1)]
    moves = Event.objects.of(workload).filter(verb="state").values_list("new", flat=True)
    assert list(moves) == ["placed", "starting", "running", "ended"]


@pytest.fixture
def newer_database(transactional_db) -> Iterator[Callable[[], None]]:
    """Makes the database that of a version after this one: a column and a migration more."""

    def change() -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE nodes_workload ADD COLUMN later integer NULL")
        MigrationRecorder(connection).record_applied("nodes", "9999_later")

    yield change
    MigrationRecorder(connection).record_unapplied("nodes", "9999_later")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE nodes_workload DROP COLUMN later")


@pytest.mark.grown
def test_one_part_after_the_other(
    engine, home, settings, submit, tmp_path_factory, newer_database
) -> None:
    """The database first: what still runs of the old version works with it, and starts again."""
    root = tmp_path_factory.mktemp("far")
    with far_platform(home, settings.ENGINES_DIR, settings.SECRET_KEY, root) as (control, (node,)):
        parts = {
            "web": (control, control.web),
            "control": (control, control.worker),
            "agent": (node, node.agent),
            "worker": (node, node.worker),
        }
        for _machine, begin in parts.values():
            begin()
        node.ready()
        config = {"steps": 60, "seconds": 0.1, "save": 20, "weigh": 3200, "waits": True}
        long = submit(config, cpus=0.1)
        until(lambda: long.log_path.exists() and "step 20\n" in long.log_path.read_text())
        newer_database()
        short = []
        for name, (machine, begin) in parts.items():
            stop(machine, name)
            short.append(submit({"steps": 3}, cpus=0.1))
            begin()
        (node.home / "output" / str(long.pk) / "go").touch()
        for one in (*short, long):
            until(lambda: Workload.objects.get(pk=one.pk).state == "ended")  # noqa: B023
            one.refresh_from_db()
            assert (one.outcome, one.epoch) == ("ok", 1)
        said = node.said()
    for one in short:
        is_whole(one, 3)
    is_whole(long, 60)
    assert "The database is newer than this code (nodes.9999_later)" in said
