"""GPUs that fall off the bus: said, shown and remembered until they are back or let go."""

from datetime import timedelta

import pynvml
import pytest
from django.urls import reverse
from django.utils import timezone

from nodes import services
from nodes.curves import curves
from nodes.models import Alert, AlertDelivery, Gpu, Node, NodeSample
from nodes.nvml import Nvml
from nodes.services.machines import Device
from nodes.services.sentences import alert_text
from tests.nodes.nvml_recording import Handle, Recorded
from tests.nodes.parts import figures, register

pytestmark = pytest.mark.django_db


@pytest.fixture
def library() -> Recorded:
    return Recorded.load("two_rtx_a5000")


@pytest.fixture
def node(library) -> Node:
    return register(devices=devices(library))


def devices(library: Recorded) -> list[Device]:
    return [
        Device(gpu.index, gpu.uuid, gpu.name, gpu.memory_bytes, gpu.health, gpu.health_codes)
        for gpu in Nvml(library).gpus()
    ]


def measure(node: Node, library: Recorded, **heat: int) -> None:
    loads = [{**load, "processes": [], **heat} for load in Nvml(library).loads()]
    services.sample_record(node.pk, figures(*loads))
    services.alerts_measure(node.pk)


def report(node: Node, library: Recorded) -> None:
    services.node_beat(node.pk, engines=["small"], devices=devices(library))


def lose(library: Recorded, index: int = 0) -> None:
    library.put("nvmlDeviceGetUUID", Handle(index=index), error=pynvml.NVML_ERROR_GPU_IS_LOST)


def hot(node: Node, library: Recorded) -> None:
    """Both devices have been hot for long enough."""
    measure(node, library, temperature=95)
    Alert.objects.update(since=timezone.now() - timedelta(seconds=61))
    measure(node, library, temperature=95)
    assert set(Alert.objects.values_list("kind", "state")) == {("heat", "open")}


def test_a_lost_gpu_is_told_and_nothing_of_it_is_called_over(node, library, people) -> None:
    services.channel_create(kind="email", target="ops@example.org", by=people.operator)
    hot(node, library)
    lose(library)
    measure(node, library, temperature=95)  # the report of the devices comes later
    report(node, library)
    measure(node, library, temperature=95)
    kinds = Alert.objects.open().filter(gpu__index=0).values_list("kind", flat=True)
    assert set(kinds) == {"heat", "loss"}
    assert not AlertDelivery.objects.filter(happening="closed").exists()
    said = alert_text(Alert.objects.get(kind="loss"))
    assert said == "GPU 0 of gpu-01 is gone or broken; nothing new is placed on it."


def test_a_gpu_that_is_back_ends_the_alert(node, library) -> None:
    whole = dict(library.answers)
    lose(library)
    report(node, library)
    measure(node, library)
    assert Alert.objects.get().state == "open"
    library.answers = whole
    report(node, library)
    measure(node, library)
    assert Alert.objects.get().state == "closed"
    assert Gpu.objects.usable().count() == 2


def test_a_broken_gpu_that_still_answers_is_told(node, library) -> None:
    library.put("nvmlDeviceGetRemappedRows", Handle(index=1), answer=[0, 9, 1, 1])
    report(node, library)
    measure(node, library)
    assert list(Alert.objects.open().values_list("kind", "gpu__index")) == [("loss", 1)]


def test_a_lost_gpu_stays_on_the_page_until_it_is_let_go(node, library, people, client) -> None:
    lose(library)
    report(node, library)
    measure(node, library)
    client.force_login(people.operator)
    url = reverse("nodes:node_detail", args=[node.pk])
    page = client.get(url).content.decode()
    assert "It is not reported any more." in page
    gone = Gpu.objects.get(index=0)
    answer = client.get(f"/api/v1/nodes/{node.pk}/").json()["gpus"][0]
    assert (answer["is_present"], answer["gone_at"] is not None) == (False, True)
    client.post(reverse("nodes:node_release", args=[node.pk]), {"gpu": gone.uuid})
    assert "It is not reported" not in client.get(url).content.decode()
    measure(node, library)
    assert Alert.objects.get().state == "closed"


def test_the_api_lets_go_by_uuid_where_another_took_the_index(
    node, library, people, client
) -> None:
    lose(library)
    report(node, library)
    Gpu.objects.filter(index=1).update(index=0)  # as a start without the lost one counts them
    Gpu.objects.filter(is_present=True).update(excluded_at=timezone.now())
    client.force_login(people.operator)
    url = f"/api/v1/nodes/{node.pk}/release/"
    assert client.post(url, {"gpu": 0}).status_code == 200
    there, gone = Gpu.objects.order_by("-is_present")
    assert (there.excluded_at, gone.gone_at is not None) == (None, True)
    assert client.post(url, {"uuid": gone.uuid}).status_code == 200
    assert list(Gpu.objects.known()) == [there]
    assert client.post(url, {"gpu": 7}).status_code == 404


def test_the_history_of_a_lost_gpu_is_still_drawn(node, library) -> None:
    measure(node, library)
    NodeSample.objects.update(at=timezone.now() - timedelta(minutes=1))
    lose(library)
    measure(node, library)
    names = [line["name"] for line in curves(node, "hour", "heat")["series"]]
    assert names == ["gpu0", "gpu1"]
