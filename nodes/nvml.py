"""Reads NVIDIA devices through NVML. Knows nothing of the platform.

Every figure that a device or its driver does not offer is left out; none of them is guessed.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pynvml

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
# XIDs that a faulty program causes on a sound device; all others count against the device.
PROGRAM_XIDS = frozenset({13, 31, 43, 45, 68, 109})
_LOST = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
_THROTTLING = {
    pynvml.nvmlClocksEventReasonSwPowerCap: "power_cap",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "heat",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "heat",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power_brake",
}
THROTTLE_WORDS = frozenset(_THROTTLING.values())


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device as its driver reports it: memory in bytes, health and the codes behind it."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    health: str = OK
    health_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that the driver told of: an XID of a device."""

    uuid: str
    xid: int


@dataclass(slots=True)
class _Reading:
    """Collects figures; what is not offered stays out."""

    figures: dict[str, Any] = field(default_factory=dict)

    def take(self, name: str, read: Callable[[], Any]) -> None:
        with suppress(pynvml.NVMLError):
            value = read()
            if value is not None:
                self.figures[name] = value


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class Nvml:
    """The machine's devices, none where the driver's library is not installed.

    `library` offers the functions of `pynvml`.
    """

    def __init__(self, library: Any = pynvml) -> None:
        self.library = library
        self.driver = ""
        self.cuda = ""
        self._events: Any = None
        self._seen: dict[str, int] = {}
        with suppress(pynvml.NVMLError):  # also where the library is not installed
            library.nvmlInit()
            self.driver = _text(library.nvmlSystemGetDriverVersion())
            version = int(library.nvmlSystemGetCudaDriverVersion())
            self.cuda = f"{version // 1000}.{version % 1000 // 10}"

    def _handles(self) -> list[tuple[int, Any]]:
        """Devices that answer. One that fell off the bus is left out, the others stay."""
        if not self.driver:
            return []
        found = []
        with suppress(pynvml.NVMLError):
            for index in range(self.library.nvmlDeviceGetCount()):
                with suppress(pynvml.NVMLError):
                    found.append((index, self.library.nvmlDeviceGetHandleByIndex(index)))
        return found

    def gpus(self) -> list[Gpu]:
        """The devices with their health."""
        found = []
        for index, handle in self._handles():
            with suppress(pynvml.NVMLError):
                uuid = _text(self.library.nvmlDeviceGetUUID(handle))
                name = _text(self.library.nvmlDeviceGetName(handle))
                memory = int(self._memory(handle).total)
                found.append(Gpu(index, uuid, name, memory, *self._health(handle)))
        return found

    def loads(self) -> list[dict[str, Any]]:
        """How busy each device is now.

        Keys: index, uuid, percent, memory_used_bytes, temperature (°C), watts, watts_limit,
        ecc_corrected and ecc_uncorrected (since the device was made), throttled (words of
        `THROTTLE_WORDS`), processes (pid, memory_used_bytes, percent).
        """
        library, found = self.library, []
        for index, handle in self._handles():
            reading = _Reading({"index": index})
            try:
                reading.figures["uuid"] = _text(library.nvmlDeviceGetUUID(handle))
                reading.figures["memory_used_bytes"] = int(self._memory(handle).used)
            except pynvml.NVMLError:
                continue
            self._take_figures(reading, handle)
            found.append(reading.figures)
        return found

    def _take_figures(self, reading: _Reading, handle: Any) -> None:
        library = self.library
        corrected = pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED
        uncorrected = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
        ever = pynvml.NVML_AGGREGATE_ECC
        reading.take("percent", lambda: int(library.nvmlDeviceGetUtilizationRates(handle).gpu))
        reading.take(
            "temperature",
            lambda: int(library.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        )
        reading.take("watts", lambda: round(library.nvmlDeviceGetPowerUsage(handle) / 1000, 1))
        reading.take(
            "watts_limit", lambda: round(library.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)
        )
        reading.take(
            "ecc_corrected",
            lambda: int(library.nvmlDeviceGetTotalEccErrors(handle, corrected, ever)),
        )
        reading.take(
            "ecc_uncorrected",
            lambda: int(library.nvmlDeviceGetTotalEccErrors(handle, uncorrected, ever)),
        )
        reading.take("throttled", lambda: self._throttled(handle))
        reading.take("processes", lambda: self._processes(handle, reading.figures["uuid"]))

    def _memory(self, handle: Any) -> Any:
        """Memory as `nvidia-smi` counts it: what the driver keeps for itself is not used."""
        try:
            return self.library.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2)
        except pynvml.NVMLError:
            return self.library.nvmlDeviceGetMemoryInfo(handle)

    def _throttled(self, handle: Any) -> list[str]:
        try:
            mask = int(self.library.nvmlDeviceGetCurrentClocksEventReasons(handle))
        except pynvml.NVMLError:  # the name that older drivers know
            mask = int(self.library.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        return sorted({word for bit, word in _THROTTLING.items() if mask & bit})

    def _processes(self, handle: Any, uuid: str) -> list[dict[str, Any]]:
        """Who computes on the device: process number, memory and, where known, utilisation."""
        busy: dict[int, int] = {}
        with suppress(pynvml.NVMLError):  # nothing was measured since the last time
            for sample in self.library.nvmlDeviceGetProcessUtilization(
                handle, self._seen.get(uuid, 0)
            ):
                busy[int(sample.pid)] = min(100, int(sample.smUtil))
                self._seen[uuid] = max(self._seen.get(uuid, 0), int(sample.timeStamp))
        found = []
        for process in self.library.nvmlDeviceGetComputeRunningProcesses(handle):
            entry: dict[str, Any] = {"pid": int(process.pid)}
            if process.usedGpuMemory is not None:
                entry["memory_used_bytes"] = int(process.usedGpuMemory)
            if entry["pid"] in busy:
                entry["percent"] = busy[entry["pid"]]
            found.append(entry)
        return found

    def _health(self, handle: Any) -> tuple[str, tuple[str, ...]]:
        """`ok`, `degraded` or `failed`, and the codes of what is wrong."""
        library = self.library
        codes: dict[str, str] = {}

        def check(read: Callable[[], dict[str, str]]) -> None:
            try:
                codes.update(read())
            except pynvml.NVMLError as error:
                if error.value in _LOST:
                    codes["lost"] = FAILED

        def rows() -> dict[str, str]:
            _corrected, _uncorrected, pending, failure = library.nvmlDeviceGetRemappedRows(handle)
            return {
                **({"remapping_failed": FAILED} if failure else {}),
                **({"remapping_pending": DEGRADED} if pending else {}),
            }

        def pages() -> dict[str, str]:
            pending = library.nvmlDeviceGetRetiredPagesPendingStatus(handle)
            return {"retirement_pending": DEGRADED} if pending else {}

        def errors() -> dict[str, str]:
            count = library.nvmlDeviceGetTotalEccErrors(
                handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
            )
            return {"ecc_uncorrected": DEGRADED} if count else {}

        def slices() -> dict[str, str]:
            current, _pending = library.nvmlDeviceGetMigMode(handle)
            return {"mig": DEGRADED} if current == pynvml.NVML_DEVICE_MIG_ENABLE else {}

        for read in (rows, pages, errors, slices):
            check(read)
        worst = FAILED if FAILED in codes.values() else DEGRADED if codes else OK
        return worst, tuple(sorted(codes))

    def faults(self) -> list[Fault]:
        """XIDs that the driver told of since the last call; never waits."""
        if not self.driver:
            return []
        library, found = self.library, []
        with suppress(pynvml.NVMLError):
            if self._events is None:
                self._events = self._watch()
            while True:  # ends with NVML_ERROR_TIMEOUT when there is none left
                event = library.nvmlEventSetWait_v2(self._events, 0)
                if event.eventType == pynvml.nvmlEventTypeXidCriticalError:
                    uuid = _text(library.nvmlDeviceGetUUID(event.device))
                    found.append(Fault(uuid, int(event.eventData)))
        return found

    def _watch(self) -> Any:
        events = self.library.nvmlEventSetCreate()
        for _index, handle in self._handles():
            with suppress(pynvml.NVMLError):  # a device that tells of nothing
                self.library.nvmlDeviceRegisterEvents(
                    handle, pynvml.nvmlEventTypeXidCriticalError, events
                )
        return events
