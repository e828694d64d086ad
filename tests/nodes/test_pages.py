"""Node pages and API: what is shown to whom, and what operators do."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Event
from nodes import services
from nodes.models import Gpu, Lease, Node, NodeSample
from tests.nodes.parts import GIB, figures, load, register, runs, submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def node() -> Node:
    node = register()
    services.sample_record(
        node.pk,
        figures(load(percent=91, memory_used_bytes=40 * GIB, temperature=66)),
    )
    return node


def test_list_names_only_what_the_reader_may_see(node, people, client) -> None:
    submit(people.team, "wl-holder")
    submit(people.team, "wl-second")
    submit(people.team, "in-line", gpus=2)
    submit(people.team, "too-big", gpus=16)
    client.force_login(people.member)
    page = client.get(reverse("nodes:node_list")).content.decode()
    for text in (
        "gpu-01",
        "wl-holder",
        "in-line",
        "too-big",
        "91 %",
        "66 °C",
        "No node has 16 GPUs",
    ):
        assert text in page
    client.force_login(people.stranger)
    page = client.get(reverse("nodes:node_list")).content.decode()
    for text in ("wl-holder", "wl-second", "in-line", "too-big", "10.0.0.7", ">team<"):
        assert text not in page
    assert page.count("another project") >= 4


def test_a_full_node_names_the_first_and_counts_the_others(people, client) -> None:
    node = register("cpu-01", gpus=0)
    for number in range(5):
        submit(people.team, f"small-{number}", gpus=0, cpus=1.5)
    services.schedule()
    client.force_login(people.member)
    page = client.get(reverse("nodes:node_list")).content.decode()
    assert "small-0, small-1 +3" in page
    assert "7.5 of 8" in page
    page = client.get(reverse("nodes:node_detail", args=[node.pk])).content.decode()
    assert all(f"<b>small-{number}</b>" in page for number in range(5))


def test_pages_as_fragments(node, people, client) -> None:
    client.force_login(people.viewer)
    for url in (reverse("nodes:node_list"), reverse("nodes:node_detail", args=[node.pk])):
        whole, part = client.get(url), client.get(url, headers={"HX-Request": "true"})
        assert b"<html" in whole.content
        assert b"<html" not in part.content
        assert b"37" in part.content or b"91" in part.content
        assert "HX-Request" in whole["Vary"]


def test_the_heads_of_pages_are_renewed(node, people, client) -> None:
    """A node that falls silent says so in its head, and the list counts it."""
    client.force_login(people.viewer)
    headers = {"HX-Request": "true"}
    detail = reverse("nodes:node_detail", args=[node.pk])
    assert "<h1>" in client.get(f"{detail}?part=head", headers=headers).content.decode()
    assert "<h1>" not in client.get(detail, headers=headers).content.decode()
    assert "<h1>" in client.get(reverse("nodes:node_list"), headers=headers).content.decode()


def test_detail_shows_the_address_to_operators_only(node, people, client) -> None:
    url = reverse("nodes:node_detail", args=[node.pk])
    for user, sees in ((people.viewer, False), (people.operator, True)):
        client.force_login(user)
        page = client.get(url).content.decode()
        assert ("10.0.0.7" in page) is sees
        assert ("cordon/" in page) is sees


def test_a_silent_node_says_so(node, people, client) -> None:
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    client.force_login(people.viewer)
    assert ">Silent<" in client.get(reverse("nodes:node_list")).content.decode()


def test_no_nodes_yet(people, client) -> None:
    client.force_login(people.viewer)
    assert "No node yet" in client.get(reverse("nodes:node_list")).content.decode()


def test_curves(node, people, client) -> None:
    now = timezone.now()
    NodeSample.objects.bulk_create(
        NodeSample(
            node=node,
            span=span,
            at=now - timedelta(seconds=step * span),
            cpu_percent=50,
            memory_used_bytes=32 * GIB,
            disk_used_bytes=0,
            network_receive_rate=2e6,
            gpus=[{"index": 0, "uuid": "gpu-01-0", "percent": 40, "temperature": 71, "watts": 250}],
        )
        for span, count in ((15, 700), (60, 1500), (3600, 700))
        for step in range(1, count)
    )
    client.force_login(people.viewer)
    url = reverse("nodes:node_samples", args=[node.pk])
    for span, seconds in (("hour", 3600), ("day", 86_400), ("month", 29 * 86_400)):
        curves = client.get(url, {"span": span}).json()
        assert 100 < len(curves["x"]) <= 362
        assert curves["x"] == sorted(curves["x"])
        assert curves["x"][-1] - curves["x"][0] > 0.95 * seconds
        names = [line["name"] for line in curves["series"]]
        assert names == ["gpu", "cpu", "memory", "disk"]
        assert all(len(line["data"]) == len(curves["x"]) for line in curves["series"])
        assert curves["series"][2]["data"][0] == 50
    for of, unit, first in (
        ("heat", "°C", 71),
        ("power", "W", 250),
        ("traffic", "bytes/s", 2e6),
        ("nonsense", "%", 40),
    ):
        curves = client.get(url, {"span": "nonsense", "of": of}).json()
        assert curves["unit"] == unit
        assert curves["series"][0]["data"][0] == first


def test_operators_cordon_and_note(node, people, client) -> None:
    cordon, note = (
        reverse(f"nodes:{name}", args=[node.pk]) for name in ("node_cordon", "node_note")
    )
    client.force_login(people.owner)
    assert client.post(cordon).status_code == 404
    assert client.post(note, {"note": "mine"}).status_code == 404
    client.force_login(people.operator)
    client.post(cordon)
    node.refresh_from_db()
    assert (node.state, node.is_cordoned) == ("cordoned", True)
    workload = submit(people.team)
    assert workload.waits_for == {"code": "away", "args": {"node": "gpu-01"}}
    client.post(note, {"note": "fan is loud"})
    assert client.post(note, {"note": "x" * 300}).status_code == 422
    client.post(cordon, {"cordoned": "0"})
    workload.refresh_from_db()
    assert workload.state == "placed"
    node.refresh_from_db()
    assert node.note == "fan is loud"
    verbs = list(Event.objects.of(node).values_list("verb", "actor__username"))
    assert verbs == [
        ("registered", None),
        ("state", "operator"),
        ("note", "operator"),
        ("state", "operator"),
    ]


def test_api(node, people, client) -> None:
    workload = submit(people.team, "job")
    client.force_login(people.viewer)
    (row,) = client.get("/api/v1/nodes/").json()["results"]
    assert (row["name"], row["address"], row["load"]["cpu_percent"]) == ("gpu-01", "", 37.5)
    assert [gpu["in_use"] for gpu in row["gpus"]] == [True, False]
    assert client.get(f"/api/v1/nodes/{node.pk}/samples/").json()["x_kind"] == "time"
    assert (
        client.patch(
            f"/api/v1/nodes/{node.pk}/", {"note": "x"}, content_type="application/json"
        ).status_code
        == 404
    )
    row = client.get(f"/api/v1/workloads/{workload.pk}/").json()
    assert (row["state"], row["node"], row["place"]) == ("placed", "gpu-01", 0)
    stop = f"/api/v1/workloads/{workload.pk}/stop/"
    assert client.post(stop).status_code == 404
    client.force_login(people.stranger)
    assert client.get("/api/v1/workloads/").json()["results"] == []
    assert client.get(f"/api/v1/workloads/{workload.pk}/").status_code == 404
    client.force_login(people.developer)
    assert client.post(stop, {"mode": "kill"}).status_code == 404
    client.force_login(people.member)
    assert client.post(stop, {"mode": "kill"}).json()["outcome"] == "stopped"
    client.force_login(people.operator)
    answer = client.patch(
        f"/api/v1/nodes/{node.pk}/",
        {"note": "x", "is_cordoned": True},
        content_type="application/json",
    ).json()
    assert (answer["note"], answer["state"], answer["address"]) == ("x", "cordoned", "10.0.0.7")


def test_priority_over_the_api(people, client) -> None:
    first, second = submit(people.team, "a"), submit(people.team, "b")
    url = f"/api/v1/workloads/{second.pk}/priority/"
    client.force_login(people.member)
    refused = client.post(url, {"priority": 80})
    assert (refused.status_code, refused.json()["field"]) == (422, "priority")
    client.force_login(people.operator)
    assert client.post(url, {"priority": 80}).json()["place"] == 1
    first.refresh_from_db()
    assert services.queue_position(first) == (2, first.reason)


def test_leases_follow_the_workload(node, people) -> None:
    one, two, three = (submit(people.team, name) for name in "abc")
    held = Lease.objects.filter(released_at=None)
    assert {lease.gpu.node for lease in held} == {node}
    assert held.values("gpu").distinct().count() == 2
    assert three.waits_for["code"] == "busy_gpus"
    services.workload_stop(one.pk, mode="kill", reason="")
    three.refresh_from_db()
    assert three.state == "placed"
    assert three.leases.get().gpu == one.leases.get().gpu
    assert one.leases.get().released_at is not None
    assert two.leases.get().released_at is None


def test_a_device_that_is_gone_is_not_given_away(node, people) -> None:
    register(gpus=1)
    assert list(Gpu.objects.filter(is_present=True).values_list("index", flat=True)) == [0]
    states = [submit(people.team, name).state for name in "ab"]
    assert states == ["placed", "waiting"]


def test_admin(node, people, client) -> None:
    workload = submit(people.team, "job")
    client.force_login(people.operator)
    for model in ("node", "gpu", "workload", "lease", "nodesample"):
        assert client.get(reverse(f"admin:nodes_{model}_changelist")).status_code == 200
    url = reverse("admin:nodes_node_change", args=[node.pk])
    assert client.get(url).status_code == 200
    client.post(
        reverse("admin:nodes_workload_changelist"),
        {"action": "stop_at_once", "_selected_action": [str(workload.pk)]},
    )
    workload.refresh_from_db()
    assert workload.outcome == "stopped"


def test_numbers_of_gpus(people, client) -> None:
    register(gpus=4)
    submit(people.team)
    Gpu.objects.filter(index=3).update(
        excluded_at=timezone.now(),
        exclusion={"code": "errors", "args": {"count": 3, "hours": 24}},
    )
    client.force_login(people.viewer)
    page = client.get(reverse("nodes:node_list")).content.decode()
    assert "1 in use, 2 free</span><span>1 take no new work" in page
    url = reverse("nodes:node_detail", args=[Node.objects.get().pk])
    page = client.get(url).content.decode()
    assert "Taken out after 3 hardware errors in 24 hours." in page
    assert ">Release<" not in page
    client.force_login(people.operator)
    assert ">Release<" in client.get(url).content.decode()
    client.post(reverse("nodes:node_release", args=[Node.objects.get().pk]), {"gpu": "gpu-01-3"})
    assert not Gpu.objects.exclude(excluded_at=None).exists()
    for wrong in ("9", "x", "-1"):
        answer = client.post(
            reverse("nodes:node_release", args=[Node.objects.get().pk]), {"gpu": wrong}
        )
        assert answer.status_code == 404


def test_who_holds_how_much_of_a_gpu(people, client) -> None:
    node = register()
    workload = runs(submit(people.team, "wl-holder"))
    processes = [
        {"pid": 7, "workload": str(workload.pk), "memory_used_bytes": 38 * GIB, "percent": 94},
        {"pid": 8, "memory_used_bytes": GIB},
    ]
    gpu = load(processes=processes, throttled=["heat"], watts=290.4, watts_limit=300)
    services.sample_record(node.pk, figures(gpu))
    url = reverse("nodes:node_detail", args=[node.pk])
    client.force_login(people.member)
    page = client.get(url).content.decode()
    for text in (
        "wl-holder<small>38 GB, 94 %",
        "none of ours<small>1 GB",
        "290 W",
        "because it is hot",
    ):
        assert text in page
    seen = client.get(f"/api/v1/nodes/{node.pk}/").json()["load"]["gpus"][0]["processes"]
    assert seen[0]["workload"] == str(workload.pk)
    client.force_login(people.stranger)
    page = client.get(url).content.decode()
    assert "wl-holder" not in page
    assert "another project&#x27;s<small>38 GB" in page
    seen = client.get(f"/api/v1/nodes/{node.pk}/").json()["load"]["gpus"][0]["processes"]
    assert "workload" not in seen[0]


def test_paths_on_a_node_are_for_operators(node, people, client) -> None:
    Node.objects.update(facts={"disks": [{"path": "/srv/secret"}], "system": "Linux"})
    for user, sees in ((people.viewer, False), (people.operator, True)):
        client.force_login(user)
        facts = client.get(f"/api/v1/nodes/{node.pk}/").json()["facts"]
        assert ("disks" in facts) is sees
        page = client.get(reverse("nodes:node_detail", args=[node.pk])).content.decode()
        assert (">/data<" in page) is sees


def test_emptying_and_removing_on_pages_and_over_the_api(node, people, client) -> None:
    urls = {
        word: reverse(f"nodes:node_{word}", args=[node.pk])
        for word in ("drain", "cordon", "remove")
    }
    client.force_login(people.operator)
    assert client.post(urls["drain"], {"mode": "nonsense"}).status_code == 422
    client.post(urls["drain"], {"mode": "wait"})
    node.refresh_from_db()
    assert (node.state, node.drain) == ("drained", "wait")
    assert ">Drained<" in client.get(reverse("nodes:node_list")).content.decode()
    client.post(urls["cordon"], {"cordoned": "0"})
    answer = client.post(f"/api/v1/nodes/{node.pk}/drain/", {"mode": "stop"})
    assert (answer.json()["state"], answer.json()["drain"]) == ("drained", "stop")
    page = client.post(urls["remove"], follow=True).content.decode()
    assert "Stop its agent first" in page
    answer = client.delete(f"/api/v1/nodes/{node.pk}/")
    assert (answer.status_code, answer.json()["code"]) == (409, "still_beats")
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
    page = client.post(urls["remove"], follow=True).content.decode()
    assert "gpu-01 is removed." in page
    assert client.get(f"/api/v1/nodes/{node.pk}/").status_code == 404


def test_tokens_on_the_page_and_over_the_api(people, client) -> None:
    client.force_login(people.operator)
    url = reverse("nodes:node_token_list")
    assert b"No tokens yet" in client.get(url).content
    page = client.post(url, {"note": "rack 3", "hours": "24"})
    if connection.vendor == "sqlite":
        assert page.status_code == 422
        assert b"TRAINER_DATABASE_URL" in page.content
        return
    assert page["Cache-Control"] == "no-store"
    found = re.search(r"make node URL=http://testserver TOKEN=(ntk_\w+)", page.content.decode())
    assert found
    again = client.get(url).content.decode()
    assert found.group(1) not in again
    assert "rack 3" in again
    assert client.post(url, {"hours": "0"}).status_code == 422
    made = client.post("/api/v1/node-tokens/", {"hours": 1}).json()
    assert made["token"].startswith("ntk_")
    assert "token" not in client.get(f"/api/v1/node-tokens/{made['id']}/").json()
    assert client.delete(f"/api/v1/node-tokens/{made['id']}/").status_code == 204
    (row,) = client.get("/api/v1/node-tokens/").json()["results"]
    client.post(reverse("nodes:node_token_revoke", args=[row["id"]]))
    assert b"No tokens yet" in client.get(url).content


def test_more_nodes_take_no_more_questions(node, people, client) -> None:
    client.force_login(people.viewer)
    urls = (reverse("nodes:node_list"), "/api/v1/nodes/", reverse("home"))

    def asked() -> list[int]:
        counts = []
        for url in urls:
            client.get(url)
            with CaptureQueriesContext(connection) as queries:
                assert client.get(url).status_code == 200
            counts.append(len(queries))
        return counts

    submit(people.team, "one")
    few = asked()
    for name in ("gpu-02", "gpu-03", "gpu-04"):
        services.sample_record(register(name).pk, figures(load(name, percent=5)))
        submit(people.team, name)
    assert asked() == few
