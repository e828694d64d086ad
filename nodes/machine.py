"""What this machine has and how busy it is. Knows nothing of the platform."""

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pynvml


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as its driver reports it; memory in bytes."""

    index: int
    uuid: str
    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the machine is now. `gpus`: index, percent, memory, temperature, watts."""

    cpu_percent: float
    memory_used_bytes: int
    disk_used_bytes: int
    gpus: list[dict[str, Any]]


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class Machine:
    """Measures the machine; GPUs only where the driver's library is there."""

    def __init__(self, disk: Path) -> None:
        self.disk = disk
        self.driver = ""
        try:
            pynvml.nvmlInit()
            self.driver = _text(pynvml.nvmlSystemGetDriverVersion())
        except pynvml.NVMLError:  # also where the library is not installed
            self.driver = ""

    @property
    def cpu_count(self) -> int:
        """CPUs that this process may use."""
        return len(os.sched_getaffinity(0))

    @property
    def memory_bytes(self) -> int:
        """The machine's memory, or the control group's limit where that is smaller."""
        total = int(psutil.virtual_memory().total)
        for path in (
            Path("/sys/fs/cgroup/memory.max"),
            Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        ):
            with suppress(OSError, ValueError):
                total = min(total, int(path.read_text()))
        return total

    @property
    def disk_bytes(self) -> int:
        """The size of the disk that holds the platform's files."""
        return int(psutil.disk_usage(str(self.disk)).total)

    def facts(self) -> dict[str, Any]:
        """Versions worth knowing when something behaves oddly."""
        facts: dict[str, Any] = {
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "python": platform.python_version(),
        }
        if self.driver:
            facts["nvidia_driver"] = self.driver
        return facts

    def gpus(self) -> list[Gpu]:
        """The devices; none where NVML is not there."""
        if not self.driver:
            return []
        found = []
        with suppress(pynvml.NVMLError):
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                found.append(
                    Gpu(
                        index,
                        _text(pynvml.nvmlDeviceGetUUID(handle)),
                        _text(pynvml.nvmlDeviceGetName(handle)),
                        int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                    )
                )
        return found

    def load(self) -> Load:
        """Now; CPU since the last call in the same thread, 0 at its first."""
        memory = psutil.virtual_memory()
        return Load(
            cpu_percent=float(psutil.cpu_percent(None)),
            memory_used_bytes=int(memory.total - memory.available),
            disk_used_bytes=int(psutil.disk_usage(str(self.disk)).used),
            gpus=self._gpu_loads(),
        )

    def _gpu_loads(self) -> list[dict[str, Any]]:
        if not self.driver:
            return []
        loads = []
        with suppress(pynvml.NVMLError):
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                load: dict[str, Any] = {
                    "index": index,
                    "memory_used_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(handle).used),
                }
                with suppress(pynvml.NVMLError):
                    load["percent"] = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
                with suppress(pynvml.NVMLError):
                    load["temperature"] = int(
                        pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
                    )
                with suppress(pynvml.NVMLError):
                    load["watts"] = round(pynvml.nvmlDeviceGetPowerUsage(handle) / 1000)
                loads.append(load)
        return loads
