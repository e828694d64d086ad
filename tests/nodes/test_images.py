"""The operators' list of images: who keeps it, what may run, and how nodes fetch it."""

import json
import subprocess
import sys

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Event
from common.engines import engine_folder
from common.errors import Conflict, DomainError
from nodes import services
from nodes.models import Image, Node, Workload
from nodes.runners.images import CannotFetch, Found, _follow_pull
from nodes.services import builds, follow
from tests.nodes.conftest import followed, start
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


def test_a_list_asks_once_where_all_images_lie(operator, django_assert_num_queries) -> None:
    nodes = [Node.objects.create(name=name, runner="docker") for name in "ab"]
    first = ready("lab/one:1", 1)
    with CaptureQueriesContext(connection) as few:
        operator.get("/api/v1/images/")
    ready("lab/two:1", 2)
    nodes[1].facts = {"images": [str(first.pk)]}
    nodes[1].save()
    with django_assert_num_queries(len(few)):
        rows = operator.get("/api/v1/images/").json()["results"]
    assert {row["reference"]: row["nodes"] for row in rows} == {"lab/one:1": ["b"], "lab/two:1": []}


def test_in_the_administration(operator) -> None:
    operator.post(reverse("admin:nodes_image_add"), {"reference": "lab/engine:1"})
    image = Image.objects.get()
    assert image.state == State.WAITING
    image = ready("lab/other:1", 1)
    address = reverse("admin:nodes_image_changelist")
    operator.post(address, {"action": "disable", "_selected_action": [image.pk]})
    image.refresh_from_db()
    assert not image.is_enabled


# --- with a real Docker Engine


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


@pytest.mark.docker
def test_an_image_that_is_not_on_the_list(contained, submit) -> None:
    before = Workload.objects.count()
    with pytest.raises(DomainError, match="not on the list"):
        submit({}, image="somebody/else:1")
    assert Workload.objects.count() == before
    assert submit({}, image=SMALL).image.reference == SMALL


@pytest.mark.docker
def test_an_image_that_was_taken_off_the_list(contained, submit, people) -> None:
    image = listed()
    workload = submit({})
    services.image_switch(image.pk, enabled=False, by=people.operator)
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert (workload.state, workload.waits_for["code"]) == ("waiting", "no_engine")
    reasons = Event.objects.of(workload).values_list("reason", flat=True)
    assert any("on the list" in reason for reason in reasons)


@pytest.mark.docker
def test_refusals_of_the_list(contained, people) -> None:
    for name in ("", "UPPER", "a b", "a" * 300, "-x", "../x", "a:b:c"):
        with pytest.raises(DomainError):
            services.image_add(name, by=people.operator)
    services.image_add("somebody/else:1", by=people.operator)
    with pytest.raises(Conflict):
        services.image_add("somebody/else:1", by=people.operator)
    image = listed()
    workload_image = image.workloads.model.objects.filter(image=image)
    assert not workload_image.exists()
    services.image_remove(image.pk, by=people.operator)
