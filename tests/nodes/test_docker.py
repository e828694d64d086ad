"""Workloads in real containers: how they start, end, stop, and what they are kept from."""

import pytest

from tests.nodes.conftest import followed, start

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]


def test_runs_to_its_end(contained, submit, docker_host) -> None:
    workload = followed(contained, start(submit({"steps": 3, "seconds": 0.05})))
    assert (workload.outcome, workload.exit_code, workload.reason) == ("ok", 0, "")
    print(workload.log_path.read_text(), list(workload.directory.iterdir()))
    assert docker_host.containers.list(all=True) == []
