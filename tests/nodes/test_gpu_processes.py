"""Whose the processes on GPUs are: recorded answers of NVML about real processes."""

import asyncio
from types import SimpleNamespace

import psutil
import pytest

from nodes.agent import Agent
from nodes.models import NodeSample
from nodes.nvml import Nvml
from nodes.runners.docker import CONTAINER_ID
from tests.nodes.conftest import running, start
from tests.nodes.nvml_recording import Handle, Recorded

pytestmark = pytest.mark.django_db(transaction=True)
LONG = {"steps": 3000, "seconds": 0.02}
INNER, OUTER = "4f" * 32, "0a" * 32


def shares_of(agent: Agent) -> list[dict]:
    """The processes on GPUs, as the agent measured them now."""
    asyncio.run(agent._patiently(agent.sample))
    sample = NodeSample.objects.filter(node_id=agent.node_id).order_by("-at").first()
    assert sample is not None
    return [share for gpu in sample.gpus for share in gpu["processes"]]


def compute(agent: Agent, *pids: int) -> None:
    """Both recorded devices, with these processes on the first."""
    library = Recorded.load("two_rtx_a5000")
    processes = [SimpleNamespace(pid=pid, usedGpuMemory=2**30) for pid in pids]
    library.put("nvmlDeviceGetComputeRunningProcesses", Handle(index=0), answer=processes)
    library.put("nvmlDeviceGetComputeRunningProcesses", Handle(index=1), answer=[])
    agent.machine.nvml = Nvml(library)
    agent.register()


def test_processes_and_their_children_have_a_name(agent, submit) -> None:
    workload = start(submit({**LONG, "child": True}))
    engine = running(workload)["pgid"]
    (child,) = psutil.Process(engine).children()
    compute(agent, engine, child.pid, 1)
    agent.follow()
    assert [share.get("workload") for share in shares_of(agent)] == [
        str(workload.pk),
        str(workload.pk),
        None,
    ]


@pytest.mark.docker
def test_processes_in_containers_have_a_name(contained, submit, container_of) -> None:
    """The driver tells numbers of the machine, not of the container."""
    workloads = [start(submit(LONG, cpus=0.1)) for _number in range(2)]
    pids = []
    for workload in workloads:
        running(workload)
        pids += [int(pid) for _user, pid, *_more in container_of(workload).top()["Processes"]]
    compute(contained, *pids, 1)
    contained.rows_at = 0
    contained.follow()
    names = [share.get("workload") for share in shares_of(contained)]
    halves = [str(workload.pk) for workload in workloads for _process in pids[::2]]
    assert names == [*halves, None]
    assert len(pids) >= 4  # of each container the first process and the engine, at least


@pytest.mark.parametrize(
    ("group", "found"),
    [
        (f"12:memory:/docker/{INNER}\n1:name=systemd:/docker/{INNER}\n", {INNER}),
        (f"0::/system.slice/docker-{INNER}.scope\n", {INNER}),
        (f"0::/docker/{INNER}\n", {INNER}),
        (f"0::/../{INNER}\n", {INNER}),
        (f"4:cpu:/docker/{OUTER}/trainer/{INNER}\n", {OUTER, INNER}),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", set()),
        (f"0::/{INNER}0f\n", set()),
    ],
)
def test_ids_of_containers_in_control_groups(group, found) -> None:
    """As both versions of control groups and both of Docker's drivers of them write it."""
    assert set(CONTAINER_ID.findall(group)) == found


def test_an_engine_that_is_away_leaves_them_without_a_name(engine, settings, monkeypatch) -> None:
    """The agent goes on: what it measures counts without knowing whose it is."""
    settings.NODE_RUNNER = "docker"
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    agent = Agent("busy")
    agent.machine.nvml = Nvml(Recorded.load("two_rtx_a5000"))
    agent.register()
    shares = shares_of(agent)
    assert [share["pid"] for share in shares][:1] == [100477]
    assert not any("workload" in share for share in shares)
