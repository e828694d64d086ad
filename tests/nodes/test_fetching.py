"""How a node brings images here, from registries that may be away or stay silent."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes import services
from nodes.fetching import Fetcher
from nodes.models import Image, Node, Workload
from nodes.runners.images import Found
from nodes.services import follow
from tests.nodes.conftest import followed, until
from tests.nodes.contained import SMALL
from tests.nodes.test_image_choice import node_with
from tests.nodes.test_images import ready
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def state(image: Image) -> str:
    return Image.objects.get(pk=image.pk).state


def stepped(fetcher: Fetcher, node: Node, true) -> None:
    def look() -> bool:
        fetcher.step(node)
        return true()

    until(look)


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


class Registry:
    """One of its own on a free port of this machine."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        self.config, self.log = folder / "registry.yml", folder / "registry.log"
        self.config.write_text(
            f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder}/registry\n"
            f"http:\n  addr: 127.0.0.1:{port}\n"
        )

    def start(self) -> None:
        """Comes back when it answers."""
        with self.log.open("w") as log:
            command = ["docker-registry", "serve", str(self.config)]
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        until(lambda: "listening on" in self.log.read_text())

    def stop(self) -> None:
        """Ends it; what was pushed stays."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def registry_server(docker_host, tmp_path) -> Iterator[Registry]:
    """A registry that can be away."""
    server = Registry(tmp_path)
    server.start()
    host = server.host
    try:
        yield server
    finally:
        server.stop()
        for image in docker_host.images.list():
            for tag in image.tags:
                if tag.startswith(host):
                    docker_host.images.remove(tag, force=True)


@pytest.fixture
def registry(registry_server) -> str:
    """Where it listens."""
    return registry_server.host


def pushed(docker_host, registry: str) -> str:
    """The small engine's image in the registry, and nowhere else under that name."""
    name = f"{registry}/small:1"
    docker_host.images.get(SMALL).tag(name)
    assert "error" not in docker_host.images.push(name)
    docker_host.images.remove(name)
    return name


@pytest.mark.docker
def test_a_node_fetches_what_is_listed(contained, submit, docker_host, registry, people) -> None:
    image = services.image_add(pushed(docker_host, registry), by=people.operator)
    node = Node.objects.get(name=contained.name)
    stepped(Fetcher(), node, lambda: not Image.objects.get(pk=image.pk).is_busy)
    image.refresh_from_db()
    assert (image.state, image.engine, image.is_enabled) == (Image.State.READY, "small", True)
    assert image.digest.startswith(f"{registry}/small@sha256:")
    assert image.description == {"engine.json": {"name": "small", "version": "1"}}
    workload = submit({}, image=image.reference)
    assert follow.workload_start(workload.pk, 0)
    assert followed(contained, workload).outcome == "ok"


@pytest.mark.docker
@pytest.mark.parametrize(
    ("name", "again"), [("{registry}/nothing:1", (600.0,)), ("127.0.0.1:1/small:1", (0.1, 0.1))]
)
def test_an_image_that_cannot_be_fetched(
    contained, registry, people, name, again, monkeypatch
) -> None:
    """What a registry does not have is final; one that does not answer is asked a few times."""
    monkeypatch.setattr("nodes.runners.images.AGAIN_SECONDS", again)
    image = services.image_add(name.format(registry=registry), by=people.operator)
    node = Node.objects.get(name=contained.name)
    stepped(Fetcher(), node, lambda: not Image.objects.get(pk=image.pk).is_busy)
    image.refresh_from_db()
    assert (image.state, image.is_enabled) == (Image.State.FAILED, False)
    assert image.error


@pytest.mark.docker
def test_a_registry_that_is_away_for_a_moment(
    contained, docker_host, registry_server, people, monkeypatch, caplog
) -> None:
    monkeypatch.setattr("nodes.runners.images.AGAIN_SECONDS", (0.5, 5.0))
    image = services.image_add(pushed(docker_host, registry_server.host), by=people.operator)
    node, fetcher = Node.objects.get(name=contained.name), Fetcher()
    registry_server.stop()
    stepped(fetcher, node, lambda: caplog.text.count("tried again") == 2)
    registry_server.start()
    stepped(fetcher, node, lambda: not Image.objects.get(pk=image.pk).is_busy)
    image.refresh_from_db()
    assert (image.state, image.error) == (Image.State.READY, "")


@pytest.mark.docker
def test_an_image_that_is_no_engines(contained, docker_host, people) -> None:
    from tests.dockerd import BASE

    image = services.image_add(BASE, by=people.operator)
    node = Node.objects.get(name=contained.name)
    stepped(Fetcher(), node, lambda: not Image.objects.get(pk=image.pk).is_busy)
    image.refresh_from_db()
    assert image.state == Image.State.FAILED
    assert "no engine's image" in image.error


@pytest.mark.docker
def test_a_placed_workload_waits_for_its_image(
    contained, submit, docker_host, registry, people, monkeypatch
) -> None:
    """The node lacks an image of the list: it is fetched by its digest, and progress is told."""
    name = pushed(docker_host, registry)
    node = Node.objects.get(name=contained.name)
    image = services.image_add(name, by=people.operator)
    stepped(Fetcher(), node, lambda: not Image.objects.get(pk=image.pk).is_busy)
    image.refresh_from_db()
    # As on a node that has never seen it: the content is in the registry only.
    unknown = "sha256:" + "0" * 64
    Image.objects.filter(pk=image.pk).update(image_id=unknown)
    docker_host.images.remove(image.digest)
    workload = submit({}, image=name)
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert workload.state == Workload.State.PLACED

    told = []
    monkeypatch.setattr(
        "nodes.fetching.fetch", lambda reference, tell: slow_fetch(reference, tell, told)
    )
    fetcher = Fetcher()

    def noted() -> bool:
        workload.refresh_from_db()
        return "42 %" in workload.reason

    stepped(fetcher, node, noted)
    assert image.reference in workload.reason
    assert services.queue_position(workload) == (0, workload.reason)
    told.append("go on")
    stepped(fetcher, node, lambda: services.image_is_here(workload))
    assert follow.workload_start(workload.pk, 0)
    assert followed(contained, workload).outcome == "ok"


def slow_fetch(reference: str, tell, told: list[str]) -> Found:
    """A real fetch that stands still at 42 % until it is told to go on."""
    from nodes.runners.images import fetch

    tell("Downloading", 42)
    while not told:
        time.sleep(0.02)
    return fetch(reference, tell)


def lost(workload: Workload, node: Node, fetcher: Fetcher, simulated) -> Workload:
    """The registry does not have the image of what is placed on the node, which says so."""
    simulated.unpulled = ["manifest unknown"]

    def is_back() -> bool:
        workload.refresh_from_db()
        return workload.node != node

    assert workload.node == node
    stepped(fetcher, node, lambda: is_back() or workload.state == Workload.State.ENDED)
    return workload


@pytest.mark.parametrize("named", [{}, {"image": "lab/small:1"}])
def test_what_its_registry_lost_runs_where_it_lies(
    simulated, settings, submit, monkeypatch, named
) -> None:
    """Named or by default: other nodes have it, and this one is left alone with it for a while."""
    settings.NODE_RUNNER = "docker"
    monkeypatch.setattr("nodes.runners.images.AGAIN_SECONDS", ())
    image = ready("lab/small:1", 1, digest="lab/small@sha256:1")
    node, fetcher = node_with("a"), Fetcher()
    Node.objects.filter(pk=node.pk).update(facts={"engines": ["small"], "images": []})
    first = submit({}, **named)
    other = node_with("b", image)
    assert lost(first, node, fetcher, simulated).node == other
    assert submit({}, **named).node == other
    assert Node.objects.get(pk=node.pk).facts["missing_images"] == [str(image.pk)]
    Node.objects.filter(pk=other.pk).update(state=Node.State.CORDONED)
    assert submit({}, **named).state == Workload.State.WAITING
    monkeypatch.setattr("nodes.fetching.MISSING_SECONDS", 0)
    assert fetcher.missing == set()


def test_what_lies_on_no_node_ends(simulated, settings, submit, monkeypatch) -> None:
    settings.NODE_RUNNER = "docker"
    monkeypatch.setattr("nodes.runners.images.AGAIN_SECONDS", ())
    ready("lab/small:1", 1, digest="lab/small@sha256:1")
    node = node_with("a")
    Node.objects.filter(pk=node.pk).update(facts={"engines": ["small"], "images": []})
    ended = lost(submit({}), node, Fetcher(), simulated)
    assert (ended.state, ended.outcome) == (Workload.State.ENDED, "error")
    assert "manifest unknown" in ended.reason
