"""The units of a node keep what was learnt about stopping its processes."""

from configparser import ConfigParser
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from nodes.management.permission import EX_CONFIG, EX_TEMPFAIL

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"


def service(name: str) -> dict[str, str]:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(UNITS / name)
    return dict(unit["Service"])


@pytest.mark.parametrize("part", ["worker", "agent"])
def test_units(part: str) -> None:
    unit = service(f"llm-cloud-trainer-node-{part}.service")
    assert (unit["KillMode"], unit["Restart"]) == ("mixed", "always")
    assert unit["EnvironmentFile"].endswith("/node-%H.env")
    assert unit["ExecStart"].split()[-1] in get_commands()


def test_the_worker_is_given_time_for_the_step_it_is_in() -> None:
    unit = service("llm-cloud-trainer-node-worker.service")
    assert int(unit["TimeoutStopSec"]) > settings.Q_CLUSTER["timeout"]


@pytest.mark.parametrize("part", ["worker", "agent"])
def test_what_is_refused_is_not_started_again_and_again(part: str) -> None:
    unit = service(f"llm-cloud-trainer-node-{part}.service")
    assert int(unit["RestartPreventExitStatus"]) == EX_CONFIG


@pytest.mark.parametrize("part", ["worker", "agent"])
def test_what_may_pass_is_tried_again_without_end(part: str) -> None:
    name = f"llm-cloud-trainer-node-{part}.service"
    unit = service(name)
    assert str(EX_TEMPFAIL) not in unit["RestartPreventExitStatus"].split()
    assert int(unit["RestartMaxDelaySec"]) >= 30
    assert "StartLimitIntervalSec=0\n" in (UNITS / name).read_text().partition("[Service]")[0]


def test_processes_outlive_the_units() -> None:
    assert service("process-runner.conf")["KillMode"] == "process"
