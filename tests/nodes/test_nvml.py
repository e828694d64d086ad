"""What is read of GPUs, on answers that real devices gave."""

from types import SimpleNamespace

import pynvml
import pytest

from nodes.machine import Machine
from nodes.nvml import Fault, Nvml
from tests.nodes.nvml_recording import Handle, Recorded, Recorder

MIB = 2**20
FIRST = "GPU-12345678-aaaa-bbbb-cccc-0123456789ab"
NO_SUPPORT, LOST, NO_NEWS = (
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_GPU_IS_LOST,
    pynvml.NVML_ERROR_TIMEOUT,
)


@pytest.fixture
def library() -> Recorded:
    return Recorded.load("two_rtx_a5000")


def test_recorded_devices_and_their_load(library) -> None:
    nvml = Nvml(library)
    assert (nvml.driver, nvml.cuda) == ("590.44.01", "13.1")
    first, second = nvml.gpus()
    assert (first.index, first.uuid, first.name) == (0, FIRST, "NVIDIA RTX A5000")
    assert (first.memory_bytes, first.health, first.health_codes) == (24564 * MIB, "ok", ())
    assert second.uuid.endswith("cd")
    load, _other = nvml.loads()
    assert load == {
        "index": 0,
        "uuid": FIRST,
        "memory_used_bytes": 22437 * MIB,
        "percent": 0,
        "temperature": 13,
        "watts": 6.4,
        "watts_limit": 230,
        "throttled": [],
        "processes": [{"pid": 100477, "memory_used_bytes": 22430 * MIB}],
    }
    assert nvml.faults() == []


def test_recorded_device_with_ecc_in_slices() -> None:
    nvml = Nvml(Recorded.load("a100_in_slices"))
    (gpu,) = nvml.gpus()
    assert (gpu.name, gpu.health, gpu.health_codes) == (
        "NVIDIA A100-SXM4-80GB",
        "degraded",
        ("mig",),
    )
    (load,) = nvml.loads()
    assert "percent" not in load  # a sliced device has no utilisation of the whole
    assert (load["ecc_corrected"], load["ecc_uncorrected"], load["watts"]) == (0, 0, 67.0)


def test_a_recording_of_the_recording_says_the_same(library) -> None:
    recorder = Recorder(library)
    nvml = Nvml(recorder)
    seen = (nvml.gpus(), nvml.loads(), nvml.faults())
    again = Nvml(Recorded(recorder.answers))
    assert (again.gpus(), again.loads(), again.faults()) == seen


@pytest.mark.parametrize(
    ("call", "args", "answer", "health", "code"),
    [
        ("nvmlDeviceGetRemappedRows", (), [0, 2, 1, 0], "degraded", "remapping_pending"),
        ("nvmlDeviceGetRemappedRows", (), [0, 9, 1, 1], "failed", "remapping_failed"),
        ("nvmlDeviceGetRetiredPagesPendingStatus", (), 1, "degraded", "retirement_pending"),
        ("nvmlDeviceGetTotalEccErrors", (1, 0), 3, "degraded", "ecc_uncorrected"),
    ],
)
def test_simulated_damage_shows_in_the_health(library, call, args, answer, health, code) -> None:
    library.put(call, Handle(index=1), *args, answer=answer)
    sound, damaged = Nvml(library).gpus()
    assert sound.health == "ok"
    assert damaged.health == health
    assert code in damaged.health_codes


def test_a_simulated_loss_leaves_the_other_device(library) -> None:
    library.put("nvmlDeviceGetUUID", Handle(index=0), error=LOST)
    nvml = Nvml(library)
    assert [gpu.index for gpu in nvml.gpus()] == [1]
    assert [load["index"] for load in nvml.loads()] == [1]
    library.put("nvmlDeviceGetRemappedRows", Handle(index=1), error=LOST)
    assert [(gpu.health, gpu.health_codes) for gpu in nvml.gpus()] == [("failed", ("lost",))]


def test_simulated_throttling_and_use_by_process(library) -> None:
    mask = pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonHwThermalSlowdown
    library.put("nvmlDeviceGetCurrentClocksEventReasons", Handle(index=0), error=NO_SUPPORT)
    library.put("nvmlDeviceGetCurrentClocksThrottleReasons", Handle(index=0), answer=mask)
    sample = SimpleNamespace(pid=100477, smUtil=73, timeStamp=1234)
    library.put("nvmlDeviceGetProcessUtilization", Handle(index=0), 0, answer=[sample])
    library.put("nvmlDeviceGetProcessUtilization", Handle(index=0), 1234, error=NO_SUPPORT)
    nvml = Nvml(library)
    load = nvml.loads()[0]
    assert load["throttled"] == ["heat", "power_cap"]
    assert load["processes"][0]["percent"] == 73
    assert "percent" not in nvml.loads()[0]["processes"][0]  # nothing new since then


def test_simulated_faults_are_told_once(library) -> None:
    events = [
        SimpleNamespace(device=Handle(index=0), eventType=8, eventData=79),
        SimpleNamespace(device=Handle(index=0), eventType=8, eventData=31),
    ]

    class WithNews(Recorded):
        def nvmlEventSetWait_v2(self, events_set, milliseconds):
            if not events:
                raise pynvml.NVMLError(NO_NEWS)
            return events.pop(0)

    library.__class__ = WithNews
    nvml = Nvml(library)
    assert nvml.faults() == [Fault(FIRST, 79), Fault(FIRST, 31)]
    assert nvml.faults() == []


def test_this_machine_is_measured(tmp_path) -> None:
    machine = Machine(tmp_path)
    first, second = machine.load(), machine.load()
    assert first.network_receive_rate is None
    assert second.network_receive_rate is not None
    assert second.network_receive_rate >= 0
    assert 0 < second.memory_used_bytes < machine.memory_bytes * 2
    facts = machine.facts()
    assert facts["disks"][0]["total_bytes"] == machine.disk_bytes
    assert facts["processor"]
