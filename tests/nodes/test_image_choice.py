"""Which image a node takes for a workload, where nodes have different ones."""

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Event
from nodes import services
from nodes.models import Gpu, Image, Lease, Node, Workload
from nodes.services import follow
from nodes.services.checks import Nonsense
from nodes.services.choices import choose
from nodes.services.follow import workload_return
from tests.nodes.test_images import ready

pytestmark = pytest.mark.django_db(transaction=True)
CPU, CUDA = ({"engine.json": {"variant": name}} for name in ("cpu", "cuda"))
GIB = 2**30


def node_with(name: str, *images: Image, gpus: int = 0) -> Node:
    """A node as its agent reports it, with these images on it."""
    here = {image.pk for image in images}
    able = [choose(Image.objects.allowed(), here, on_gpus=on_gpus) for on_gpus in (False, True)]
    facts = {
        "engines": ["small"] if able[0] else [],
        "gpu_engines": ["small"] if able[1] else [],
        "images": sorted(map(str, here)),
    }
    node = Node.objects.create(
        name=name, runner="docker", cpu_count=4, memory_bytes=8 * GIB, facts=facts
    )
    for index in range(gpus):
        Gpu.objects.create(
            node=node, index=index, uuid=f"GPU-{name}-{index}", name="G", memory_bytes=8 * GIB
        )
    return node


def kept(*images: Image) -> list[bool]:
    return [Image.objects.get(pk=image.pk).is_enabled for image in images]


def test_what_two_nodes_built_under_one_name_runs_on_both(people, submit) -> None:
    """A site without a registry: the contents differ, and each node runs its own."""
    first = ready("lab/engine:cpu", 1)
    second = ready("lab/engine:cpu", 2)
    assert kept(first, second) == [True, True]
    workload = submit({})
    assert services.image_of(workload, {first.pk}) == first
    assert services.image_of(workload, {second.pk}) == second
    named = submit({}, image="lab/engine:cpu")
    assert services.image_of(named, {first.pk}) == first
    assert services.image_of(named, {second.pk}) == second
    with pytest.raises(services.ImageRefused, match="registry"):
        services.image_of(workload, set())


def test_what_is_built_anew_replaces_what_was_built_there(people) -> None:
    """Unless another node has the old one still, and nothing else."""
    first = ready("lab/engine:cpu", 1)
    second = ready("lab/engine:cpu", 2, beside=frozenset({first.image_id}))
    assert kept(first, second) == [False, True]
    node_with("b", second)
    third = ready("lab/engine:cpu", 3, beside=frozenset({second.image_id}))
    assert kept(second, third) == [True, True]
    listed = ready("lab/engine:cpu", 4, digest="lab/engine@sha256:4")
    assert kept(second, third, listed) == [False, False, True]


def test_each_node_takes_what_was_built_for_it(people, submit) -> None:
    cpu = ready("lab/engine:cpu", 1, description=CPU)
    cuda = ready("lab/engine:cuda", 2, description=CUDA)
    plain, on_gpu = submit({}), submit({}, gpus=1)
    assert services.image_of(plain, {cpu.pk}) == cpu
    assert services.image_of(plain, {cuda.pk}) == cuda
    assert services.image_of(plain, {cpu.pk, cuda.pk}) == cpu
    assert services.image_of(on_gpu, {cpu.pk, cuda.pk}) == cuda
    with pytest.raises(services.ImageRefused):
        services.image_of(on_gpu, {cpu.pk})


def test_with_a_registry_gpus_get_what_was_built_for_them(people, submit) -> None:
    """What is here comes first; what is not is fetched, of the kind that it needs."""
    cuda = ready("host/engine:cuda", 2, description=CUDA, digest="host/engine@sha256:2")
    cpu = ready("host/engine:cpu", 1, description=CPU, digest="host/engine@sha256:1")
    plain, on_gpu = submit({}), submit({}, gpus=1)
    assert services.image_of(on_gpu, set()) == cuda
    assert services.image_of(on_gpu, {cpu.pk}) == cuda
    assert services.image_of(plain, set()) == cpu
    assert services.image_of(plain, {cuda.pk}) == cuda
    newer = ready("host/engine:cuda-2", 3, description=CUDA, digest="host/engine@sha256:3")
    assert services.image_of(on_gpu, {cuda.pk}) == newer


def test_work_goes_to_nodes_that_have_an_image_for_it(people, submit) -> None:
    cpu = ready("lab/engine:cpu", 1, description=CPU)
    node_with("a", cpu, gpus=1)
    on_gpu = submit({}, gpus=1)
    assert (on_gpu.state, on_gpu.waits_for["code"]) == (Workload.State.WAITING, "no_engine")
    cuda = ready("lab/engine:cuda", 2, description=CUDA)
    node = node_with("b", cuda, gpus=1)
    services.schedule()
    on_gpu.refresh_from_db()
    assert (on_gpu.state, on_gpu.node) == (Workload.State.PLACED, node)
    assert submit({}).state == Workload.State.PLACED


def test_operators_see_which_node_has_which(people) -> None:
    cpu = ready("lab/engine:cpu", 1, description=CPU)
    cuda = ready("lab/engine:cuda", 2, description=CUDA)
    nowhere = ready("lab/other:1", 3, description=CPU)
    node_with("a", cpu)
    node_with("b", cuda)
    assert services.images_by_default() == {cpu.pk, cuda.pk}
    client = Client()
    client.force_login(people.operator)
    rows = client.get(reverse("nodes:image_list")).content.decode()
    assert rows.count("Runs by default") == 2
    for words in ("On a", "On b", "On no node"):
        assert f"<small>{words}</small>".lower() in rows.lower()
    told = client.get("/api/v1/images/").json()["results"]
    assert {row["id"]: row["nodes"] for row in told} == {
        str(cpu.pk): ["a"],
        str(cuda.pk): ["b"],
        str(nowhere.pk): [],
    }


@pytest.mark.parametrize("images", ["x", [1], ["x" * 41], [str(uuid.uuid4())] * 1001])
def test_images_that_a_node_cannot_have(people, images) -> None:
    node = Node.objects.create(name="n")
    with pytest.raises(Nonsense):
        services.node_beat(node.pk, engines=[], facts={"images": images})


def test_a_workload_that_goes_to_another_node_takes_an_image_there(people, submit) -> None:
    """What it was started with on the first was built there."""
    first, second = ready("lab/engine:cpu", 1), ready("lab/engine:cuda", 2)
    node_with("a", first, second)
    workload = submit({})
    claimed = services.workload_claim(workload.pk, 0)
    Workload.objects.filter(pk=workload.pk).update(image=first)
    assert workload_return(workload.pk, claimed.epoch, reason="The disk is full.")
    workload.refresh_from_db()
    assert services.image_of(workload, {second.pk}) == second


@pytest.fixture
def placed(simulated, settings, people, submit) -> Workload:
    """On the node that had its image, of two that each have one of their own."""
    settings.NODE_RUNNER = "docker"
    first, second = ready("lab/engine:cpu", 1), ready("lab/engine:cuda", 2)
    node_with("a", first)
    workload = submit({})
    assert workload.node.name == "a"
    node_with("b", second)
    return workload


def started(workload: Workload) -> Workload:
    assert not follow.workload_start(workload.pk, workload.epoch)
    workload.refresh_from_db()
    return workload


def test_a_node_that_lost_its_images_sends_its_work_to_another(placed) -> None:
    """It is known by what it has, so that nothing comes to it; on the last one the work waits."""
    assert started(placed).node.name == "b"
    events = Event.objects.of(placed).filter(new="waiting").values_list("reason", flat=True)
    assert any("No image of small that could run it is on a." in reason for reason in events)
    assert Node.objects.get(name="a").facts["engines"] == []
    assert started(placed).state == Workload.State.WAITING
    assert "or an image of it" in placed.reason
    assert not Lease.objects.filter(released_at=None).exists()


def test_an_image_that_was_disabled_since(placed, people) -> None:
    for image in Image.objects.all():
        services.image_switch(image.pk, enabled=False, by=people.operator)
    assert started(placed).node.name == "b"
    assert (started(placed).state, placed.waits_for["code"]) == ("waiting", "no_engine")


def test_nodes_that_say_again_what_they_do_not_have(placed, monkeypatch) -> None:
    """Between two of them it does not go for ever."""
    monkeypatch.setattr("nodes.services.follow.MAX_RETURNS", 3)
    while started(placed).state != Workload.State.ENDED:
        Node.objects.update(facts={"engines": ["small"]})
        services.schedule()
        placed.refresh_from_db()
    assert (placed.outcome, placed.epoch) == ("error", 4)
    assert "No image of small" in placed.reason
