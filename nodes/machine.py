"""What this machine has and how busy it is. Knows nothing of the platform."""

import hashlib
import http.client
import json
import os
import platform
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from nodes.nvml import Fault, Gpu, Nvml

DOCKER_SOCKET = Path("/var/run/docker.sock")
DOCKER_SECONDS = 5
# Interfaces that carry the machine's own traffic a second time.
VIRTUAL = ("lo", "veth", "docker", "br-", "virbr", "cali", "flannel", "cni")


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the machine is now; `gpus` as `Nvml.loads` gives them, rates in bytes a second.

    Rates cover the time since the last call and are None at the first.
    """

    cpu_percent: float
    memory_used_bytes: int
    disk_used_bytes: int
    disks: list[dict[str, Any]]
    gpus: list[dict[str, Any]]
    network_receive_rate: float | None = None
    network_send_rate: float | None = None
    disk_read_rate: float | None = None
    disk_write_rate: float | None = None

    def figures(self) -> dict[str, Any]:
        """All of it by name."""
        return asdict(self)


class Machine:
    """Measures the machine whose files lie at `disk`."""

    def __init__(self, disk: Path, nvml: Nvml | None = None) -> None:
        self.disk = disk
        self.nvml = nvml or Nvml()
        self._counted: tuple[float, dict[str, int]] | None = None

    @property
    def cpu_count(self) -> int:
        """CPUs that this process may use."""
        return len(os.sched_getaffinity(0))

    @property
    def memory_bytes(self) -> int:
        """The machine's memory, or the control group's limit where that is smaller."""
        total = int(psutil.virtual_memory().total)
        return min([total, *(limit for limit, _used in _control_groups() if limit)])

    @property
    def memory_used_bytes(self) -> int:
        """What is used of it."""
        memory = psutil.virtual_memory()
        for limit, used in _control_groups():
            if limit < memory.total:
                return min(used, limit)
        return int(memory.total - memory.available)

    @property
    def disk_bytes(self) -> int:
        """The size of the disk that holds the platform's files."""
        return int(psutil.disk_usage(str(self.disk)).total)

    def facts(self) -> dict[str, Any]:
        """Versions and parts worth knowing when something behaves oddly."""
        facts: dict[str, Any] = {
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "processor": _processor(),
            "python": platform.python_version(),
            "disks": self.disks(),
        }
        if self.nvml.driver:
            facts |= {"nvidia_driver": self.nvml.driver, "cuda": self.nvml.cuda}
        if version := docker_version():
            facts["docker"] = version
        return facts

    def gpus(self) -> list[Gpu]:
        """The devices; none where NVML is not there."""
        return self.nvml.gpus()

    def faults(self) -> list[Fault]:
        """What the driver told of its devices since the last call."""
        return self.nvml.faults()

    def disks(self) -> list[dict[str, Any]]:
        """The disks that matter here: path, total_bytes and used_bytes, each disk once."""
        found, seen = [], set()
        for path in (self.disk, Path("/"), Path("/var/lib/docker")):
            with suppress(OSError):
                device = path.stat().st_dev
                if device not in seen:
                    usage = psutil.disk_usage(str(path))
                    seen.add(device)
                    found.append(
                        {
                            "path": str(path),
                            "total_bytes": int(usage.total),
                            "used_bytes": int(usage.used),
                        }
                    )
        return found

    def load(self) -> Load:
        """Now; CPU and rates since the last call in the same thread, CPU 0 at its first."""
        return Load(
            cpu_percent=float(psutil.cpu_percent(None)),
            memory_used_bytes=self.memory_used_bytes,
            disk_used_bytes=int(psutil.disk_usage(str(self.disk)).used),
            disks=self.disks(),
            gpus=self.nvml.loads(),
            **self._rates(),
        )

    def _rates(self) -> dict[str, float]:
        now, counts = time.monotonic(), _counters()
        before, self._counted = self._counted, (now, counts)
        if before is None or now <= before[0]:
            return {}
        # A counter that is smaller than before began anew.
        return {
            name: round(max(0, count - before[1][name]) / (now - before[0]), 1)
            for name, count in counts.items()
            if name in before[1]
        }


def lacks_room(path: Path, reserve: int) -> bool:
    """Whether less than that many bytes, or no file, is left on the disk of a directory.

    A directory that is not seen from here, as out of a container, is nobody's reason.
    """
    try:
        disk = os.statvfs(path)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < reserve or (disk.f_files > 0 and disk.f_favail == 0)


def _control_groups() -> list[tuple[int, int]]:
    """Limit and use of the memory of the control group, by the one or the other version of it."""
    root, found = Path("/sys/fs/cgroup"), []
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):
            found.append((int((root / limit).read_text()), int((root / used).read_text())))
    return found


def _counters() -> dict[str, int]:
    counts: dict[str, int] = {}
    with suppress(OSError):
        real = [
            counter
            for name, counter in psutil.net_io_counters(pernic=True).items()
            if not name.startswith(VIRTUAL)
        ]
        counts["network_receive_rate"] = sum(counter.bytes_recv for counter in real)
        counts["network_send_rate"] = sum(counter.bytes_sent for counter in real)
    with suppress(OSError, RuntimeError):
        disks = psutil.disk_io_counters()
        if disks is not None:
            counts["disk_read_rate"] = disks.read_bytes
            counts["disk_write_rate"] = disks.write_bytes
    return counts


def _processor() -> str:
    """The processor's name as the kernel tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def machine_id() -> str:
    """Tells this machine from others, also from a copy with another name."""
    text = socket.gethostname()
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        with suppress(OSError):
            text += path.read_text(encoding="utf-8")
            break
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Docker(http.client.HTTPConnection):
    """Docker's own API over its socket; its SDK would cost more memory than the rest of a node."""

    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=DOCKER_SECONDS)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DOCKER_SECONDS)
        self.sock.connect(self._path)


def docker_version(path: Path = DOCKER_SOCKET) -> str:
    """Of the Docker Engine of this machine; empty where none answers."""
    if not path.exists():
        return ""
    connection = _Docker(path)
    try:
        connection.request("GET", "/version")
        return str(json.loads(connection.getresponse().read())["Version"])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
