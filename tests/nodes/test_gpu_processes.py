"""Whose the processes on GPUs are: recorded answers of NVML about real processes."""

import asyncio
from types import SimpleNamespace

import pytest

from nodes.agent import Agent
from nodes.models import NodeSample
from nodes.nvml import Nvml
from tests.nodes.nvml_recording import Recorded

pytestmark = pytest.mark.django_db(transaction=True)


def shares_of(agent: Agent) -> list[dict]:
    """The processes on GPUs, as the agent measured them now."""
    asyncio.run(agent._patiently(agent.sample))
    sample = NodeSample.objects.filter(node_id=agent.node_id).order_by("-at").first()
    assert sample is not None
    return [share for gpu in sample.gpus for share in gpu["processes"]]


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
