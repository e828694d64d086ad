"""What containers of a node's own network reach, and what pages say where nobody sees to it."""

import json
import os
import shutil
import socket
import subprocess
import sys
from functools import cache

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from nodes import services
from nodes.models import Node
from nodes.runners import firewall
from tests.nodes.conftest import followed, start
from tests.nodes.parts import register
from tests.nodes.walled import CONNECT, HOST, NAMES, NEIGHBOUR, NETWORK, PROXY, PUBLIC, SERVICE
from tests.services import ROOT


@cache
def may_build() -> bool:
    """Whether this machine lets a test have networks of its own."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))) or not firewall.may_close():
        return False
    words = ("unshare", "--net", "ip", "link", "add", "br0", "type", "bridge")
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def links() -> set[str]:
    return {name for _index, name in socket.if_nameindex()}


@pytest.mark.skipif(not may_build(), reason="needs the right to make networks")
def test_packets_get_to_public_addresses_name_servers_and_mirrors_only() -> None:
    words = ("unshare", "--net", sys.executable, "-m", "tests.nodes.walled")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    everything = [
        f"{name}:{port}" for name in (HOST, NEIGHBOUR, PUBLIC) for port in (PROXY, SERVICE, NAMES)
    ]
    assert found["before"] == found["after"] == everything
    assert found["closed"] == [
        f"{HOST}:{NAMES}",
        f"{NEIGHBOUR}:{PROXY}",
        f"{NEIGHBOUR}:{NAMES}",
        *(f"{PUBLIC}:{port}" for port in (PROXY, SERVICE, NAMES)),
    ]
    assert found["by script"] == found["closed"]
    assert found["back"] == ["True"]
    assert found["left"] == []


def test_ways_are_the_proxies_and_mirrors(settings, monkeypatch) -> None:
    for name in firewall.PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://10.1.2.3:3128")
    monkeypatch.setenv("http_proxy", "10.1.2.4")
    settings.HF_ENDPOINT, settings.MODELSCOPE_ENDPOINT = "https://10.1.2.5/hub", "http://[nonsense"
    assert firewall.ways() == [("10.1.2.3", 3128), ("10.1.2.4", 80), ("10.1.2.5", 443)]


def test_a_bridge_that_is_not_here_cannot_be_closed() -> None:
    with pytest.raises(firewall.Open):
        firewall.close(NETWORK)


def test_the_machine_sets_the_rules_at_each_start(tmp_path) -> None:
    """The unit runs the very script that sets them once."""
    env = {**os.environ, "DESTDIR": str(tmp_path)}
    words = ("sh", "-c", firewall.at_start(NETWORK))
    subprocess.run(words, env=env, check=True)
    (unit,) = (tmp_path / "etc/systemd/system").iterdir()
    (found,) = (tmp_path / "usr/local/lib").iterdir()
    assert f"ExecStart=/bin/sh /usr/local/lib/{found.name}\n" in unit.read_text()
    assert found.read_text() == firewall.script(NETWORK)


@pytest.mark.docker
@pytest.mark.django_db(transaction=True)
def test_the_rules_are_printed_for_the_machine(contained, settings, docker_host, capsys) -> None:
    settings.NODE_NAME = contained.name
    call_command("node_firewall")
    mine = f"trainer.installation={services.installation_id(contained.name)}"
    (network,) = docker_host.networks.list(filters={"label": mine})
    assert f"-i br-{network.id[:12]} -j TRAINER-F-" in capsys.readouterr().out
    contained.driver.leave()
    settings.NODE_RUNNER = "process"
    with pytest.raises(CommandError, match="no network"):
        call_command("node_firewall")


@pytest.mark.docker
@pytest.mark.django_db(transaction=True)
def test_a_container_that_fetches_does_not_reach_this_machine(
    contained, submit, settings, container_of, docker_host
) -> None:
    settings.HUB_ONLINE = True
    long = {"steps": 100000, "seconds": 0.05}
    one = start(submit(long, inputs={"model": "hub:lab/tiny"}, cpus=0.1))
    container = container_of(one)
    network = docker_host.networks.get(container.attrs["HostConfig"]["NetworkMode"])
    if not firewall.may_close() or f"br-{network.id[:12]}" not in links():
        pytest.skip("the Engine's networks are not this test's to close")
    gateway = network.attrs["IPAM"]["Config"][0]["Gateway"]
    with socket.create_server(("0.0.0.0", 0)) as server:
        words = ["python3", "-c", CONNECT, gateway, str(server.getsockname()[1])]
        assert container.exec_run(words).exit_code != 0
        assert not contained.driver.check()["network_is_open"]
        firewall.forget(network.id)
        assert container.exec_run(words).exit_code == 0
    services.workload_stop(one.pk, mode="kill", reason="done")
    followed(contained, one)


@pytest.mark.django_db
def test_operators_are_told_of_an_open_network(people, client) -> None:
    node = register()
    Node.objects.update(facts={**node.facts, "network_is_open": True})
    url, api = reverse("nodes:node_detail", args=[node.pk]), f"/api/v1/nodes/{node.pk}/"
    for reader, told in ((people.operator, True), (people.viewer, False)):
        client.force_login(reader)
        assert (b"manage.py node_firewall" in client.get(url).content) == told
        assert ("network_is_open" in client.get(api).json()["facts"]) == told
