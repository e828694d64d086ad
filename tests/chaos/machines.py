"""Machines of a small cluster, in namespaces of this one: each can lose its power or its network.

A machine has processes, mounts, a network card and a disk of its own. Killing its first process is
what a power failure is: everything on it is gone at once, containers and their Engine too.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker
import psutil
from docker.errors import DockerException
from requests.exceptions import RequestException

from tests.e2e.running import MANAGE
from tests.services import FAKETIME, ROOT

BRIDGE, GATEWAY = "cluster", "10.99.0.1"
SMALL_DISK, LARGE_DISK = 400 * 2**20, 2 * 2**30
WITH_US = ("setpriv", "--pdeathsig", "KILL")  # ends with whoever started it
FIRST = """
import os, time
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.2)
"""


def call(*command: str) -> None:
    """Runs a program of the system. Raises AssertionError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Waits for something to become true. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it took longer than {seconds:.0f} s: {what}"
        time.sleep(0.1)


def network() -> None:
    """A network of this process' own, with a bridge for the machines' cards."""
    call("ip", "link", "set", "lo", "up")
    call("ip", "link", "add", BRIDGE, "type", "bridge")
    call("ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    call("ip", "link", "set", BRIDGE, "up")


def _is_of_workload(process: psutil.Process) -> bool:
    """Whether it is a supervisor or who starts it."""
    with contextlib.suppress(psutil.Error):
        return "TRAINER_WORKLOAD" in process.environ()
    return False


@dataclass
class Part:
    """One service, as a service manager would run it."""

    name: str
    command: Sequence[str]
    env: dict[str, str]
    log: Path
    ready: Callable[[], object] = lambda: True
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*WITH_US, *self.command],
                env=self.env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._is_up, 90, f"start of {self.name}")

    def _is_up(self) -> object:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name}: {self.log.read_text()[-3000:]}"
        return self.ready()

    def tree(self) -> list[psutil.Process]:
        """Its processes, children first."""
        found: list[psutil.Process] = []
        if self.process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                main = psutil.Process(self.process.pid)
                found = [*reversed(main.children(recursive=True)), main]
        return found

    def kill(self) -> None:
        """All of it at once, but no workload that it just starts: those live apart from it."""
        gone = [process for process in self.tree() if not _is_of_workload(process)]
        for process in gone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(gone, 10)
        if self.process is not None:
            self.process.wait(10)
            self.process = None


@dataclass
class Machine:
    """A node of the cluster: its Engine, if it has one, its worker and its agent."""

    name: str
    number: int
    folder: Path
    env: dict[str, str]
    contained: bool
    parts: dict[str, Part] = field(default_factory=dict)
    first: int = 0  # the number of its first process
    holder: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        """Its TRAINER_HOME, on a disk of its own. Only the machine itself sees what is on it."""
        return self.folder / "disk"

    @property
    def clock(self) -> Path:
        """Says by how much the clock of its agent is wrong."""
        return self.folder / "clock"

    def seen(self, path: Path) -> Path:
        """A path of the machine as it is seen from here."""
        return Path(f"/proc/{self.first}/root") / path.relative_to("/")

    def make(self) -> None:
        """Its disk, once."""
        self.home.mkdir(parents=True)
        image = self.folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(SMALL_DISK if self.contained else LARGE_DISK)
        call("mkfs.ext4", "-q", "-F", str(image))
        self.clock.write_text("+0")

    def boot(self) -> None:
        """From power on until its services work."""
        namespaces = ["--pid", "--net", "--mount", "--uts", "--fork", "--mount-proc"]
        self.holder = subprocess.Popen(
            [
                *WITH_US,
                "unshare",
                "--kill-child",
                *namespaces,
                sys.executable,
                "-I",
                "-S",
                "-c",
                FIRST,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        holder = psutil.Process(self.holder.pid)
        until(holder.children, 10, f"first process of {self.name}")
        self.first = holder.children()[0].pid
        self._plug_in()
        self.inside("hostname", self.name)
        self.inside("mount", "-o", "loop", str(self.folder / "disk.img"), str(self.home))
        if self.contained:
            shutil.rmtree(self.folder / "run", ignore_errors=True)  # in memory on a real machine
            self.engine().start()
        for name in ("node_worker", "node_agent"):
            self.part(name).start()

    def _plug_in(self) -> None:
        card, outside = f"in{self.number}", f"node{self.number}"
        call("ip", "link", "add", outside, "type", "veth", "peer", "name", card)
        call("ip", "link", "set", outside, "master", BRIDGE, "up")
        call("ip", "link", "set", card, "netns", str(self.first))
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "addr", "add", f"10.99.0.{10 + self.number}/24", "dev", card)
        self.inside("ip", "link", "set", card, "up")

    def command(self, *command: str) -> list[str]:
        """A command for this machine."""
        return ["nsenter", "--target", str(self.first), "-p", "-m", "-n", "-u", "--", *command]

    def inside(self, *command: str) -> None:
        """Runs a program of the system on this machine."""
        call(*self.command(*command))

    def part(self, name: str, *, clocked: bool = False) -> Part:
        """Its `node_worker` or `node_agent`; if `clocked`, with a simulated clock."""
        env = dict(self.env)
        if clocked:
            env |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "PYTHONPATH": str(Path(__file__).with_name("clocked")),
            }
        command = self.command(*MANAGE, name)
        made = Part(f"{name} of {self.name}", command, env, self.folder / f"{name}.log")
        self.parts[name] = made
        return made

    def engine(self) -> Part:
        """Its Docker Engine."""
        run = self.folder / "run"
        run.mkdir(exist_ok=True)
        options = [
            "--live-restore", "--log-driver=local", "--bridge=none", "--iptables=false",
            "--ip6tables=false", f"--cgroup-parent=/{self.folder.parent.name}-{self.name}",
            f"--data-root={self.folder / 'docker'}", f"--exec-root={run / 'exec'}",
            f"--pidfile={run / 'pid'}", f"--host={self.docker_host}",
        ]  # fmt: skip
        (run / "pid").unlink(missing_ok=True)
        log = self.folder / "dockerd.log"
        env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        command = self.command("dockerd", *options)
        made = Part(f"dockerd of {self.name}", command, env, log, ready=self.engine_answers)
        self.parts["dockerd"] = made
        return made

    @property
    def docker_host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.folder / 'run' / 'docker.sock'}"

    def client(self) -> docker.DockerClient:
        """Its Engine. Raises DockerException while it does not answer."""
        return docker.DockerClient(base_url=self.docker_host, timeout=20)

    def engine_answers(self) -> bool:
        """Whether it answers now."""
        with contextlib.suppress(DockerException, RequestException):
            return bool(self.client().ping())
        return False

    def engine_kill(self) -> None:
        """As a crash: its containers go on. Comes back when the containerd it brought is gone."""
        gone = self.parts["dockerd"].tree()
        self.parts["dockerd"].kill()
        until(lambda: not any(one.is_running() for one in gone), 20, "end of dockerd")

    @property
    def is_on(self) -> bool:
        """Whether it has power."""
        return self.holder is not None

    def power_off(self) -> None:
        """At once, without a word to anybody."""
        os.kill(self.first, signal.SIGKILL)
        if self.holder is not None:
            self.holder.wait(20)
        for part in self.parts.values():
            part.kill()
        self.parts, self.holder = {}, None
        with contextlib.suppress(AssertionError):  # it goes with its other end, some moments later
            call("ip", "link", "delete", f"node{self.number}")

    def cut(self) -> None:
        """Pulls the plug of its network card."""
        call("ip", "link", "set", f"node{self.number}", "down")

    def mend(self) -> None:
        """Plugs it in again."""
        call("ip", "link", "set", f"node{self.number}", "up")

    def processes(self) -> list[dict[str, str]]:
        """What the environments of supervisors say of their workloads, of each supervisor once.

        While one begins, who begins it waits for it, and what will be the engine bears its name.
        """
        parents, found = {}, {}
        for entry in self.seen(Path("/proc")).iterdir():
            with contextlib.suppress(OSError):
                if b"shim.py" in (entry / "cmdline").read_bytes():
                    stat = (entry / "stat").read_text()
                    parents[entry] = entry.with_name(stat.rpartition(")")[2].split()[1])
        for entry in parents:
            with contextlib.suppress(OSError):
                words = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                labels = dict(word.split("=", 1) for word in words if word.startswith("TRAINER_"))
                if "TRAINER_WORKLOAD" in labels and b"shim.py" in (entry / "cmdline").read_bytes():
                    found[entry] = labels
        return [labels for entry, labels in found.items() if parents[entry] not in found]
