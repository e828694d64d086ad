"""What the tests of deployments, gateway and playground share."""

import pytest

from inference import activity, threads


@pytest.fixture(autouse=True)
def fresh_gateway():
    """No memory of other tests' deployments, and no connection to their database."""
    activity._written.clear()
    yield
    threads.close_connections()
