"""The operators' list of images: who keeps it, what may run, and how nodes fetch it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Event
from common.engines import engine_folder
from common.errors import Conflict, DomainError
from nodes import services
from nodes.fetching import Fetcher
from nodes.models import Image, Node, Workload
from nodes.runners.images import CannotFetch, Found, _follow_pull
from nodes.services import builds, follow
from tests.e2e.running import free_port
from tests.nodes.conftest import followed, start, until
from tests.nodes.contained import SMALL, listed

pytestmark = pytest.mark.django_db(transaction=True)
State = Image.State


def found(number: int, **fields) -> Found:
    """What a node found behind a name."""
    values = {"id": f"sha256:{number:064x}", "digest": "", "size": 10, "engine": "small"}
    return Found(**{**values, **fields})


def ready(reference: str, number: int, **fields) -> Image:
    """An image that was built on this machine."""
    row = services.image_ready(services.image_build_begin(reference).pk, found(number, **fields))
    assert row is not None
    return row


def verbs(image: Image) -> list[str]:
    return list(Event.objects.of(image).values_list("verb", flat=True))


# --- the list


def test_a_name_that_means_another_image(people) -> None:
    """The content that was listed runs on, until the name is fetched again."""
    first = ready("lab/engine:1", 1)
    assert ready("lab/engine:1", 1) == first  # the same content is the same row
    second = ready("lab/engine:1", 2, beside=frozenset({first.image_id}))
    first.refresh_from_db()
    assert (first.is_enabled, second.is_enabled) == (False, True)
    assert verbs(first)[-1] == "disabled"
    assert [image.pk for image in Image.objects.allowed()] == [second.pk]


def test_the_one_enabled_last_runs_by_default(people, submit) -> None:
    first, second = ready("lab/engine:1", 1), ready("lab/other:1", 2)
    workload = submit({})
    here = {first.pk, second.pk}
    assert services.image_of(workload, here) == second
    services.image_switch(first.pk, enabled=True, by=people.operator)
    assert services.image_of(workload, here) == first
    assert services.image_of(submit({}, image="lab/other:1"), here) == second
    for image in (first, second):
        services.image_switch(image.pk, enabled=False, by=people.operator)
    with pytest.raises(services.ImageRefused, match="on the list"):
        services.image_of(workload, here)


@pytest.mark.parametrize("name", ["lab/engine", "sha256:" + "0" * 64, "other/engine:1"])
def test_what_is_not_on_the_list_is_refused(submit, people, name) -> None:
    image = ready("lab/engine:1", 1)
    services.image_switch(image.pk, enabled=False, by=people.operator)
    with pytest.raises(DomainError) as refused:
        submit({}, image=name)
    assert refused.value.code == "image_not_allowed"
    assert not Workload.objects.exists()


@pytest.mark.parametrize(
    "name", ["", "UPPER/x", "a b", "a" * 256, "-x", "../x", "a:b:c", "x@sha1:2"]
)
def test_names_that_are_none(people, name) -> None:
    with pytest.raises(DomainError):
        services.image_add(name, by=people.operator)


@pytest.mark.parametrize(
    "name", ["x", "lab/engine", "host.example:5000/lab/engine:1.0", f"lab/x@sha256:{'a' * 64}"]
)
def test_names_of_images(people, name) -> None:
    assert services.image_add(f" {name} ", by=people.operator).reference == name


def test_what_can_be_done_when(people) -> None:
    image = services.image_add("lab/engine:1", by=people.operator)
    with pytest.raises(Conflict, match="fetched already"):
        services.image_add("lab/engine:1", by=people.operator)
    with pytest.raises(Conflict, match="not here yet"):
        services.image_switch(image.pk, enabled=True, by=people.operator)
    node = Node.objects.create(name="n")
    assert services.image_claim(node) == image
    assert services.image_claim(node) is None
    services.images_give_back(node)
    image.refresh_from_db()
    assert image.state == State.WAITING
    services.image_claim(node)
    services.image_failed(image.pk, "no such name")
    image.refresh_from_db()
    assert (image.state, image.error) == (State.FAILED, "no such name")
    assert services.image_ready(image.pk, found(1)) is None  # too late
    services.image_retry(image.pk, by=people.operator)
    services.image_claim(node)
    assert services.image_ready(image.pk, found(1)) == image
    with pytest.raises(Conflict):
        services.image_retry(image.pk, by=people.operator)


def test_what_ran_stays_on_record(people, submit) -> None:
    image = ready("lab/engine:1", 1)
    submit({}, image="lab/engine:1")
    with pytest.raises(Conflict, match="Disable it"):
        services.image_remove(image.pk, by=people.operator)


def test_pages_read_what_the_engine_in_the_image_says(people, settings, home) -> None:
    settings.ENGINES_DIR = home / "none"
    image = ready("lab/engine:1", 1, description={"templates.json": ["chatml"]})
    services.images_publish()
    assert json.loads((engine_folder("small") / "templates.json").read_text()) == ["chatml"]
    services.image_switch(image.pk, enabled=False, by=people.operator)
    services.images_publish()
    assert not engine_folder("small").exists()


def test_progress_of_a_pull() -> None:
    told = []
    parts = [
        {"status": "Pulling from lab/engine", "id": "1"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 50, "total": 100}},
        {"status": "Extracting", "id": "a", "progressDetail": {"current": 50, "total": 100}},
        {"status": "Pull complete", "id": "a", "progressDetail": {}},
    ]
    _follow_pull(parts, lambda doing, percent: told.append((doing, percent)))
    assert [percent for _doing, percent in told] == [0, 25, 75, 100]
    with pytest.raises(CannotFetch, match="denied"):
        _follow_pull([{"error": "denied"}], lambda doing, percent: None)


HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_build_whose_process_died_has_failed() -> None:
    """A lock that nobody holds any more tells it, on the machine where it was built."""
    image, elsewhere = (services.image_build_begin(name) for name in ("lab/engine:1", "lab/b:1"))
    command = [sys.executable, "-c", HOLDER, str(builds._lock(image))]
    builder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"held\n"
        services.images_cut_off()
        image.refresh_from_db()
        assert image.state == State.BUILDING
    finally:
        builder.kill()
        builder.communicate()
    services.images_cut_off()
    image.refresh_from_db()
    elsewhere.refresh_from_db()
    assert (image.state, elsewhere.state) == (State.FAILED, State.BUILDING)
    assert "cut off" in image.error


def test_a_build_holds_its_lock_and_fails_with_it(home) -> None:
    image = services.image_build_begin("lab/engine:1")
    with pytest.raises(KeyboardInterrupt), services.image_build_held(image):
        services.images_cut_off()
        image.refresh_from_db()
        assert image.state == State.BUILDING
        raise KeyboardInterrupt
    image.refresh_from_db()
    assert (image.state, image.error) == (State.FAILED, "The build was cut off. Start it again.")
    done = services.image_build_begin("lab/engine:1")
    with services.image_build_held(done):
        services.image_ready(done.pk, found(1))
    services.images_cut_off()
    done.refresh_from_db()
    assert done.state == State.READY
    assert list((home / "temp").iterdir()) == []


# --- page, API, administration


@pytest.fixture
def operator(people) -> Client:
    client = Client()
    client.force_login(people.operator)
    return client


def test_the_page(operator, people) -> None:
    address = reverse("nodes:image_list")
    assert "No image may run yet" in operator.get(address).content.decode()
    refused = operator.post(reverse("nodes:image_add"), {"reference": "NO NAME"})
    assert refused.status_code == 422
    assert "no name of an image" in refused.content.decode()
    operator.post(reverse("nodes:image_add"), {"reference": "lab/engine:1"})
    image = Image.objects.get()
    assert image.added_by == people.operator
    node = Node.objects.create(name="n", runner="docker", facts={"images": [str(image.pk)]})
    services.image_claim(node)
    services.image_progress(image.pk, "Downloading", 42)
    rows = operator.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "42 %" in rows
    assert "every 1s" in rows
    assert "<html" not in rows
    services.image_ready(image.pk, found(1))
    assert "Runs by default" in operator.get(address).content.decode()
    operator.post(reverse("nodes:image_switch", args=[image.pk]), {"enable": "0"})
    assert "May not run" in operator.get(address).content.decode()
    operator.post(reverse("nodes:image_remove", args=[image.pk]))
    assert not Image.objects.exists()


def test_over_the_api(operator) -> None:
    made = operator.post("/api/v1/images/", {"reference": "lab/engine:1"}).json()
    assert (made["state"], made["added_by"]) == ("waiting", "operator")
    again = operator.post("/api/v1/images/", {"reference": "lab/engine:1"})
    assert again.status_code == 409
    services.image_claim(Node.objects.create(name="n"))
    services.image_failed(made["id"], "no such name")
    assert operator.post(f"/api/v1/images/{made['id']}/retry/").json()["state"] == "waiting"
    image = ready("lab/other:1", 1)
    address = f"/api/v1/images/{image.pk}/"
    off = operator.patch(address, {"is_enabled": False}, content_type="application/json")
    assert off.json()["is_enabled"] is False
    assert operator.delete(address).status_code == 204
    assert [row["id"] for row in operator.get("/api/v1/images/").json()["results"]] == [made["id"]]


def test_in_the_administration(operator) -> None:
    operator.post(reverse("admin:nodes_image_add"), {"reference": "lab/engine:1"})
    image = Image.objects.get()
    assert image.state == State.WAITING
    image = ready("lab/other:1", 1)
    address = reverse("admin:nodes_image_changelist")
    operator.post(address, {"action": "disable", "_selected_action": [image.pk]})
    image.refresh_from_db()
    assert not image.is_enabled


# --- with a real registry and a real Docker Engine


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


def stepped(fetcher: Fetcher, node: Node, until_true) -> None:
    def look() -> bool:
        fetcher.step(node)
        return until_true()

    until(look, 60)


@pytest.mark.docker
def test_a_node_fetches_what_is_listed(contained, submit, docker_host, registry, people) -> None:
    image = services.image_add(pushed(docker_host, registry), by=people.operator)
    node = Node.objects.get(name=contained.name)
    stepped(Fetcher(), node, lambda: not Image.objects.get(pk=image.pk).is_busy)
    image.refresh_from_db()
    assert (image.state, image.engine, image.is_enabled) == (State.READY, "small", True)
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
    assert (image.state, image.is_enabled) == (State.FAILED, False)
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
    assert (image.state, image.error) == (State.READY, "")


@pytest.mark.docker
def test_an_image_that_is_no_engines(contained, docker_host, people) -> None:
    from tests.dockerd import BASE

    image = services.image_add(BASE, by=people.operator)
    node = Node.objects.get(name=contained.name)
    stepped(Fetcher(), node, lambda: not Image.objects.get(pk=image.pk).is_busy)
    image.refresh_from_db()
    assert image.state == State.FAILED
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


@pytest.mark.docker
def test_a_workload_whose_image_is_nowhere(contained, submit, docker_host) -> None:
    """Built elsewhere, in no registry: it waits until a node has one."""
    image = listed()
    workload = submit({})
    Image.objects.filter(pk=image.pk).update(image_id="sha256:" + "0" * 64)
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert (workload.state, workload.waits_for["code"]) == ("waiting", "no_engine")
    Image.objects.filter(pk=image.pk).update(image_id=image.image_id)
    contained.beat()
    workload.refresh_from_db()
    assert followed(contained, start(workload)).outcome == "ok"
