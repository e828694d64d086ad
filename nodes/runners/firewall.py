"""What containers that fetch from a hub do not reach: this machine, and the networks around it.

They keep name servers, and the proxies and mirrors of hubs that the platform is told to use. The
rules stand in chains of the network's own, to which Docker's chain for them (DOCKER-USER) and INPUT
send what comes from its bridge; setting them again changes nothing.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

NET_ADMIN = 12  # the capability's number
TOOLS_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
SECONDS = 10.0
NEIGHBOURS = (  # everything but public addresses
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


class Open(Exception):
    """The rules could not be set; why, for the log."""


def may_close() -> bool:
    """Whether this process has the tool and the right to set rules."""
    return _tool("iptables-restore") is not None and _has_right()


def close(network_id: str) -> None:
    """Sets the rules for a bridge network of Docker's. Raises `Open`."""
    if not may_close():
        raise Open("this process may not set firewall rules")
    bridge, forward, inward = _names(network_id)
    if bridge not in {name for _index, name in socket.if_nameindex()}:
        raise Open(f"the network's bridge {bridge} is on another machine, or in another network")
    _run("iptables-restore", "--noflush", "--wait", "5", text=rules(forward, inward, ways()))
    for parent, chain in ((_forward_parent(), forward), ("INPUT", inward)):
        jump = (parent, "-i", bridge, "-j", chain)
        with suppress(Open):
            _iptables("-C", *jump)
            continue
        _iptables("-I", *jump)


def script(network_id: str) -> str:
    """What `close` does as a shell script: for the machine, where this process may not."""
    bridge, forward, inward = _names(network_id)
    return f"""set -e
iptables-restore --noflush --wait 5 <<'RULES'
{rules(forward, inward, ways())}RULES
parent=DOCKER-USER
iptables --wait 5 -S "$parent" >/dev/null 2>&1 || parent=FORWARD
for jump in "$parent -i {bridge} -j {forward}" "INPUT -i {bridge} -j {inward}"; do
  iptables --wait 5 -C $jump 2>/dev/null || iptables --wait 5 -I $jump
done
"""


def at_start(network_id: str) -> str:
    """A shell script that has systemd run `script` now and at each start of the machine.

    With DESTDIR it only writes the files, below that.
    """
    name = f"llm-cloud-trainer-firewall-{network_id[:12]}"
    rules_file, unit = f"/usr/local/lib/{name}.sh", f"/etc/systemd/system/{name}.service"
    return f"""set -e
mkdir -p "$DESTDIR/usr/local/lib" "$DESTDIR/etc/systemd/system"
cat >"$DESTDIR{rules_file}" <<'SCRIPT'
{script(network_id)}SCRIPT
cat >"$DESTDIR{unit}" <<'UNIT'
[Unit]
Description=What containers of LLM Cloud Trainer reach
After=docker.service firewalld.service
PartOf=docker.service firewalld.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {rules_file}

[Install]
WantedBy=multi-user.target docker.service
UNIT
test -z "$DESTDIR" || exit 0
systemctl daemon-reload
systemctl enable {name}
systemctl restart {name}
"""


def forget(network_id: str) -> None:
    """Takes the rules of a network that goes away again."""
    if not may_close():
        return
    bridge, forward, inward = _names(network_id)
    for parent, chain in (("DOCKER-USER", forward), ("FORWARD", forward), ("INPUT", inward)):
        with suppress(Open):
            while True:  # two that set it at once set it twice
                _iptables("-D", parent, "-i", bridge, "-j", chain)
    for chain in (forward, inward):
        with suppress(Open):
            _iptables("-F", chain)
            _iptables("-X", chain)


def rules(forward: str, inward: str, ways: Iterable[tuple[str, int]]) -> str:
    """Both chains, as `iptables-restore` reads them."""
    lines = ["*filter", f":{forward} - [0:0]", f":{inward} - [0:0]"]
    for chain in (forward, inward):
        lines.append(f"-A {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN")
        lines += [f"-A {chain} -p {protocol} --dport 53 -j RETURN" for protocol in ("udp", "tcp")]
        lines += [
            f"-A {chain} -d {address} -p tcp --dport {port} -j RETURN" for address, port in ways
        ]
    lines += [f"-A {forward} -d {network} -j DROP" for network in NEIGHBOURS]
    return "\n".join([*lines, f"-A {inward} -j DROP", "COMMIT", ""])


def ways() -> list[tuple[str, int]]:
    """Addresses and ports of the proxies and mirrors; those without an address now are left out."""
    urls = [os.environ.get(name, "") for name in PROXIES]
    urls += [settings.HF_ENDPOINT, settings.MODELSCOPE_ENDPOINT]
    return sorted({way for url in urls for way in _ways_of(url)})


def _ways_of(url: str) -> Iterator[tuple[str, int]]:
    with suppress(OSError, ValueError):
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if parts.hostname:
            for found in socket.getaddrinfo(parts.hostname, port, socket.AF_INET):
                yield str(found[4][0]), port


def _names(network_id: str) -> tuple[str, str, str]:
    """Its bridge, as Docker calls it, and the chains for what passes and what comes in."""
    short = network_id[:12]
    return f"br-{short}", f"TRAINER-F-{short}", f"TRAINER-I-{short}"


def _forward_parent() -> str:
    """Docker's own chain for the rules of others; without it, its rules come after these."""
    try:
        _iptables("-S", "DOCKER-USER")
    except Open:
        return "FORWARD"
    return "DOCKER-USER"


def _has_right() -> bool:
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        return False
    rights = next((line for line in status.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(rights.split()[1], 16) >> NET_ADMIN & 1)


def _tool(name: str) -> str | None:
    return shutil.which(name, path=TOOLS_PATH)


def _iptables(*words: str) -> None:
    _run("iptables", "--wait", "5", *words)


def _run(name: str, *words: str, text: str = "") -> None:
    try:
        done = subprocess.run(
            [_tool(name) or name, *words],
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Open(str(error)) from error
    if done.returncode:
        raise Open(done.stderr.strip() or f"{name} ended with {done.returncode}")
