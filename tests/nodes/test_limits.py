"""What a container may hold of its node's memory, and which network it gets."""

import pytest
from django.urls import reverse
from docker.errors import NotFound

from nodes import services
from nodes.models import Gpu, Node, Workload
from nodes.runners import Exit, shim
from nodes.services.limits import memory_bound
from nodes.services.verdicts import judge
from tests.nodes.conftest import followed, start

pytestmark = pytest.mark.django_db(transaction=True)
GIB = 2**30


@pytest.fixture
def node(db) -> Node:
    """40 GiB of memory, of which two are the node's own; 8 processors and 4 GPUs."""
    made = Node.objects.create(name="big", runner="docker", cpu_count=8, memory_bytes=40 * GIB)
    for index in range(4):
        Gpu.objects.create(
            node=made, index=index, uuid=f"GPU-{index}", name="X", memory_bytes=80 * GIB
        )
    return made


@pytest.mark.parametrize(
    ("wishes", "percent", "gib"),
    [
        ({"cpus": 2.0}, 100, 38 / 4),
        ({"cpus": 2.0}, 200, 38 / 2),
        ({"cpus": 2.0}, 0, 38),
        ({"cpus": 8.0}, 300, 38),
        ({"cpus": 2.0, "gpus": 2}, 100, 38 / 2),
        ({"cpus": 0.5, "memory_bytes": 10 * GIB}, 100, 15),
        ({"cpus": 0.5, "memory_bytes": 30 * GIB}, 100, 38),
        ({"cpus": 0.5, "memory_bytes": 39 * GIB}, 100, 39),
        ({"cpus": 0.5, "memory_bytes": 39 * GIB}, 0, 39),
        ({"cpus": 8.0, "memory_limit_bytes": GIB}, 100, 1),
    ],
)
def test_a_share_and_at_least_what_was_asked_for(node, submit, settings, wishes, percent, gib):
    settings.WORKLOAD_MEMORY_PERCENT = percent
    assert memory_bound(submit(**wishes), node) == round(gib * GIB)


@pytest.mark.parametrize(
    ("met_limit", "reason"),
    [
        (True, "It used more than its 12 GB of memory, and the system ended it."),
        (False, "The machine's memory was full, and the system ended the process."),
        (None, "Memory was full, and the system ended it."),
    ],
)
def test_whose_memory_was_full(submit, met_limit, reason) -> None:
    workload = submit()
    workload.memory_bound_bytes = 12 * GIB
    end = Exit(None, 9, 0, 1, oom=True, met_limit=met_limit)
    assert judge(workload, end, "", None) == ("oom", reason)


def test_a_limit_that_nobody_wrote_down_has_no_size(submit) -> None:
    end = Exit(None, 9, 0, 1, oom=True, met_limit=True)
    reason = "It used more than its memory, and the system ended it."
    assert judge(submit(), end, "", None) == ("oom", reason)


@pytest.mark.parametrize(
    ("most", "held", "met"), [(1000, 900, True), (1000, 300, False), (990, 900, False)]
)
def test_files_that_were_read_meet_no_limit(tmp_path, monkeypatch, most, held, met) -> None:
    """The first version of control groups counts them as memory."""
    monkeypatch.setattr(shim, "V1", str(tmp_path / "memory"))
    (tmp_path / "memory.max_usage_in_bytes").write_text(f"{most}\n")
    (tmp_path / "memory.limit_in_bytes").write_text("1000\n")
    assert shim.has_met_limit(held) is met


def test_the_limit_in_the_administration(submit, people, client) -> None:
    workload = submit()
    client.force_login(people.operator)
    address = reverse("admin:nodes_workload_change", args=[workload.pk])
    for bound, words in ((None, "–"), (12 * GIB, "12 GB")):
        Workload.objects.filter(pk=workload.pk).update(memory_bound_bytes=bound)
        page = client.get(address).content.decode()
        assert f'<div class="readonly">{words}</div>' in page


@pytest.mark.docker
def test_the_share_is_kept_and_told(contained, submit, settings, container_of) -> None:
    """Without a limit of its own, a hog ends where its part of the node ends, which it names."""
    settings.WORKLOAD_MEMORY_PERCENT = 100
    node = Node.objects.get(name=contained.name)
    Node.objects.filter(pk=node.pk).update(memory_bytes=GIB)
    hog = start(submit({"hold_mib": 400}, cpus=node.cpu_count / 8))
    bound = round(0.9 * GIB / 8)
    assert container_of(hog).attrs["HostConfig"]["Memory"] // 2**20 == bound // 2**20
    hog = followed(contained, hog)
    assert (hog.outcome, hog.memory_bound_bytes) == ("oom", bound)
    assert hog.reason == "It used more than its 115 MB of memory, and the system ended it."


@pytest.mark.docker
def test_who_fetches_is_alone_in_the_nodes_own_network(
    contained, submit, settings, container_of, docker_host
) -> None:
    """It is made when it is needed, once, and goes with the node."""
    settings.HUB_ONLINE = True
    long = {"steps": 100000, "seconds": 0.05}
    fetching = [
        start(submit(long, inputs={"model": "hub:lab/tiny"}, cpus=0.1)) for _number in range(2)
    ]
    ids = {container_of(one).attrs["HostConfig"]["NetworkMode"] for one in fetching}
    assert len(ids) == 1
    network = docker_host.networks.get(ids.pop())
    installation = services.installation_id(contained.name)
    assert network.attrs["Labels"] == {"trainer.installation": installation}
    assert network.attrs["Options"] == {"com.docker.network.bridge.enable_icc": "false"}
    contained.driver.leave()  # still in use: nothing happens
    assert docker_host.networks.get(network.id)
    stopped, forgotten = fetching
    services.workload_stop(stopped.pk, mode="kill", reason="done")
    followed(contained, stopped)
    assert services.workload_lost(forgotten.pk, forgotten.epoch, reason="")  # its container runs on
    Node.objects.filter(name=contained.name).update(state=Node.State.REMOVED)
    with pytest.raises(services.NodeRemoved):
        contained.beat()
    with pytest.raises(NotFound):
        docker_host.networks.get(network.id)
