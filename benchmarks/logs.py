"""A fast log through a really started web process to a browser-like client.

A writer appends numbered lines with the time to a workload's log, a WebSocket client receives them
as a browser does. Prints how many lines came, were missing, doubled or out of order, the delay from
the writing of a line to its arrival, and how soon a log of 200 MB shows its end. Fails on a lost or
doubled line, on a p95 delay of 500 ms and more, and when the web process takes 300 MB and more.

    python benchmarks/logs.py [LINES [SECONDS]]
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import aiohttp
import psutil

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="trainer-logs-"))
os.environ |= {
    "TRAINER_HOME": str(HOME),
    "TRAINER_ALLOWED_HOSTS": "127.0.0.1",
    "TRAINER_LOG_LEVEL": "WARNING",
}
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.pop("TRAINER_DATABASE_URL", None)
os.environ.pop("TRAINER_REDIS_URL", None)
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

WRITER = """
import sys, time
path, lines, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
began = time.time()
with open(path, "a", buffering=1) as log:
    for number in range(lines):
        while number / lines * seconds > time.time() - began:
            time.sleep(0.001)
        log.write(f"{number} {time.time():.6f} {{'loss': 1.234, 'learning_rate': 5e-05}}\\n")
"""


def prepare():
    """A user with a session, and two workloads; one with a log of 200 MB."""
    manage = [sys.executable, str(ROOT / "manage.py")]
    subprocess.run([*manage, "migrate", "-v", "0"], check=True)
    subprocess.run([*manage, "createcachetable"], check=True)
    import django

    django.setup()
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from accounts.models import Project, User
    from nodes.models import Workload

    user = User.objects.create_user("bench", "bench@example.org", "a-long-Passw0rd", is_staff=True)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    project = Project.objects.create(name="bench")
    values = {"project": project, "engine": "none", "verb": "train", "state": "running"}
    fast = Workload.objects.create(name="fast", **values)
    big = Workload.objects.create(name="big", **values)
    with big.log_path.open("wb") as log:
        line = b"a line of an ordinary training, about eighty characters long, step 123456\n"
        for _part in range(200):
            log.write(line * (2**20 // len(line)))
    return session.session_key, fast, big


def start_server(port):
    """The web process as `manage.py serve` starts it."""
    command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port)]
    server = subprocess.Popen([*command, "--lifespan", "off", "--log-level", "warning"], cwd=ROOT)
    for _try in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/account/login/"):
                return server
        except OSError:
            time.sleep(0.3)
    raise SystemExit("the web process does not answer")


async def listen(client, url, log, lines, seconds):
    """Numbers and delays of the lines that came."""
    numbers, delays = [], []
    async with client.ws_connect(url, max_msg_size=0) as ws:
        json.loads((await ws.receive()).data)
        command = [sys.executable, "-c", WRITER, str(log), str(lines), str(seconds)]
        writer = await asyncio.create_subprocess_exec(*command)
        while len(numbers) < lines:
            try:
                message = await ws.receive(timeout=10)
            except TimeoutError:
                break
            now = time.time()
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            for line in json.loads(message.data).get("text", "").splitlines():
                number, written, _rest = line.split(" ", 2)
                numbers.append(int(number))
                delays.append(now - float(written))
        await writer.wait()
    return numbers, sorted(delays)


async def open_big(client, url):
    """Seconds until the end of a big log is there."""
    began = time.perf_counter()
    async with client.ws_connect(url, max_msg_size=0) as ws:
        await ws.receive()
        await ws.receive()
    return time.perf_counter() - began


async def measure(port, cookie, fast, big, lines, seconds):
    """All figures."""
    base = f"http://127.0.0.1:{port}"
    headers = {"Origin": base, "Cookie": f"sessionid={cookie}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        opened = await open_big(client, f"{base}/ws/workloads/{big.pk}/log/")
        url = f"{base}/ws/workloads/{fast.pk}/log/"
        numbers, delays = await listen(client, url, fast.log_path, lines, seconds)
    return opened, numbers, delays


def main(lines, seconds):
    """Prints the figures; the exit status says whether they are good."""
    cookie, fast, big = prepare()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start_server(port)
    try:
        opened, numbers, delays = asyncio.run(measure(port, cookie, fast, big, lines, seconds))
        memory = psutil.Process(server.pid).memory_info().rss
    finally:
        server.terminate()
        server.wait(20)
    missing, doubled = lines - len(set(numbers)), len(numbers) - len(set(numbers))
    ordered = numbers == sorted(numbers)
    p50, p95 = (delays[int(len(delays) * part)] * 1000 for part in (0.5, 0.95))
    print(f"{lines} lines in {seconds:g} s: {missing} missing, {doubled} doubled,", end=" ")
    print("in order" if ordered else "OUT OF ORDER")
    print(f"delay: p50 {p50:.0f} ms, p95 {p95:.0f} ms, max {delays[-1] * 1000:.0f} ms")
    print(f"a log of 200 MB shows its end after {opened * 1000:.0f} ms")
    print(f"memory of the web process: {memory / 2**20:.0f} MB")
    good = not missing and not doubled and ordered and p95 < 500 and memory < 300 * 2**20
    return 0 if good else 1


if __name__ == "__main__":
    wanted = sys.argv[1:]
    sys.exit(main(int(wanted[0]) if wanted else 100_000, float(wanted[1]) if wanted[1:] else 10))
