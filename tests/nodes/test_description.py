"""Every argument that a container gets, of a launch that has all there is."""

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nodes.runners import CannotStart, Container, Launch, Place
from nodes.runners.description import container_user, description

MIB = 2**20
GPUS = ("GPU-12345678-aaaa-bbbb-cccc-0123456789ab", "GPU-12345678-aaaa-bbbb-cccc-0123456789cd")
IMAGE = {"Entrypoint": ["/usr/bin/python3", "-m", "engine"]}


@pytest.fixture
def launch(home) -> Launch:
    place = Place(uuid.uuid4(), 3, home / "output" / "w")
    place.directory.mkdir()
    (home / "models" / "tiny").mkdir()
    return Launch(
        place=place,
        command=("serve",),
        log=home / "logs" / "w.log",
        env={"SECRET": "s", "CUDA_VISIBLE_DEVICES": "7"},
        files={"config.yaml": "{}"},
        inputs={"model": home / "models" / "tiny"},
        wall_seconds=60,
        lease_seconds=240.0,
        gpus=GPUS,
        socket=home / "temp" / "w.sock",
        caches={"HF_HOME": home / "hf-cache" / "small", "MODELSCOPE_CACHE": home / "hf-cache/ms"},
        container=Container(
            image="sha256:abc",
            fetches=True,
            cpus=1.5,
            cpus_at_most=8,
            memory_bytes=64 * MIB,
            memory_limit_bytes=256 * MIB,
            room_bytes=320 * MIB,
        ),
    )


def mounts_of(found: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """By their target: the source, and whether it may be written to."""
    assert {mount["Type"] for mount in found["mounts"]} == {"bind"}
    return {one["Target"]: (one["Source"], not one["ReadOnly"]) for one in found["mounts"]}


def test_all_arguments(launch, home) -> None:
    found = description("here", launch, IMAGE, "hub")
    mounts, command, devices = (
        mounts_of(found),
        json.loads(found.pop("command")[0]),
        found.pop("device_requests"),
    )
    log_config, environment = found.pop("log_config"), found.pop("environment")
    del found["mounts"]
    name = f"{launch.place.workload}"
    user, group = container_user()
    assert found == {
        "image": "sha256:abc",
        "name": f"trainer-{name}-3",
        "entrypoint": ["/usr/bin/python3", "-I", "-S", "/trainer/shim.py"],
        "labels": {
            "trainer.installation": "here",
            "trainer.workload": name,
            "trainer.epoch": "3",
        },
        "user": f"{user}:{group}",
        "working_dir": "/workload",
        "hostname": "workload",
        "extra_hosts": {"workload": "127.0.0.1"},
        "tmpfs": {"/tmp": "size=4g,mode=1777,nosuid,nodev,exec"},
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "network_mode": "hub",
        "cpu_shares": 1536,
        "nano_cpus": 8 * 10**9,
        "mem_limit": 256 * MIB,
        "memswap_limit": 256 * MIB,
        "shm_size": 128 * MIB,
        "pids_limit": 4096,
        "oom_score_adj": 800,
    }
    assert user != 0
    assert devices == [
        {
            "Driver": "",
            "Count": 0,
            "DeviceIDs": list(GPUS),
            "Capabilities": [["gpu"]],
            "Options": {},
        }
    ]
    assert (log_config.type, log_config.config) == ("local", {"max-size": "10m", "max-file": "2"})
    assert environment == {
        "SECRET": "s",
        "HOME": "/tmp",
        "USER": "trainer",
        "LOGNAME": "trainer",
        "CUDA_VISIBLE_DEVICES": ",".join(GPUS),
        "NVIDIA_VISIBLE_DEVICES": ",".join(GPUS),
        "HF_HOME": "/cache/hf_home",
        "MODELSCOPE_CACHE": "/cache/modelscope_cache",
        "TRAINER_SOCKET": "/workload/serve.sock",
        "TRAINER_INSTALLATION": "here",
        "TRAINER_WORKLOAD": name,
        "TRAINER_EPOCH": "3",
    }
    shim = mounts.pop("/trainer/shim.py")
    assert Path(shim[0]).parent == home / "supervisors"
    assert shim[1] is False
    assert mounts == {
        "/workload": (str(launch.place.directory), True),
        "/trainer/log": (str(launch.log), True),
        "/workload/inputs/model": (str((home / "models" / "tiny").resolve()), False),
        "/cache/hf_home": (str(home / "hf-cache" / "small"), True),
        "/cache/modelscope_cache": (str(home / "hf-cache" / "ms"), True),
    }
    assert command == {
        "contained": True,
        "workload": name,
        "epoch": 3,
        "directory": "/workload",
        "log": "/trainer/log",
        "command": ["/usr/bin/python3", "-m", "engine", "serve"],
        "wall_seconds": 60,
        "lease_seconds": 240.0,
        "marker": "/workload/start-3.lock",
        "process_file": "/workload/process-3.json",
        "exit_file": "/workload/exit-3.json",
    }
    assert "SECRET" not in json.dumps(command)
    assert (launch.place.directory / "config.yaml").read_text() == "{}"
    assert launch.socket.readlink() == launch.place.directory / "serve.sock"


def test_what_nobody_asked_for_is_not_given(launch) -> None:
    """No devices, also where the image asks for all; no network, and no writing to the caches."""
    assert launch.container is not None
    container = replace(launch.container, fetches=False, cpus=0.0, memory_bytes=350 * MIB)
    found = description("here", replace(launch, gpus=(), container=container), IMAGE, "none")
    assert found["device_requests"] == []
    assert found["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert found["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert found["network_mode"] == "none"
    assert (found["cpu_shares"], found["oom_score_adj"]) == (2, 100)
    caches = {target: rw for target, (_source, rw) in mounts_of(found).items() if "cache" in target}
    assert caches == {"/cache/hf_home": False, "/cache/modelscope_cache": False}


@pytest.mark.parametrize("image", [{}, {"Entrypoint": None}, {"Entrypoint": []}])
def test_an_image_without_an_entrypoint_is_refused(launch, image) -> None:
    with pytest.raises(CannotStart, match="no entrypoint"):
        description("here", launch, image, "none")


def test_a_launch_without_an_image_is_refused(launch) -> None:
    with pytest.raises(CannotStart, match="no image"):
        description("here", replace(launch, container=None), IMAGE, "none")
