"""Packets through the rules of a node's own network; prints what got through as JSON.

Run by `unshare --net`, so that it stands for a machine of its own: with a bridge of Docker's name,
a container on it, and a neighbour that has a private and a public address.
"""

import json
import subprocess
import sys
from pathlib import Path

from django.conf import settings

NETWORK = "abcdef012345" + 52 * "0"
BRIDGE = "br-abcdef012345"
HOST, NEIGHBOUR, PUBLIC = "10.99.0.1", "192.168.77.2", "203.0.113.5"
PROXY, SERVICE, NAMES = 3128, 8080, 53
LISTEN = f"""
import socket, time
kept = [socket.create_server(("0.0.0.0", port)) for port in {(PROXY, SERVICE, NAMES)}]
print("on", flush=True)
time.sleep(60)
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"


def do(*words: str) -> None:
    """Runs it."""
    subprocess.run(words, check=True)


class Machine:
    """A network namespace that lives as long as this script, with one link to this one."""

    def __init__(self, link: str, *addresses: str, gateway: str) -> None:
        words = ("unshare", "--net", sys.executable, "-c", LISTEN)
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.inside = ("nsenter", "--target", str(self.process.pid), "--net")
        peer = ("peer", "name", "eth0", "netns", str(self.process.pid))
        do("ip", "link", "add", link, "type", "veth", *peer)
        do("ip", "link", "set", link, "up")
        for address in addresses:
            do(*self.inside, "ip", "address", "add", address, "dev", "eth0")
        do(*self.inside, "ip", "link", "set", "eth0", "up")
        do(*self.inside, "ip", "route", "add", "default", "via", gateway)

    def reaches(self, address: str, port: int) -> bool:
        """Whether a connection comes about."""
        words = (*self.inside, sys.executable, "-c", CONNECT, address, str(port))
        return subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode == 0


def build() -> tuple[Machine, Machine]:
    """The container, and the neighbour."""
    do("ip", "link", "set", "lo", "up")
    do("ip", "link", "add", BRIDGE, "type", "bridge")
    do("ip", "address", "add", f"{HOST}/24", "dev", BRIDGE)
    do("ip", "link", "set", BRIDGE, "up")
    container = Machine("v0", "10.99.0.2/24", gateway=HOST)
    do("ip", "link", "set", "v0", "master", BRIDGE)
    neighbour = Machine("v1", f"{NEIGHBOUR}/24", f"{PUBLIC}/32", gateway="192.168.77.1")
    do("ip", "address", "add", "192.168.77.1/24", "dev", "v1")
    do("ip", "route", "add", f"{PUBLIC}/32", "via", NEIGHBOUR)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    return container, neighbour


def main() -> None:
    """What the container reaches before, with and after the rules."""
    settings.configure(HF_ENDPOINT=f"http://{NEIGHBOUR}:{PROXY}", MODELSCOPE_ENDPOINT="")
    from nodes.runners import firewall

    container, neighbour = build()
    host = subprocess.Popen((sys.executable, "-c", LISTEN), stdout=subprocess.PIPE)
    assert host.stdout is not None
    host.stdout.readline()
    asked = [
        (address, port) for address in (HOST, NEIGHBOUR, PUBLIC) for port in (PROXY, SERVICE, NAMES)
    ]

    def reached() -> list[str]:
        return [f"{name}:{port}" for name, port in asked if container.reaches(name, port)]

    found = {"before": reached()}
    firewall.close(NETWORK)
    firewall.close(NETWORK)
    found["closed"] = reached()
    found["back"] = [str(neighbour.reaches(HOST, SERVICE))]  # what is not from the bridge goes on
    firewall.forget(NETWORK)
    found["after"] = reached()
    for _time in range(2):
        do("sh", "-c", firewall.script(NETWORK))
    found["by script"] = reached()
    firewall.forget(NETWORK)
    left = subprocess.run(("iptables", "-S"), capture_output=True, text=True, check=True).stdout
    found["left"] = [line for line in left.splitlines() if "TRAINER" in line]
    print(json.dumps(found))
    for process in (container.process, neighbour.process, host):
        process.kill()


if __name__ == "__main__":
    main()
