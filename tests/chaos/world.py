"""An installation on PostgreSQL and Redis with some machines as nodes, and work for them.

Usually two nodes run containers, each with a Docker Engine of its own, and a third runs the real
engine as processes; where none has containers, all run the small engine as processes. None of them
shares a directory with the control plane.
"""

import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import psycopg
import redis
from django.utils import timezone

from tests.chaos.machines import (
    BRIDGE,
    GATEWAY,
    SMALL_DISK,
    Machine,
    Part,
    call,
    network,
)
from tests.dockerd import BASE, built
from tests.e2e.running import Platform
from tests.services import ROOT, engines_dir

LOST_SECONDS = 75
WEB, POSTGRES, REDIS = 8000, 5432, 6379
SMALL_ENGINE = "tests/nodes/small_engine.py"
SLOTS = 2  # workloads that one node holds at once
WAITING = 4  # that many shall wait at any time
SLEEPER = "sleeper"


@dataclass(frozen=True)
class Expectation:
    """How a workload ends that harms itself: words of the reason by each outcome there may be."""

    reasons: dict[str, str]


@dataclass
class Excuse:
    """Workloads that stood on a node when it was struck, and how they may end besides well."""

    workloads: set[str]
    outcomes: set[str]


class World:
    """All of it. Must be made before Django is set up, whose settings it puts in place.

    `contained` and `bare` name the nodes with a Docker Engine and those without, by a letter each;
    `sleeps` says how many seconds the work of its load takes, at least and at most.
    """

    def __init__(
        self, contained: str = "ab", bare: str = "c", sleeps: tuple[float, float] = (8, 30)
    ) -> None:
        network()
        self.sleeps = sleeps
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.home = self.folder / "control"
        self.home.mkdir()
        self.excuses: list[Excuse] = []
        self.submitted: list[str] = []
        self.expected: dict[str, Expectation] = {}  # of those that shall not end well
        self.job: dict[str, Any] = {}
        kept = {name: text for name, text in os.environ.items() if not name.startswith("TRAINER_")}
        self.env = {
            **kept,
            "TRAINER_HOME": str(self.home),
            "TRAINER_ENGINES_DIR": str(engines_dir() if contained else self._small_engine()),
            "TRAINER_SECRET_KEY": secrets.token_urlsafe(32),
            "TRAINER_DATABASE_URL": f"postgres://trainer@{GATEWAY}:{POSTGRES}/postgres",
            "TRAINER_REDIS_URL": f"redis://{GATEWAY}:{REDIS}/0",
            "TRAINER_ALLOWED_HOSTS": f"{GATEWAY},127.0.0.1",
            "TRAINER_NODE_LOST_SECONDS": str(LOST_SECONDS),
            "TRAINER_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        self.platform = Platform(self.home, WEB, self.env)
        self.postgres, self.redis = self._postgres(), self._redis()
        python = sys.executable
        asgi = ["-m", "uvicorn", "config.asgi:application", "--lifespan", "off"]
        listen = ["--host", "0.0.0.0", "--port", str(WEB)]
        self.web = self._part("web", [python, *asgi, *listen], ready=lambda: listens(WEB))
        self.control = self._part("control worker", [python, "manage.py", "qcluster"])
        self.nodes = [
            self._machine(number, name, contained=name in contained)
            for number, name in enumerate(contained + bare)
        ]

    def _part(
        self, name: str, command: list[str], ready: Callable[[], object] = lambda: True
    ) -> Part:
        path = f"{Path.cwd()}:{Path.cwd() / 'platform'}"
        env = {**self.env, "PYTHONPATH": path}
        log = self.folder / f"{name}.log"
        return Part(name, command, env, log, ready=ready)

    def _small_engine(self) -> Path:
        """An engine environment: this Python with the small engine's script."""
        folder = self.folder / "engines" / "small"
        folder.mkdir(parents=True)
        command = [sys.executable, "-I", "-S", str(ROOT / SMALL_ENGINE)]
        (folder / "engine.json").write_text(json.dumps({"name": "small", "command": command}))
        return folder.parent

    def _machine(self, number: int, name: str, *, contained: bool) -> Machine:
        folder = self.folder / name
        env = {
            **self.env,
            "TRAINER_HOME": str(folder / "disk"),
            "TRAINER_NODE": f"node-{name}",
            "TRAINER_CONTROL_URL": f"http://{GATEWAY}:{WEB}",
            "TRAINER_RUNNER": "docker" if contained else "process",
            "TRAINER_NODE_RESERVE_BYTES": str(SMALL_DISK // 20),
            "DOCKER_HOST": f"unix://{folder}/run/docker.sock",
        }
        return Machine(f"node-{name}", number, folder, env, contained)

    @property
    def engines(self) -> list[Machine]:
        """Nodes with a Docker Engine."""
        return [node for node in self.nodes if node.contained]

    @property
    def trainer(self) -> Machine:
        """The node that trains."""
        return self.nodes[-1]

    def _postgres(self) -> Part:
        places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: one.parts[-2])
        data = self.folder / "postgres"
        data.mkdir()
        shutil.chown(data, "postgres")
        who = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        call(*who, str(places[-1] / "initdb"), "-D", str(data), "-U", "trainer", "--auth=trust")
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.99.0.0/24 trust\n")
        options = [
            f"listen_addresses={GATEWAY}", f"port={POSTGRES}", f"unix_socket_directories={data}",
        ]  # fmt: skip
        given = [word for option in options for word in ("-c", option)]
        who += ["--pdeathsig=KILL"]  # changing the user took it away
        command = [*who, str(places[-1] / "postgres"), "-D", str(data), *given]
        return self._part("postgres", command, ready=self._database_answers)

    def _database_answers(self) -> bool:
        """Not while it still mends what the last end left."""
        try:
            psycopg.connect(self.env["TRAINER_DATABASE_URL"], connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def _redis(self) -> Part:
        words = ["--bind", GATEWAY, "--port", str(REDIS), "--protected-mode", "no", "--save", ""]
        return self._part("redis", ["redis-server", *words], ready=self._redis_answers)

    def _redis_answers(self) -> bool:
        try:
            return bool(redis.Redis(GATEWAY, REDIS, socket_timeout=1).ping())
        except redis.RedisError:
            return False

    def start(self) -> None:
        """Everything, until the nodes beat."""
        self.postgres.start()
        self.redis.start()
        self.platform.manage("migrate", "--verbosity", "0")
        self.web.start()
        self.control.start()
        images = self._images() if self.engines else None
        for node in self.nodes:
            node.make()
            node.boot()
            if images and node.contained:
                load = ["load", "--quiet", "--input", str(images)]
                call("docker", "--host", node.docker_host, *load)
        if images:
            images.unlink()

    def furnish(self) -> None:
        """What a training needs."""
        for command in ("catalogue_import", "demo_model_create"):
            self.platform.manage(command)

    def _images(self) -> Path:
        """The small engine's image, listed for the nodes, as a file to load."""
        from nodes import services
        from tests.nodes.contained import DOCKERFILE, SMALL, listed

        small = Path(SMALL_ENGINE).read_text("utf-8")
        facts = json.dumps({"name": "small", "version": "1"})
        files = {"Dockerfile": DOCKERFILE, "small_engine.py": small, "engine.json": facts}
        built(docker.from_env(), SMALL, files)
        listed()
        services.images_publish()
        file = self.folder / "images.tar"
        call("docker", "save", "--output", str(file), BASE, SMALL)
        return file

    def feed(self, chance: Any) -> None:
        """Submits sleepers until enough of them wait."""
        from nodes.models import Workload

        waiting = Workload.objects.filter(state="waiting", name=SLEEPER).count()
        for _number in range(WAITING - waiting):
            step = self.sleeps[0] / 16  # seconds
            steps = int(chance.uniform(*self.sleeps) / step)
            config = {"steps": steps, "seconds": step, "weigh": 32000}
            self.submit(SLEEPER, config, cpus=2 / SLOTS - 0.01)

    def submit(
        self, name: str, config: dict[str, Any], end: Expectation | None = None, **wishes: Any
    ) -> Any:
        """A workload of the small engine; `end` says how when that is not well."""
        from accounts.models import User
        from nodes.services import workload_submit

        user = User.objects.get(username="chaos")
        fields = {"engine": "small", "memory_bytes": 2**20, **wishes}
        made = workload_submit(
            project=user.personal_project,
            created_by=user,
            name=name,
            verb="train",
            inputs={},
            files={"config.yaml": json.dumps(config)},
            **fields,
        )
        self.submitted.append(str(made.pk))
        if end is not None:
            self.expected[str(made.pk)] = end
        return made

    def people(self) -> None:
        """Somebody who submits, without a limit."""
        from accounts.models import Project

        self.key = self.platform.register("chaos")
        Project.objects.filter(personal_of__username="chaos").update(max_active_jobs=10000)

    def train(self) -> None:
        """Submits a real training of the demo model."""
        from tests.e2e.running import Upload

        demo = Path("deploy/demo")
        upload = Upload({"name": "chaos"}, "dataset.jsonl", (demo / "dataset.jsonl").read_bytes())
        call = self.platform.call
        data = call("POST", "/api/v1/datasets/", upload, self.key)["latest_version"]
        base = call("GET", "/api/v1/model-versions/?kind=base&source=demo", key=self.key)
        recipe = json.loads((demo / "train.json").read_text("utf-8"))
        recipe["settings"] |= {"num_train_epochs": 40, "logging_steps": 1, "save_steps": 20}
        body = {
            "kind": "train",
            "name": "hit three times",
            "model_version": base["results"][0]["id"],
            "dataset_versions": [data["id"]],
            **recipe,
        }
        self.job = call("POST", "/api/v1/jobs/", body, self.key)

    def step(self) -> int:
        """How far the training is."""
        return int(self.platform.call("GET", self.job_path, key=self.key)["step"])

    @property
    def job_path(self) -> str:
        """Where the API tells of the training."""
        return f"/api/v1/jobs/{self.job['id']}/"

    def forget(self) -> None:
        """What was submitted and struck until now is of no interest any more."""
        self.submitted, self.expected, self.excuses = [], {}, []

    def excuse(self, node: Machine, *outcomes: str, since: datetime | None = None) -> None:
        """What stands on the node now, or has done so since then, may end so."""
        from nodes.models import Workload

        rows = Workload.objects.filter(node__name=node.name).exclude(state="placed")
        rows = rows.exclude(ended_at__lt=since or timezone.now())
        self.excuses.append(
            Excuse({str(pk) for pk in rows.values_list("pk", flat=True)}, set(outcomes))
        )

    def end(self) -> None:
        """Ends everything and removes its files."""
        for node in self.nodes:
            if node.is_on:
                node.power_off()
        for part in (self.web, self.control, self.redis, self.postgres):
            part.kill()
        call("ip", "link", "delete", BRIDGE)
        for name in "ab":
            for group in Path("/sys/fs/cgroup").glob(f"*/{self.folder.name}-node-{name}"):
                _remove_groups(group)
        shutil.rmtree(self.folder)


def _remove_groups(group: Path) -> None:
    """An empty control group and those below it."""
    for inner in group.iterdir():
        if inner.is_dir():
            _remove_groups(inner)
    group.rmdir()


def listens(port: int) -> bool:
    """Whether somebody does there."""
    try:
        with socket.create_connection((GATEWAY, port), 1):
            return True
    except OSError:
        return False
