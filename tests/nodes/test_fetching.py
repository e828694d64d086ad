"""How a node brings images here, from an Engine whose registry may stay silent."""

import pytest

from nodes import services
from nodes.fetching import Fetcher
from nodes.models import Image, Node, Workload
from tests.nodes.conftest import until
from tests.nodes.test_image_choice import node_with
from tests.nodes.test_images import ready

pytestmark = pytest.mark.django_db(transaction=True)


def state(image: Image) -> str:
    return Image.objects.get(pk=image.pk).state


def stepped(fetcher: Fetcher, node: Node, true) -> None:
    def look() -> bool:
        fetcher.step(node)
        return true()

    until(look, 30)


def test_one_that_hangs_holds_up_no_other(simulated, people, monkeypatch) -> None:
    monkeypatch.setattr("nodes.fetching.SILENT_SECONDS", 0.2)
    silent = services.image_add("silent/small:1", by=people.operator)
    second = services.image_add("lab/small:1", by=people.operator)
    node = Node.objects.create(name="n", runner="docker")
    stepped(Fetcher(), node, lambda: state(second) == Image.State.READY)
    assert simulated.asked == ["silent/small", "lab/small"]
    assert state(silent) == Image.State.FETCHING


@pytest.mark.parametrize("name", ["silent/small:1", "halting/small:1"])
def test_a_registry_that_falls_silent_is_given_up(simulated, people, monkeypatch, name) -> None:
    monkeypatch.setattr("nodes.runners.images.FIRST_SECONDS", 0.2)
    monkeypatch.setattr("nodes.runners.images.FETCH_SECONDS", 1)
    monkeypatch.setattr("nodes.runners.images.AGAIN_SECONDS", (0.0, 0.0))
    image = services.image_add(name, by=people.operator)
    node = Node.objects.create(name="n", runner="docker")
    stepped(Fetcher(), node, lambda: state(image) == Image.State.FAILED)
    assert len(simulated.asked) == 3
    assert Image.objects.get(pk=image.pk).error == "its registry does not answer"


def test_what_a_workload_waits_for_comes_first(simulated, people, submit) -> None:
    node = node_with("n", ready("lab/small:1", 1, digest="silent/needed@sha256:1"))
    services.image_add("lab/other:1", by=people.operator)
    assert submit({}).state == Workload.State.PLACED
    stepped(Fetcher(), node, lambda: simulated.asked)
    assert simulated.asked == ["silent/needed"]
