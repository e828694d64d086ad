"""A control plane and nodes that share nothing with it but the database, all as real processes.

Each node has a home of its own on this machine, which stands for a machine of its own.
"""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from django.db import connection

from nodes.models import Node
from tests.nodes.conftest import ROOT, end_group, until
from tests.ports import free_port


def database_url() -> str:
    """The test's database, for other processes."""
    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:////{str(facts['NAME']).lstrip('/')}"
    return "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**facts)


@dataclass
class Machine:
    """Processes with the same environment: the control plane's, or a node's."""

    home: Path
    env: dict[str, str]
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def launch(self, name: str, command: list[str], **more: str) -> subprocess.Popen:
        """Starts one part; its output goes to `NAME.out` in the home."""
        with (self.home / f"{name}.out").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                env={**self.env, **more},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    def kill(self, name: str) -> None:
        """At once, with all its children."""
        process = self.processes.pop(name, None)
        if process is not None:
            end_group(process)

    def said(self) -> str:
        """What all parts wrote."""
        return "\n".join(path.read_text() for path in sorted(self.home.glob("*.out")))

    def end(self) -> None:
        """Ends all parts, and workloads that outlive them."""
        for name in list(self.processes):
            self.kill(name)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.home / "output"):
                    process.send_signal(signal.SIGKILL)


@dataclass
class Control(Machine):
    """Web process and control worker."""

    port: int = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def web(self) -> None:
        """Starts the web process and waits until it answers."""
        words = ["-m", "uvicorn", "config.asgi:application", "--port", str(self.port)]
        path = f"{ROOT}:{ROOT / 'platform'}"
        self.launch(
            "web",
            [*words, "--lifespan", "off"],
            DJANGO_SETTINGS_MODULE="config.settings",
            PYTHONPATH=path,
        )
        until(self._answers)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/api/v1/agent/", timeout=2)
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        return True

    def worker(self) -> None:
        """Starts the control worker."""
        self.launch("control", [str(ROOT / "manage.py"), "qcluster"])


@dataclass
class FarNode(Machine):
    """A node with a home of its own."""

    name: str = ""

    def agent(self, **more: str) -> None:
        """Starts its agent."""
        self.launch("agent", [str(ROOT / "manage.py"), "node_agent"], **more)

    def worker(self) -> None:
        """Starts its worker."""
        self.launch(
            "worker", [str(ROOT / "manage.py"), "qcluster"], Q_CLUSTER_NAME=f"node-{self.name}"
        )

    def ready(self) -> Node:
        """Waits until it is known not to share the directory."""
        until(lambda: Node.objects.filter(name=self.name, shares_home=False).exists())
        until((self.home / "cache" / "uses").is_dir)
        return Node.objects.get(name=self.name)


@contextmanager
def far_platform(
    home: Path, engines: Path, secret: str, root: Path, nodes: int = 1, **settings: str
) -> Iterator[tuple[Control, list[FarNode]]]:
    """A control plane in `home` and nodes with homes below `root`; nothing is started yet."""
    common = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRAINER_")},
        "TRAINER_ENGINES_DIR": str(engines),
        "TRAINER_SECRET_KEY": secret,
        "TRAINER_DATABASE_URL": database_url(),
        "TRAINER_REDIS_URL": os.environ.get("TRAINER_REDIS_URL", ""),
        **settings,
    }
    control = Control(home, {**common, "TRAINER_HOME": str(home)}, port=free_port())
    found = []
    for _number in range(nodes):
        name = f"far-{uuid.uuid4().hex[:8]}"
        folder = root / name
        folder.mkdir()
        env = {
            **common,
            "TRAINER_HOME": str(folder),
            "TRAINER_NODE": name,
            "TRAINER_CONTROL_URL": control.url,
        }
        found.append(FarNode(folder, env, name=name))
    try:
        yield control, found
    finally:
        for machine in (*found, control):
            machine.end()
