"""Stops that come before a container runs."""

import pytest

from nodes import services
from nodes.services import follow
from tests.nodes.conftest import followed, until

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]


def test_a_stop_between_creation_and_start_is_sent_again(
    contained, submit, container_of, monkeypatch
) -> None:
    claimed = services.workload_claim(submit({"steps": 3000, "seconds": 0.02}).pk, 0)
    with monkeypatch.context() as cut:
        cut.setattr("nodes.runners.docker._start", lambda container: None)
        assert follow.workload_launch(claimed)
    services.workload_stop(claimed.pk, mode="checkpoint", reason="enough")
    follow.workload_signal(claimed.pk, claimed.epoch, node=contained.name)
    container_of(claimed).start()
    until(lambda: claimed.log_path.exists() and "step 1\n" in claimed.log_path.read_text())
    workload = followed(contained, claimed)
    assert (workload.outcome, workload.exit_code, workload.reason) == ("stopped", 75, "enough")
