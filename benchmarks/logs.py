"""A fast log through the platform to a browser-like client, and straight from its file.

A writer appends numbered lines with the time to a workload's log, a WebSocket client receives them
as a browser does. Beside it, in turn, `tail -f` reads as many lines of such a file. Prints how many
lines came, the delay from the writing of a line to its arrival on both ways, and how soon a log of
200 MB shows its end. Fails on a line that is lost, doubled or out of order.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
from running import Failed, Platform, p95, platform, run, session, spread, verdict, web_processes

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
WORKLOADS = """
from accounts.models import User
from nodes.models import Workload
project = User.objects.get(username="bench").personal_project
for name in ("fast", "big"):
    workload = Workload.objects.create(
        project=project, name=name, engine="none", verb="train", state="running")
    print(workload.pk)
"""
LINE = b"a line of an ordinary training, about eighty characters long, step 123456\n"
SILENT_SECONDS = 10.0

Texts = Callable[[], contextlib.AbstractAsyncContextManager[AsyncIterator[str]]]


def workloads(running: Platform) -> tuple[uuid.UUID, uuid.UUID]:
    """Two workloads that run as far as the pages know, the second with a log of 200 MB."""
    fast, big = map(uuid.UUID, running.manage("shell", "-c", WORKLOADS).split()[-2:])
    with log_of(running, big).open("wb") as log:
        for _part in range(200):
            log.write(LINE * (2**20 // len(LINE)))
    return fast, big


def log_of(running: Platform, workload: uuid.UUID) -> Path:
    """Where a workload's output goes."""
    return running.home / "logs" / f"{workload}.log"


@contextlib.asynccontextmanager
async def by_socket(client: aiohttp.ClientSession, url: str) -> AsyncIterator[AsyncIterator[str]]:
    """Pieces of a log as a page gets them."""
    async with client.ws_connect(url, max_msg_size=0, compress=15) as ws:
        await ws.receive(timeout=SILENT_SECONDS)  # where it begins

        async def texts() -> AsyncIterator[str]:
            while True:
                message = await ws.receive(timeout=SILENT_SECONDS)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise Failed(f"the socket ended: {message}")
                yield json.loads(message.data)["text"]

        yield texts()


@contextlib.asynccontextmanager
async def by_tail(running: Platform, path: Path) -> AsyncIterator[AsyncIterator[str]]:
    """Pieces of a file as `tail -f` gives them."""
    path.touch()
    pipe = asyncio.subprocess.PIPE
    command = ["tail", "-c", "+1", "-f", str(path)]
    tail = await asyncio.create_subprocess_exec(*command, stdout=pipe, env=running.env)
    assert tail.stdout is not None
    stream = tail.stdout

    async def texts() -> AsyncIterator[str]:
        rest = b""
        while True:
            piece = rest + await asyncio.wait_for(stream.read(2**18), SILENT_SECONDS)
            whole = piece.rfind(b"\n") + 1
            rest = piece[whole:]
            yield piece[:whole].decode()

    try:
        yield texts()
    finally:
        tail.kill()
        await tail.wait()


async def delays(
    running: Platform, name: str, opened: Texts, log: Path, lines: int, seconds: float
) -> list[float]:
    """Seconds from the writing of each line to its arrival; Failed unless each came once."""
    numbers, late = [], []
    async with opened() as texts:
        command = [sys.executable, "-c", WRITER, str(log), str(lines), str(seconds)]
        writer = await asyncio.create_subprocess_exec(*command, env=running.env)
        try:
            with contextlib.suppress(TimeoutError):
                async for text in texts:
                    now = time.time()
                    for line in text.splitlines():
                        number, written, _rest = line.split(" ", 2)
                        numbers.append(int(number))
                        late.append(now - float(written))
                    if len(numbers) >= lines:
                        break
        finally:
            with contextlib.suppress(ProcessLookupError):
                writer.kill()
            await writer.wait()
    if numbers != list(range(lines)):
        missing, doubled = lines - len(set(numbers)), len(numbers) - len(set(numbers))
        order = "in order" if numbers == sorted(numbers) else "out of order"
        raise Failed(f"{name}: {missing} lines are missing, {doubled} doubled, {order}")
    print(f"{name}: {lines} lines in {seconds:g} s, each came once and in order")
    return late


async def shows_end(client: aiohttp.ClientSession, url: str) -> float:
    """Seconds until the end of a log is there."""
    began = time.perf_counter()
    async with by_socket(client, url) as texts:
        if not (await anext(texts)).endswith(LINE.decode()):
            raise Failed("the end of the big log is not its end")
    return time.perf_counter() - began


async def measure(running: Platform, lines: int, seconds: float) -> None:
    """All figures."""
    fast, big = workloads(running)
    headers = {"Origin": running.url, "Cookie": session(running, "bench")}
    address = running.url + "/ws/workloads/{}/log/"
    async with aiohttp.ClientSession(headers=headers) as client:
        ends = [await shows_end(client, address.format(big)) for _try in range(5)]
        hand_log = running.home / "logs" / "by-hand.log"
        hand = await delays(
            running, "tail -f", lambda: by_tail(running, hand_log), hand_log, lines, seconds
        )
        url, log = address.format(fast), log_of(running, fast)
        ours = await delays(
            running, "platform", lambda: by_socket(client, url), log, lines, seconds
        )
    spread("delay, tail -f", hand)
    spread("delay, platform", ours)
    verdict("p95 of the delay", p95(ours) * 1000, "ms", goal="under 500 ms", met=p95(ours) < 0.5)
    longest = max(ends) * 1000
    verdict("a log of 200 MB shows its end", longest, "ms", goal="under 1000 ms", met=longest < 1e3)
    memory = sum(process.memory_info().rss for process in web_processes(running)) / 1e6
    verdict("memory of the web process", memory, "MB", goal="under 300 MB", met=memory < 300)


def main(lines: int, seconds: float) -> None:
    """Measures on a platform of its own."""
    with platform() as running:
        running.register("bench")
        asyncio.run(measure(running, lines, seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    chosen = parser.parse_args()
    run(
        lambda: main(chosen.lines, chosen.seconds),
        "a fast log in a browser-like client and by tail -f, in turn",
    )
