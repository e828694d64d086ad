"""Nodes without room, or without a way to their GPUs: nothing is placed there, nothing lost."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from common.phrases import load
from config.management.commands.serve import check_runner
from nodes import services
from nodes.agent import Agent
from nodes.machine import lacks_room
from nodes.models import Lease, Node, Workload
from nodes.nvml import Nvml
from nodes.runners import CannotStart, NoRoom
from nodes.runners.docker import DockerRunner, _gives_gpus
from nodes.runners.files import not_started
from nodes.services import follow
from nodes.staging.cache import InputCache
from nodes.staging.carrier import Carrier
from nodes.staging.control import Control
from tests.nodes.conftest import followed, start
from tests.nodes.disks import fill, small_disk
from tests.nodes.nvml_recording import Recorded
from tests.nodes.test_images import ready
from tests.nodes.test_input_cache import MIB, bring

pytestmark = pytest.mark.django_db(transaction=True)
State, Outcome = Workload.State, Workload.Outcome
MUCH = 2**60


@pytest.fixture
def outputs(home, settings) -> Iterator[Path]:
    """Where workloads have their directories: a small disk, of which nothing has to stay free."""
    settings.NODE_RESERVE_BYTES = 0
    with small_disk(home / "output"):
        yield home / "output"


def node_of(agent) -> Node:
    return Node.objects.get(pk=agent.node_id)


def test_room_is_what_is_free_above_the_reserve(tmp_path) -> None:
    assert not lacks_room(tmp_path, 0)
    assert lacks_room(tmp_path, MUCH)
    assert not lacks_room(tmp_path / "not seen from here", MUCH)


def test_a_full_disk_is_told_before_anything_is_placed(
    agent, submit, settings, people, client
) -> None:
    settings.NODE_RESERVE_BYTES = MUCH
    agent.beat()
    node = node_of(agent)
    assert not node.takes_work
    assert str(settings.TRAINER_HOME) in load(node.facts["trouble"])
    workload = submit({})
    assert (workload.state, workload.waits_for["code"]) == (State.WAITING, "away")
    for language, words in (("en", "Make room there"), ("zh-hans", "可用空间不足")):
        assert words in page_of(client, node, people.operator, language)
    settings.NODE_RESERVE_BYTES = 0
    agent.beat()
    assert node_of(agent).takes_work
    workload.refresh_from_db()
    assert followed(agent, start(workload)).outcome == "ok"


def page_of(client: Client, node: Node, user, language: str) -> str:
    client.force_login(user)
    address = reverse("nodes:node_detail", args=[node.pk])
    return client.get(address, headers={"Accept-Language": language}).content.decode()


def test_where_room_is_lacking_is_for_operators(agent, settings, people, client) -> None:
    settings.NODE_RESERVE_BYTES = MUCH
    agent.beat()
    node, path = node_of(agent), str(settings.TRAINER_HOME)
    for user, sees in ((people.viewer, False), (people.operator, True)):
        page = page_of(client, node, user, "en")
        assert "Nothing can be started here now." in page
        assert (path in page) is sees
        facts = client.get(f"/api/v1/nodes/{node.pk}/").json()["facts"]
        assert facts["trouble"]
        assert (path in str(facts)) is sees


def test_a_start_that_finds_the_disk_full_waits_again(agent, submit, outputs) -> None:
    """It has no process and no place, its node gets nothing, and with room it is started."""
    big = fill(outputs)
    workload = submit({})
    assert workload.state == State.PLACED
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert (workload.state, workload.outcome, workload.node) == (State.WAITING, "", None)
    assert not Lease.objects.filter(workload=workload, released_at=None).exists()
    assert list(agent.driver.owned()) == []
    node = node_of(agent)
    assert not node.takes_work
    assert "No space left on device" in load(node.facts["trouble"])
    big.unlink()
    agent.beat()
    workload.refresh_from_db()
    assert followed(agent, start(workload)).outcome == "ok"
    assert workload.epoch == 2


def test_another_node_takes_what_one_has_no_room_for(agent, submit, outputs) -> None:
    from nodes.agent import Agent

    fill(outputs)
    workload = submit({})
    other = Agent(f"other-{uuid.uuid4().hex[:8]}")
    other.register()
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert (workload.state, workload.node.name) == (State.PLACED, other.name)


def returned(agent, workload: Workload) -> Workload:
    """Placed again, and come back again from a node that says it had room."""
    agent.beat()
    workload.refresh_from_db()
    claimed = services.workload_claim(workload.pk, workload.epoch)
    assert claimed is not None
    assert follow.workload_return(workload.pk, claimed.epoch, reason="full")
    workload.refresh_from_db()
    return workload


def test_coming_back_has_an_end(agent, submit, monkeypatch) -> None:
    monkeypatch.setattr("nodes.services.follow.MAX_RETURNS", 3)
    workload = submit({})
    for _time in range(3):
        assert returned(agent, workload).state == State.WAITING
    returned(agent, workload)
    assert (workload.state, workload.outcome) == (State.ENDED, Outcome.ERROR)
    assert workload.reason == "full"


def test_coming_back_is_no_start_that_was_cut_off(agent, submit) -> None:
    workload = submit({})
    for _time in range(3):
        returned(agent, workload)
    agent.beat()
    assert services.workload_claim(workload.pk, 3) is not None
    assert services.workload_reclaim(workload.pk, 4) is not None


def test_what_is_to_stop_does_not_come_back(agent, submit) -> None:
    workload = submit({})
    services.workload_claim(workload.pk, 0)
    services.workload_stop(workload.pk, mode="kill", reason="enough")
    assert follow.workload_return(workload.pk, 1, reason="full")
    workload.refresh_from_db()
    assert (workload.outcome, workload.reason) == (Outcome.STOPPED, "enough")
    assert node_of(agent).takes_work


@pytest.mark.parametrize(
    ("why", "kind"),
    [
        (OSError(28, "No space left on device", "/x"), NoRoom),
        (OSError(122, "Disk quota exceeded", "/x"), NoRoom),
        ("mkdir /var/lib/docker/overlay2/0a: no space left on device", NoRoom),
        (OSError(13, "Permission denied", "/x"), CannotStart),
        ("could not select device driver", CannotStart),
    ],
)
def test_which_failures_are_for_want_of_room(why, kind) -> None:
    assert type(not_started(why)) is kind


def test_what_nobody_reads_goes_before_a_node_is_without_room(tmp_path) -> None:
    """Outputs took what was left free: inputs of ended workloads make room, others stay."""
    cache = InputCache(tmp_path / "cache", 10 * MIB, reserve=0)
    read, unread = uuid.uuid4(), uuid.uuid4()
    trees = [bring(cache, one, {"weights": one.bytes * 1000}, used=1) for one in (read, unread)]
    cache.release(unread)
    carrier = Carrier(Control("http://127.0.0.1:9", "key"), tmp_path, cache)
    asyncio.run(carrier.keep_reserve())
    assert [tree.exists() for tree in trees] == [True, True]
    cache.reserve = MUCH
    asyncio.run(carrier.keep_reserve())
    assert [tree.exists() for tree in trees] == [True, False]


# --- containers


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """Where programs are looked for; there are none, and it is no container."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("nodes.runners.docker.IN_CONTAINER", tmp_path / "nothing")
    return folder


def install(folder: Path, name: str) -> None:
    tool = folder / name
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)


@pytest.mark.parametrize(
    ("info", "gives"),
    [
        ({}, False),
        ({"Runtimes": {"runc": {}}, "DiscoveredDevices": None}, False),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, True),
        ({"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}, True),
        ({"DiscoveredDevices": [{"Source": "cdi", "ID": "vendor.com/net=0"}]}, False),
    ],
)
def test_whether_an_engine_gives_gpus(info, gives, machine) -> None:
    assert _gives_gpus(info) is gives


def test_an_engine_finds_its_tools_beside_it(machine) -> None:
    install(machine, "nvidia-container-runtime-hook")
    assert _gives_gpus({"Runtimes": {"runc": {}}})


def test_who_is_in_a_container_has_its_gpus_from_the_engine(machine, monkeypatch) -> None:
    monkeypatch.setattr("nodes.runners.docker.IN_CONTAINER", machine)
    assert _gives_gpus({"Runtimes": {"runc": {}}})


@pytest.fixture
def described(simulated, settings, home) -> Agent:
    """The agent of a node whose Engine tells what its test says, with two GPUs and an image."""
    settings.NODE_RUNNER = "docker"
    simulated.held.append(ready("lab/small:1", 1).image_id)
    agent = Agent("described")
    agent.machine.nvml = Nvml(Recorded.load("two_rtx_a5000"))
    return agent


def test_without_a_way_to_its_gpus_a_node_takes_other_work(
    described, machine, submit, people, client
) -> None:
    described.register()
    node = node_of(described)
    assert submit({}).state == State.PLACED
    on_gpu = submit({}, gpus=1)
    assert (on_gpu.state, on_gpu.waits_for["code"]) == (State.WAITING, "gpus_away")
    for language, words in (("en", "only work without GPUs"), ("zh-hans", "不使用 GPU 的工作")):
        assert words in page_of(client, node, people.operator, language)
    assert "nvidia-ctk" not in page_of(client, node, people.viewer, "en")
    install(machine, "nvidia-container-runtime-hook")
    described.beat()
    on_gpu.refresh_from_db()
    assert on_gpu.state == State.PLACED
    assert "nvidia-ctk" not in page_of(client, node, people.operator, "en")


def test_an_engine_that_takes_all_with_it_when_it_ends(
    described, simulated, people, client
) -> None:
    described.register()
    node = node_of(described)
    assert check_runner("docker") == []
    assert "live-restore" not in page_of(client, node, people.operator, "en")
    simulated.info["LiveRestoreEnabled"] = False
    described.beat()
    for language, words in (("en", "ends with it"), ("zh-hans", "都会随之结束")):
        page = page_of(client, node, people.operator, language)
        assert words in page
        assert "live-restore" in page
    assert "live-restore" not in page_of(client, node, people.viewer, "en")
    assert "live-restore" in check_runner("docker")[0]
    assert check_runner("process") == []


@pytest.mark.docker
def test_the_engines_own_disk_counts(contained, settings, monkeypatch) -> None:
    root = DockerRunner("x").check()["docker_root"]
    monkeypatch.setattr("nodes.agent.lacks_room", lambda path, reserve: path == Path(root))
    contained.beat()
    assert root in load(node_of(contained).facts["trouble"])


@pytest.mark.docker
def test_a_container_for_which_there_is_no_room(contained, submit, outputs) -> None:
    big = fill(outputs)
    workload = submit({})
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert workload.state == State.WAITING
    assert list(contained.driver.owned()) == []
    big.unlink()
    contained.beat()
    workload.refresh_from_db()
    assert followed(contained, start(workload)).outcome == "ok"
