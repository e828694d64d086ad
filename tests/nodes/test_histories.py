"""Measurements are rolled up, drawn, and forgotten when they are old."""

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from nodes import services, tasks
from nodes.curves import curves
from nodes.models import Node, NodeSample
from nodes.nvml import Nvml
from nodes.services import samples
from nodes.services.clock import database_now
from nodes.services.samples import KEEP
from tests.nodes.nvml_recording import Recorded
from tests.nodes.parts import GIB, figures, load, register

pytestmark = pytest.mark.django_db


def sample(node: Node, at: datetime, *gpus: dict, span: int = 15) -> NodeSample:
    values = {"cpu_percent": 1, "memory_used_bytes": GIB, "disk_used_bytes": GIB}
    return NodeSample.objects.create(node=node, at=at, span=span, gpus=list(gpus), **values)


def lines(node: Node, span: str, of: str) -> dict[str, list]:
    return {line["name"]: line["data"] for line in curves(node, span, of)["series"]}


def known(values: list) -> list:
    return [value for value in values if value is not None]


def test_new_memory_errors_are_drawn_in_every_span() -> None:
    node = register()
    begin = database_now().replace(second=0, microsecond=0) - timedelta(minutes=40)
    for step, (corrected, uncorrected) in enumerate([(7, 1), (9, 1), (9, 2), (0, 2), (4, 5)]):
        counts = {"ecc_corrected": corrected, "ecc_uncorrected": uncorrected}
        sample(node, begin + timedelta(minutes=step), load(**counts), load(index=1))
    services.samples_roll(node.pk)
    for span in ("hour", "day"):
        drawn = lines(node, span, "errors")
        assert set(drawn) == {"gpu0_corrected", "gpu0_uncorrected"}
        assert (
            sum(known(drawn["gpu0_corrected"])) == 2 + 4
        )  # a count that is set back has not grown
        assert sum(known(drawn["gpu0_uncorrected"])) == 1 + 3


def test_another_gpu_at_the_same_place_brings_no_errors() -> None:
    node, now = register(), database_now()
    sample(node, now - timedelta(seconds=30), load(ecc_uncorrected=0))
    sample(node, now - timedelta(seconds=15), {**load(ecc_uncorrected=900), "uuid": "other"})
    assert known(lines(node, "hour", "errors")["gpu0_uncorrected"]) == [0, 0]


def test_how_long_a_gpu_was_slowed_down_survives_the_rolling_up() -> None:
    node = register()
    begin = database_now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    for step, words in enumerate((["heat"], ["power_cap"], [], ["heat", "power_cap"])):
        sample(node, begin + timedelta(seconds=15 * step), load(throttled=words))
    assert known(lines(node, "hour", "throttled")["gpu0"]) == [100, 0, 0, 100]
    services.samples_roll(node.pk)
    assert known(lines(node, "day", "throttled")["gpu0"]) == [50]


def test_the_page_draws_errors_where_gpus_count_them(people, client) -> None:
    client.force_login(people.viewer)
    (recorded,) = Nvml(Recorded.load("a100_in_slices")).loads()
    for name, counts in (("gpu-01", {}), ("gpu-02", recorded)):
        node = register(name)
        gpu = {**load(name), **counts, "uuid": f"{name}-0", "processes": []}
        services.sample_record(node.pk, figures(gpu))
        page = client.get(reverse("nodes:node_detail", args=[node.pk])).content.decode()
        assert ("chart-errors" in page) == bool(counts)
        assert "chart-throttled" in page


def test_the_api_tells_errors_and_why_a_gpu_was_taken_out(people, client) -> None:
    node = register()
    why = {"code": "errors", "args": {"count": 3, "hours": 24}}
    node.gpus.filter(index=0).update(exclusion=why, ecc_uncorrected=5)
    client.force_login(people.viewer)
    first, second = client.get(f"/api/v1/nodes/{node.pk}/").json()["gpus"]
    assert first["ecc_uncorrected"] == 5
    assert first["exclusion"] == "Taken out after 3 hardware errors in 24 hours."
    assert (second["ecc_uncorrected"], second["exclusion"]) == (None, "")


def test_samples_of_nodes_that_are_gone_are_forgotten_daily(people) -> None:
    removed, dead = register("gpu-01"), register("gpu-02")
    now = database_now()
    for node in (removed, dead):
        for span, length in KEEP.items():
            sample(node, now - length - timedelta(minutes=1), span=span)
            sample(node, now - length + timedelta(minutes=1), span=span)
    Node.objects.filter(pk=removed.pk).update(state=Node.State.REMOVED)
    tasks.forget()
    assert NodeSample.objects.count() == 6


def test_rows_of_a_clock_that_ran_ahead_make_no_hole() -> None:
    node, now = register(), database_now()
    for span in KEEP:
        sample(node, now + timedelta(hours=5), span=span)
    for step in range(40):
        sample(node, now - timedelta(seconds=15 * step), load(percent=step, temperature=20))
    services.samples_roll(node.pk)
    assert NodeSample.objects.filter(span=60, at__lte=now).count() >= 8
    assert NodeSample.objects.filter(node=node).newest().get().at == now
    assert len(curves(node, "day")["x"]) >= 3
    assert curves(node, "day")["x"][-1] <= now.timestamp()


def test_what_is_measured_is_rolled_up_and_forgotten(monkeypatch) -> None:
    node = register()
    moment = database_now()
    monkeypatch.setattr(samples, "database_now", lambda: moment)
    end = moment.replace(second=0, microsecond=0)
    NodeSample.objects.bulk_create(
        NodeSample(
            node=node,
            at=end - timedelta(seconds=15 * step),
            cpu_percent=step % 4,
            memory_used_bytes=step % 4 * GIB,
            disk_used_bytes=GIB,
            network_receive_rate=None if step % 4 else 100.0,
            gpus=[load(percent=step % 4, temperature=60 + step % 4, throttled=["heat"])],
        )
        for step in range(1, 4 * 60 * 4)  # four hours
    )
    removed = services.samples_roll(node.pk)
    raw = NodeSample.objects.filter(span=15)
    assert removed > 0
    assert raw.count() + removed == 4 * 60 * 4 - 1
    minutes = list(NodeSample.objects.filter(span=60).order_by("at"))
    assert 170 <= len(minutes) <= 181
    middle = minutes[5]
    assert (middle.cpu_percent, middle.memory_used_bytes) == (1.5, round(1.5 * GIB))
    assert middle.network_receive_rate == 100.0
    assert middle.gpus[0]["percent"] == 1.5
    assert middle.gpus[0]["temperature"] == 63  # the hottest
    assert middle.gpus[0]["throttled"] == ["heat"]
    hours = NodeSample.objects.filter(span=3600)
    assert 2 <= hours.count() <= 4
    before = list(NodeSample.objects.order_by("pk").values())
    services.samples_roll(node.pk)
    assert list(NodeSample.objects.order_by("pk").values()) == before  # nothing is made twice


def test_a_node_has_a_bounded_number_of_samples() -> None:
    assert sum(length.total_seconds() / span for span, length in KEEP.items()) < 3100
    node = register()
    now = timezone.now()
    for span, length in KEEP.items():
        NodeSample.objects.create(
            node=node,
            span=span,
            at=now - length - timedelta(minutes=1),
            cpu_percent=0,
            memory_used_bytes=0,
            disk_used_bytes=0,
        )
    assert services.samples_roll(node.pk) == 3
