"""A backup of a running platform, and its way into a new one: nothing is missing."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection

from common import store
from config import backup as backing
from config.storing import store_round
from datasets.services import dataset_create, indexes_ready
from datasets.statistics.choosing import Choice
from jobs import services as jobs
from jobs.models import Checkpoint, Job
from nodes.models import Node, Workload
from registry.models import Model, ModelVersion
from tests.nodes.conftest import ENGINE, until
from tests.nodes.far import Machine, database_url
from tests.registry.parts import weights
from tests.s3 import bucket
from tests.services import ROOT

__all__ = ["bucket"]

pytestmark = pytest.mark.django_db(transaction=True)
MANAGE = str(ROOT / "manage.py")
CONFIG = {"steps": 3000, "seconds": 0.1, "save": 15, "weigh": 64000}


@pytest.fixture
def engines(tmp_path) -> Path:
    """A small engine in the place of the real one; it needs no configuration."""
    folder = tmp_path / "engines" / "llamafactory"
    folder.mkdir(parents=True)
    command = [sys.executable, "-I", "-S", str(ENGINE), json.dumps(CONFIG)]
    capabilities = {"gpu": False, "qlora": {"available": True, "reason": ""}}
    facts = {"version": "0.9.5", "command": command, "capabilities": capabilities}
    (folder / "engine.json").write_text(json.dumps(facts))
    return folder.parent


def environment(home: Path, database: str, engines: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAINER_")}
    return {
        **kept,
        "TRAINER_HOME": str(home),
        "TRAINER_DATABASE_URL": database,
        "TRAINER_ENGINES_DIR": str(engines),
        "TRAINER_NODE": "here",
    }


def start(machine: Machine) -> None:
    """The node's worker and agent, and the control worker."""
    machine.launch("agent", [MANAGE, "node_agent"])
    machine.launch("worker", [MANAGE, "qcluster"], Q_CLUSTER_NAME="node-here")
    machine.launch("control", [MANAGE, "qcluster"])


@pytest.fixture
def running(people, home, engines, settings) -> Iterator[SimpleNamespace]:
    """A platform on which a training runs and has saved a checkpoint."""
    settings.ENGINES_DIR = engines
    (home / "secret_key").write_text(settings.SECRET_KEY)
    weights(home / "models" / "base")
    (home / "models" / "second").mkdir()
    os.link(home / "models/base/config.json", home / "models/second/config.json")
    (home / "temp" / "not-kept").write_text("x")
    base = ModelVersion.objects.create(
        model=Model.objects.create(name="tiny"), kind="base", source="local",
        template="qwen3_nothink", path="models/base", parameters=5_000_000,
    )  # fmt: skip
    rows = "".join(json.dumps({"instruction": f"{n}?", "output": f"{n}"}) + "\n" for n in range(9))
    dataset = dataset_create(
        project=people.team,
        created_by=people.member,
        name="rows",
        upload=SimpleUploadedFile("rows.jsonl", rows.encode()),
    )
    machine = Machine(home, environment(home, database_url(), engines))
    try:
        start(machine)
        until(lambda: Node.objects.filter(name="here").exists())
        job = jobs.job_submit(
            project=people.team, created_by=people.member, kind="train", stage="sft", method="lora",
            name="a job", model_version=base, dataset_versions=[dataset.versions.get()],
        )  # fmt: skip
        until(lambda: Checkpoint.objects.filter(job=job, step__gte=30).exists())
        yield SimpleNamespace(machine=machine, job=job, dataset=dataset, home=home)
    except AssertionError as error:
        raise AssertionError(machine.said()) from error
    finally:
        machine.end()


@pytest.fixture
def fresh(tmp_path, engines) -> Iterator[Machine]:
    """A new home and an empty database, of the kind that the tests run on."""
    home = tmp_path / "restored"
    home.mkdir()
    url, facts = f"sqlite:///{home}/db.sqlite3", connection.settings_dict
    name = f"restored_{uuid.uuid4().hex[:8]}"
    server = None
    if connection.vendor == "postgresql":
        words = {"host": facts["HOST"], "port": facts["PORT"], "user": facts["USER"]}
        server = psycopg.connect(
            **words, password=facts["PASSWORD"], dbname="postgres", autocommit=True
        )
        server.execute(f"CREATE DATABASE {name}")
        url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/".format(**facts) + name
    machine = Machine(home, environment(home, url, engines))
    yield machine
    machine.end()
    if server is not None:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.close()


def manage(machine: Machine, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, MANAGE, *words], env=machine.env, capture_output=True, text=True, cwd=ROOT
    )


def asked(machine: Machine, code: str) -> object:
    """What Python says in the restored platform."""
    lines = (
        "import json; from jobs.models import *; from nodes.models import *;"
        "from accounts.models import *; from datasets.models import *;"
        "from datasets.services import *; from datasets.statistics.choosing import Choice;"
    )
    done = manage(machine, "shell", "--no-imports", "-c", f"{lines}print(json.dumps({code}))")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def files(home: Path) -> dict[str, int]:
    return {
        path.relative_to(home).as_posix(): path.stat().st_size
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def test_backup_and_restore_while_a_training_runs(running, fresh, tmp_path, capsys) -> None:
    to = tmp_path / "backup"
    call_command("backup", str(to))
    assert "files" in capsys.readouterr().out
    assert Workload.objects.get().state == "running"  # nothing was stopped for it
    manifest = json.loads((to / "manifest.json").read_text())
    assert manifest["database"] == connection.vendor
    assert manifest["holds_secret"]
    assert to.stat().st_mode & 0o777 == 0o700
    inside = files(to / "files")
    assert not [name for name in inside if name.startswith(("temp/", "engines/", "stored/"))]
    same = [
        (to / "files/models" / name / "config.json").stat().st_ino for name in ("base", "second")
    ]
    assert same[0] == same[1]  # one file with two names stays one

    done = manage(fresh, "restore", str(to))
    assert done.returncode == 0, done.stderr
    assert "1 workloads ran when the backup was made" in done.stdout
    restored = files(fresh.home)
    assert {name: restored.get(name) for name in inside} == inside
    assert (fresh.home / "secret_key").read_text() == (running.home / "secret_key").read_text()
    people = asked(fresh, "sorted(User.objects.values_list('username', flat=True))")
    assert "member" in people
    version = asked(fresh, "[str(v.original) for v in DatasetVersion.objects.all()]")
    original = running.dataset.versions.get().original.read_bytes()
    assert Path(version[0]).read_bytes() == original

    # What ran is lost with its reason, and is tried again from its checkpoint where a node is.
    rows = "[(w.state, w.outcome, w.reason) for w in Workload.objects.order_by('queued_at')]"
    (first, second) = asked(fresh, rows)
    assert first[:2] == ["ended", "lost"]
    assert "restored from a backup" in first[2]
    assert second[0] == "waiting"
    start(fresh)
    until(lambda: asked(fresh, rows)[1][0] == "running")
    facts = asked(
        fresh,
        "[(a.number, a.is_automatic, a.resumed_from and a.resumed_from.step,"
        " str(a.workload.directory)) for a in Attempt.objects.all()]",
    )
    assert [row[:2] for row in facts] == [[1, False], [2, True]]
    assert facts[1][2] >= 15
    folder = Path(facts[1][3])
    until((folder / "metrics.jsonl").exists)
    assert folder.is_relative_to(fresh.home)
    checkpoint = (folder / "inputs" / "checkpoint").resolve()
    assert checkpoint.is_relative_to(fresh.home)
    assert (checkpoint / "weights").stat().st_size == 64000
    # And the first platform never noticed.
    assert Job.objects.get(pk=running.job.pk).state == "running"
    assert Workload.objects.get().state == "running"


def test_indexes_are_left_out_and_made_again(people, fresh, home, settings, tmp_path) -> None:
    (home / "secret_key").write_text(settings.SECRET_KEY)
    rows = b'{"instruction": "b", "output": "1"}\n{"instruction": "a", "output": "2"}\n'
    dataset = dataset_create(
        project=people.team,
        created_by=people.member,
        name="rows",
        upload=SimpleUploadedFile("rows.jsonl", rows),
    )
    choice = Choice(order="up", by="instruction")
    assert indexes_ready(dataset.versions.get(), choice, by=people.member).state == "done"
    call_command("backup", str(tmp_path / "backup"))
    made = {name for name in files(home) if name.startswith("data/.indexes/")}
    assert made
    assert not made & files(tmp_path / "backup" / "files").keys()
    done = manage(fresh, "restore", str(tmp_path / "backup"))
    assert done.returncode == 0, done.stderr
    ready = f"indexes_ready(DatasetVersion.objects.get(), {choice}, by=User.objects.first()).state"
    assert asked(fresh, ready) == "done"
    assert made - files(fresh.home).keys() <= {name for name in made if name.endswith(".lock")}


def test_a_restore_never_replaces_what_is_there(running, fresh, tmp_path) -> None:
    to = tmp_path / "backup"
    call_command("backup", str(to))
    with pytest.raises(CommandError, match="not empty"):
        call_command("backup", str(to))
    with pytest.raises(CommandError, match="accounts already"):
        call_command("restore", str(to))
    (fresh.home / "output" / "work").mkdir(parents=True)
    done = manage(fresh, "restore", str(to))
    assert done.returncode == 1
    assert "holds work already" in done.stderr


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("manifest", "not a complete backup"),
        ("changed", "models/base/config.json is not what it was"),
        ("missing", "models/base/config.json is missing"),
        ("outside", "lies outside of it"),
        ("key", "TRAINER_SECRET_KEY is set to another key"),
        ("kind", "Restore into the same kind"),
    ],
)
def test_damaged_and_unfit_backups(people, fresh, home, settings, tmp_path, harm, said) -> None:
    to = tmp_path / "backup"
    (home / "secret_key").write_text(settings.SECRET_KEY)
    weights(home / "models" / "base")
    call_command("backup", str(to))
    config = to / "files/models/base/config.json"
    if harm == "manifest":
        (to / "manifest.json").unlink()
    elif harm == "changed":
        config.write_text("X" * config.stat().st_size)
    elif harm == "missing":
        config.unlink()
    elif harm == "outside":
        (to / "files.jsonl").write_text('{"path": "../x", "size": 0, "sha256": ""}\n')
    elif harm == "key":
        fresh.env["TRAINER_SECRET_KEY"] = "another"
    else:
        facts = json.loads((to / "manifest.json").read_text())
        (to / "manifest.json").write_text(json.dumps({**facts, "database": "other"}))
    done = manage(fresh, "restore", str(to))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_from_outside_is_asked_for(people, fresh, home, settings, tmp_path) -> None:
    """The backup of an installation whose key lies elsewhere does not hold it."""
    to = tmp_path / "backup"
    (home / "secret_key").write_text("a leftover that is not in use")
    call_command("backup", str(to))
    assert not json.loads((to / "manifest.json").read_text())["holds_secret"]
    assert "Set TRAINER_SECRET_KEY" in manage(fresh, "restore", str(to)).stderr
    fresh.env["TRAINER_SECRET_KEY"] = settings.SECRET_KEY
    done = manage(fresh, "restore", str(to))
    assert done.returncode == 0, done.stderr
    assert settings.SECRET_KEY not in "".join(
        path.read_text(errors="replace") for path in to.rglob("*.json*")
    )


def test_what_only_the_store_has_is_in_it(people, bucket, home, tmp_path) -> None:
    weights(home / "models" / "base")
    store.put(home / "models/base/config.json", "models/base/config.json")
    store.put(home / "models/base/config.json", "models/gone/config.json")
    shutil.rmtree(home / "models" / "base")
    store_round()
    call_command("backup", str(tmp_path / "backup"))
    assert {"models/base/config.json", "models/gone/config.json"} <= files(
        tmp_path / "backup" / "files"
    ).keys()


def test_files_that_vanish_take_their_checkpoint_along(people, home, tmp_path, monkeypatch) -> None:
    folder = home / "output" / str(uuid.uuid4()) / "output" / "checkpoint-5"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / name).write_text(name)
    real = backing.copy_file

    def copy(source: Path, target: Path, size: int):
        if source.name == "b":
            shutil.rmtree(folder)  # the engine keeps only some of them
        return real(source, target, size)

    monkeypatch.setattr(backing, "copy_file", copy)
    done = backing.backup(tmp_path / "backup")
    assert len(done.vanished) == 1
    assert not [name for name in files(tmp_path / "backup" / "files") if "checkpoint-5" in name]
