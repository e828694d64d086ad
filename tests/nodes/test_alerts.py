"""Trouble of nodes: opened once, closed when it is over, and shown to everybody."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts.models import Event
from common.errors import DomainError
from nodes import services
from nodes.models import Alert, AlertDelivery, AlertRule, Gpu, Node
from nodes.nvml import Fault
from nodes.services.sentences import alert_text
from nodes.services.silence import Witness
from tests.nodes.parts import GIB, figures, load, register, runs, submit, witnessed

pytestmark = pytest.mark.django_db(transaction=True)


def measure(node: Node, *gpus: dict, **values) -> None:
    services.sample_record(node.pk, figures(*gpus, **values))
    services.alerts_measure(node.pk)


def later(seconds: int) -> None:
    """What began now began so long ago."""
    for alert in Alert.objects.current():
        Alert.objects.filter(pk=alert.pk).update(since=alert.since - timedelta(seconds=seconds))


def states(kind: str) -> list[str]:
    return list(Alert.objects.filter(kind=kind).order_by("since").values_list("state", flat=True))


def full(percent: float) -> list[dict]:
    return [{"path": "/data", "total_bytes": 1000 * GIB, "used_bytes": round(percent * 10) * GIB}]


def test_heat_opens_after_its_time_and_closes_well_below() -> None:
    node = register()
    measure(node, load(temperature=87), load(index=1, temperature=30))
    assert states("heat") == []
    measure(node, load(temperature=90))
    assert states("heat") == ["pending"]
    measure(node, load(temperature=80))  # over before its time: nothing to tell
    assert states("heat") == []
    measure(node, load(temperature=90))
    later(61)
    measure(node, load(temperature=91))
    measure(node, load(temperature=92))
    assert states("heat") == ["open"]
    alert = Alert.objects.get()
    assert (alert.gpu.index, alert.value, alert.threshold) == (0, 92, 88)
    assert alert_text(alert) == "GPU 0 of gpu-01 is at 92 °C; the limit is 88 °C."
    measure(node, load(temperature=85))  # between the figures: it goes on
    assert states("heat") == ["open"]
    measure(node, load(temperature=83))
    assert states("heat") == ["closed"]
    verbs = Event.objects.of(node).filter(verb__startswith="alert").values_list("verb", "new")
    assert list(verbs) == [("alert_opened", "heat"), ("alert_closed", "heat")]


def test_what_is_not_there_any_more_is_over_and_what_nobody_could_measure_is_not() -> None:
    node = register()
    measure(node, load(temperature=95), disks=full(95))
    later(61)
    measure(node, load(temperature=95), disks=full(95))
    measure(node, disks=[])
    assert (states("heat"), states("disk")) == (["open"], ["closed"])


def test_full_disks_each_for_itself() -> None:
    node = register()
    other = {"path": "/", "total_bytes": GIB, "used_bytes": GIB}
    measure(node, disks=[*full(95), other])
    later(61)
    measure(node, disks=[*full(95), other])
    assert {alert.subject for alert in Alert.objects.open()} == {"/", "/data"}
    measure(node, disks=[*full(80), other])
    (alert,) = Alert.objects.open()
    assert "/ on gpu-01 is 100 % full" in alert_text(alert, to_operator=True)
    assert "/" not in alert_text(alert)


def test_held_and_idle(people) -> None:
    node = register()
    measure(node, load(percent=0))
    assert states("idle") == []  # nobody holds it
    runs(submit(people.team))
    for percent in (0, 3):
        measure(node, load(percent=percent), load(index=1, percent=0))
    assert states("idle") == ["pending"]
    later(3601)
    measure(node, load(percent=2))
    assert states("idle") == ["open"]
    assert "held" in alert_text(Alert.objects.get())
    assert "secret-model" not in alert_text(Alert.objects.get())
    measure(node, load(percent=8))
    assert states("idle") == ["open"]
    measure(node, load(percent=60))
    assert states("idle") == ["closed"]


def test_memory_errors_and_what_follows(people) -> None:
    node = register()
    measure(node, load(ecc_uncorrected=4))
    assert states("ecc") == []
    measure(node, load(ecc_uncorrected=6))
    alert = Alert.objects.get()
    assert (alert.state, alert.value) == ("open", 2)
    services.faults_note(node.pk, [Fault("gpu-01-0", 79)] * 2)
    measure(node, load(ecc_uncorrected=6))
    assert states("exclusion") == ["open"]
    services.node_release(node.pk, by=people.operator, gpu_id=Gpu.objects.get(index=0).pk)
    measure(node, load(ecc_uncorrected=6))
    assert (states("exclusion"), states("ecc")) == (["closed"], ["closed"])


def test_silence_is_noticed_by_others() -> None:
    node = register()
    services.alerts_silence(Witness())
    assert not Alert.objects.exists()
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=3))
    services.alerts_silence(witnessed(58))
    assert not Alert.objects.exists()  # whatever the database's clock says
    for witness in (witnessed(60), witnessed(180), Witness()):  # the last one has just begun
        services.alerts_silence(witness)
        assert states("silence") == ["open"]
        assert alert_text(Alert.objects.get()) == "gpu-01 has not reported for 3 min."
    services.node_beat(node.pk, engines=["small"])
    services.alerts_silence(Witness())
    assert states("silence") == ["closed"]


def test_a_wrong_clock() -> None:
    node = register()
    services.node_beat(node.pk, engines=[], clock=timezone.now() + timedelta(hours=1))
    services.alerts_measure(node.pk)
    assert "60 min" in alert_text(Alert.objects.get())
    services.node_beat(node.pk, engines=[], clock=timezone.now())
    services.alerts_measure(node.pk)
    assert states("clock") == ["closed"]


def test_two_that_notice_at_once_open_one(people) -> None:
    register()
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=3))
    services.channel_create(kind="email", target="ops@example.org", by=people.operator)
    start, witness = threading.Barrier(4), witnessed(180)

    def notice() -> None:
        try:
            start.wait()
            services.alerts_silence(witness)
        finally:
            connection.close()

    threads = [threading.Thread(target=notice) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states("silence") == ["open"]
    assert AlertDelivery.objects.count() == 1


def rule_of(kind: str, people, **changes) -> AlertRule:
    rule = next(rule for rule in services.rules() if rule.kind == kind)
    names = ("is_enabled", "threshold", "clear", "hold_seconds")
    values = {name: getattr(rule, name) for name in names} | changes
    return services.rule_set(kind, by=people.operator, **values)


def test_operators_set_the_rules(people) -> None:
    node = register()
    rule_of("heat", people, threshold=60, clear=50, hold_seconds=0)
    measure(node, load(temperature=61))
    assert states("heat") == ["open"]
    rule_of("heat", people, is_enabled=False)
    measure(node, load(temperature=61))
    assert states("heat") == ["closed"]
    assert Event.objects.filter(verb="rule", actor=people.operator).count() == 2
    for kind, changes, field in (
        ("heat", {"threshold": float("nan")}, "threshold"),
        ("heat", {"threshold": 900}, "threshold"),
        ("heat", {"threshold": 70, "clear": 80}, "clear"),
        ("idle", {"threshold": 20, "clear": 10}, "clear"),
        ("disk", {"hold_seconds": -1}, "hold_seconds"),
    ):
        before = list(AlertRule.objects.values())
        with pytest.raises(DomainError) as caught:
            rule_of(kind, people, **changes)
        assert caught.value.field == field
        assert list(AlertRule.objects.values()) == before


def test_a_removed_node_leaves_no_alert(people) -> None:
    node = register()
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=3))
    witness = witnessed(180)
    services.alerts_silence(witness)
    services.node_remove(node.pk, by=people.operator)
    assert states("silence") == ["closed"]
    services.alerts_silence(witness)
    assert states("silence") == ["closed"]


def test_alerts_on_pages_and_over_the_api(people, client) -> None:
    node = register()
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=3))
    services.alerts_silence(witnessed(180))
    client.force_login(people.stranger)
    for url in (
        reverse("nodes:node_list"),
        reverse("nodes:node_detail", args=[node.pk]),
        reverse("nodes:alert_list"),
    ):
        assert "gpu-01 has not reported for 3 min." in client.get(url).content.decode()
    page = client.get(reverse("nodes:alert_list"))
    assert b"channels" not in page.content  # to whom it is told is for operators
    part = client.get(reverse("nodes:alert_list"), headers={"HX-Request": "true"})
    assert b"<html" not in part.content
    (alert,) = client.get("/api/v1/alerts/", {"state": "open"}).json()["results"]
    assert (alert["kind"], alert["node"]) == ("silence", "gpu-01")
    assert alert["text"] == "gpu-01 has not reported for 3 min."


def test_operators_change_rules_and_places(people, client) -> None:
    services.rules_seed()
    client.force_login(people.operator)
    rule = reverse("nodes:alert_rule_set", args=["heat"])
    good = {"is_enabled": "on", "threshold": "80", "clear": "70", "hold_seconds": "30"}
    assert client.post(rule, good).status_code == 302
    refused = client.post(rule, {**good, "clear": "90"})
    assert refused.status_code == 422
    assert b"at most 80" in refused.content
    assert b'aria-labelledby="edit-heat-title" open>' in refused.content
    heat = client.get("/api/v1/alert-rules/heat/").json()
    assert (heat["threshold"], heat["unit"]) == (80, "°C")
    url, kind = "/api/v1/alert-rules/heat/", "application/json"
    assert client.patch(url, {"threshold": 85}, content_type=kind).json()["clear"] == 70
    assert client.patch(url, {"threshold": 60}, content_type=kind).status_code == 422
    assert client.post(reverse("nodes:alert_rule_set", args=["nonsense"]), good).status_code == 404

    create = reverse("nodes:alert_channel_create")
    hook = {"kind": "webhook", "target": "http://127.0.0.1:9/x"}
    refused = client.post(create, hook)
    assert refused.status_code == 422
    assert b"private network" in refused.content
    page = client.post(create, {**hook, "allows_private": "on"})
    assert page["Cache-Control"] == "no-store"
    assert b"whsec_" in page.content
    assert b"whsec_" not in client.get(reverse("nodes:alert_list")).content
    answer = client.post("/api/v1/alert-channels/", {**hook, "allows_private": True})
    assert (answer.status_code, answer.json()["field"]) == (409, "target")
    made = client.post("/api/v1/alert-channels/", {"kind": "email", "target": "a@example.org"})
    assert made.json()["secret"] == ""
    one = f"/api/v1/alert-channels/{made.json()['id']}/"
    assert client.patch(one, {"is_enabled": False}, content_type=kind).json()["is_enabled"] is False
    assert client.post(f"{one}test/").json()["state"] == "waiting"
    assert len(client.get(f"{one}deliveries/").json()) == 1
    assert client.delete(one).status_code == 204
    client.force_login(people.owner)
    assert client.post(create, hook).status_code == 404
