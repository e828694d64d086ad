"""Watches a platform's web process while a benchmark works: its memory, and how soon it answers."""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from running import Failed, Platform, p95, verdict, web_processes

MB = 1_000_000
LIMIT_MB = 300
PAGE_SECONDS = 0.2
SAMPLE_SECONDS = 0.1


@dataclass
class Phase:
    """What was seen while a part of the work was done; bytes and seconds."""

    name: str
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    rss: int = 0
    pss: int = 0
    answers: list[float] = field(default_factory=list)

    def line(self) -> str:
        """A line of the table."""
        late = f"{p95(self.answers) * 1000:7.0f} ms" if self.answers else "      –"
        return (
            f"{self.name:<34} {self.seconds:7.1f} s {self.rss / MB:7.0f} MB"
            f" {self.pss / MB:7.0f} MB {late}"
        )


class Watch:
    """Samples the web process and asks it for a simple page, until the benchmark ends."""

    def __init__(self, running: Platform, cookie: str) -> None:
        self.running = running
        self.cookie = cookie
        self.processes = web_processes(running)
        self.current = Phase("start")
        self.phases: list[Phase] = []
        for loop in (self._sample, self._ask):
            threading.Thread(target=loop, daemon=True).start()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """What happens inside counts for a phase of its own."""
        for process in self.processes:
            with contextlib.suppress(OSError):
                Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # forgets the highest RSS
        self.current = phase = Phase(name)
        yield phase
        phase.seconds = time.monotonic() - phase.began
        phase.rss = max(phase.rss, sum(map(_highest_rss, self.processes)))
        self.phases.append(phase)
        print(phase.line(), flush=True)
        now = web_processes(self.running)[0]
        if now != self.processes[0]:
            raise Failed(f"the web process ended and was started again: {self.processes[0]}")

    def _sample(self) -> None:
        while True:
            phase = self.current
            with contextlib.suppress(psutil.Error):
                held = [process.memory_full_info() for process in self.processes]
                phase.rss = max(phase.rss, sum(one.rss for one in held))
                phase.pss = max(phase.pss, sum(one.pss for one in held))
            time.sleep(SAMPLE_SECONDS)

    def _ask(self) -> None:
        while True:
            phase, began = self.current, time.monotonic()
            with contextlib.suppress(OSError, http.client.HTTPException):
                with answer(self.running, "/jobs/", cookie=self.cookie) as response:
                    response.read()
                phase.answers.append(time.monotonic() - began)
            time.sleep(SAMPLE_SECONDS)


def _highest_rss(process: psutil.Process) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def answer(
    running: Platform, path: str, *, key: str = "", cookie: str = ""
) -> Iterator[http.client.HTTPResponse]:
    """A successful answer that is not read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=300)
    headers = {"Cookie": cookie} if cookie else {"Authorization": f"Bearer {key}"}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        if response.status != 200:
            raise Failed(f"GET {path}: {response.status} {response.read(1000)!r}")
        yield response
    finally:
        connection.close()


def report(watch: Watch, idle: Phase) -> None:
    """The verdicts."""
    most = max(watch.phases, key=lambda phase: phase.rss)
    print(f"the most, in “{most.name}”: {most.rss / idle.rss:.2f} times the idle process")
    rss, pss = most.rss / MB, max(phase.pss for phase in watch.phases) / MB
    goal = f"under {LIMIT_MB} MB"
    verdict("most memory, RSS", rss, "MB", goal=goal, met=rss < LIMIT_MB)
    verdict("most memory, PSS", pss, "MB", goal=goal, met=pss < LIMIT_MB)
    sending = watch.phases[1]
    late, calm = p95(sending.answers), p95(idle.answers)
    print(f"a page during the upload: {late / calm:.1f} times the idle p95 of {calm * 1000:.0f} ms")
    wanted = f"under {PAGE_SECONDS * 1000:.0f} ms"
    met = late < PAGE_SECONDS
    verdict("p95 of a page during the upload", late * 1000, "ms", goal=wanted, met=met)
