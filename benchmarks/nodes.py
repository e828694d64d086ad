"""Many nodes and a long queue: what pages, heartbeats and freed places make of them.

Starts PostgreSQL, the platform and all nodes on this machine, each node with its real worker and
agent, and measures one of them first, alone and idle. Workloads are processes that sleep and say
that they have finished; behind them in the queue wait real trainings, which never get their turn.
While workloads end and follow each other, a signed-in person looks at one page after the other.
Everything keeps to two processors, the person too.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from cluster import Cluster, Node, bytes_of, cluster, seconds_of, tree
from guard import belonging
from running import Failed, demo_job, p95, run, session, spread, verdict

PROCESSORS = 2
MEMORY_BYTES = 8 * 2**30
SHORTEST, LONGEST = 60, 300  # seconds that a workload sleeps
TRAININGS = 60  # of those that wait
IDLE_SECONDS = 60.0
SETTLE_SECONDS = 30.0
FILL_SECONDS = 1200.0
BEAT_SECONDS, GRACE_SECONDS = 5.0, 60.0  # between two beats; until a node counts as silent
PAUSE_SECONDS = 0.2  # between two pages
LOOK_SECONDS = 0.5  # between two looks at the heartbeats
HANDED_SECONDS = 2.0

LIMIT = """
from accounts.models import Project
Project.objects.filter(personal_of__username="bench").update(max_active_jobs=30000)
"""
FILL = """
import random
from accounts.models import User
from nodes.services import workload_submit
user = User.objects.get(username="bench")
chance = random.Random(1)
for number in range({count}):
    workload_submit(
        project=user.personal_project, created_by=user, name=f"sleeper {{number}}",
        engine="sleeper", verb="sleep", inputs={{}}, cpus={cpus!r}, memory_bytes=2**20,
        files={{"seconds": str(chance.uniform({least}, {most}))}},
    )
"""
RUNNING = "select count(*) from nodes_workload where state = 'running'"
WAITING = "select count(*) from nodes_workload where state = 'waiting'"


def idle(node: Node) -> None:
    """What a node without work costs."""
    time.sleep(SETTLE_SECONDS)
    parts = {"worker": tree(node.worker), "agent": tree(node.agent)}
    before = {name: seconds_of(processes) for name, processes in parts.items()}
    time.sleep(IDLE_SECONDS)
    shares = {
        name: 100 * (seconds_of(processes) - before[name]) / IDLE_SECONDS
        for name, processes in parts.items()
    }
    sizes = {name: bytes_of(processes) / 2**20 for name, processes in parts.items()}
    for name, processes in parts.items():
        print(
            f"idle {name}: {shares[name]:.2f} % of a core, {sizes[name]:.0f} MB"
            f" in {len(processes)} processes",
            flush=True,
        )
    share, size = sum(shares.values()), sum(sizes.values())
    worker = shares["worker"]
    verdict("idle worker", worker, "% of a core", goal="under 1 %", met=worker < 1)
    verdict("idle worker", sizes["worker"], "MB", goal="under 150 MB", met=sizes["worker"] < 150)
    print(f"idle worker and agent: {share:.2f} % of a core, {size:.0f} MB", flush=True)


def fill(found: Cluster, options: argparse.Namespace, key: str, names: list[str]) -> None:
    """Submits all workloads, lets the nodes join and waits until as many run as should.

    In this order as many wait as should when the measurement begins: what is submitted under full
    load takes minutes, in which hundreds end.
    """
    running, slots = found.running, options.running / options.nodes
    sleepers = options.running + options.waiting - TRAININGS
    cpus = PROCESSORS / slots
    began = time.monotonic()
    script = FILL.format(count=sleepers, cpus=cpus, least=SHORTEST, most=LONGEST)
    running.manage("shell", "--verbosity", "0", "-c", script)
    seconds = time.monotonic() - began
    print(f"submitted: {sleepers} workloads, {1000 * seconds / sleepers:.0f} ms each", flush=True)
    body = demo_job(running, key)
    for number in range(TRAININGS):
        running.call("POST", "/api/v1/jobs/", {**body, "name": f"training {number}"}, key)
    found.add(names)
    # Some of them end and follow each other at every moment.
    found.until(RUNNING, int(0.95 * options.running), FILL_SECONDS)


@dataclass
class Person:
    """Somebody who is signed in and looks at pages."""

    port: int
    cookie: str
    pages: dict[str, str]
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def look(self, until: float) -> None:
        """One page after the other. Failed when one does not come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for name, path in itertools.cycle(self.pages.items()):
            if time.monotonic() > until:
                break
            began = time.perf_counter()
            connection.request("GET", path, headers={"Cookie": self.cookie})
            response = connection.getresponse()
            response.read()
            self.seconds[name].append(time.perf_counter() - began)
            if response.status != 200:
                raise Failed(f"{path} answers {response.status}")
            time.sleep(PAUSE_SECONDS)

    def tell(self) -> None:
        """How long the pages took."""
        for name, seconds in self.seconds.items():
            spread(f"page: {name}", seconds)
        late = 1000 * max(map(p95, self.seconds.values()))
        verdict("p95 of the slowest page", late, "ms", goal="under 300 ms", met=late < 300)


class Beats:
    """Notes every heartbeat of every node, as the database has it."""

    def __init__(self, found: Cluster) -> None:
        self._cluster = found
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.at: dict[str, list[float]] = defaultdict(list)
        self._thread.start()

    def _watch(self) -> None:
        query = "select name, extract(epoch from heartbeat_at)::float from nodes_node"
        while not self._over.wait(LOOK_SECONDS):
            for name, beat in self._cluster.rows(query):
                if self.at[name][-1:] != [beat]:
                    self.at[name].append(beat)

    def end(self) -> None:
        """Stops watching."""
        self._over.set()
        self._thread.join()

    def tell(self) -> None:
        """Whether every node beat when it should."""
        gaps = [b - a for seen in self.at.values() for a, b in itertools.pairwise(seen)]
        late = sum(gap > 2 * BEAT_SECONDS for gap in gaps)
        print(f"heartbeats: {len(gaps)} of {len(self.at)} nodes", flush=True)
        verdict("missed heartbeats", late, "", goal="none", met=late == 0)
        goal = f"under {GRACE_SECONDS:.0f} s"
        verdict("longest silence", max(gaps), "s", goal=goal, met=max(gaps) < GRACE_SECONDS)


def everything(home: Path) -> list[psutil.Process]:
    """All of the platform, and the database server's children, which write over their labels."""
    found = set(belonging(home))
    for process in tuple(found):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "postgres":
                found.update(process.children())
    return list(found)


class Shares:
    """Who uses the processors meanwhile; what came and went between two looks is left out."""

    PARTS = (
        ("node_agent", "agents"),
        ("qcluster", "workers"),
        ("shim.py", "supervisors"),
        ("postgres", "database"),
        ("sleep", "workloads"),
        ("asgi", "web process"),
    )

    def __init__(self, found: Cluster) -> None:
        self._cluster = found
        self._began, self._before = time.monotonic(), self._seconds()

    def _seconds(self) -> dict[psutil.Process, float]:
        found = {}
        for process in everything(self._cluster.running.home):
            with contextlib.suppress(psutil.NoSuchProcess):
                found[process] = seconds_of([process])
        return found

    def tell(self) -> None:
        """Prints a share of one processor for each part of the platform."""
        passed = time.monotonic() - self._began
        used: dict[str, float] = defaultdict(float)
        for process, seconds in self._seconds().items():
            with contextlib.suppress(psutil.NoSuchProcess):
                command = " ".join(process.cmdline())
                part = next((name for mark, name in self.PARTS if mark in command), "others")
                used[part] += seconds - self._before.get(process, 0.0)
        for part, seconds in sorted(used.items(), key=lambda one: -one[1]):
            print(f"processor time of {part}: {100 * seconds / passed:.0f} %", flush=True)


def handed_on(found: Cluster, slots: int, since: float, until: float) -> None:
    """How soon a place that became free was given to the next workload, and how soon that ran.

    A node never holds more than its places: the first workloads fill them, and each later one
    follows one that ended, in the same order.
    """
    query = """
        select id::text, epoch, node_id, extract(epoch from placed_at)::float, state, outcome
        from nodes_workload where node_id is not null order by placed_at
    """
    now = time.time()
    placed, ended = defaultdict(list), defaultdict(list)
    for workload, epoch, node, at, state, outcome in found.rows(query):
        folder = found.running.home / "output" / workload
        placed[node].append((at, _moment(folder / f"process-{epoch}.json", "started_at") or now))
        if state == "ended":
            if outcome != "ok":
                raise Failed(f"the workload {workload} ended with {outcome}")
            ended[node].append(_moment(folder / f"exit-{epoch}.json", "ended_at"))
    given, runs = [], []
    for node, ends in ended.items():
        followers = placed[node][slots:]
        for number, free in enumerate(sorted(ends)):
            if since <= free <= until:
                at, start = followers[number] if number < len(followers) else (now, now)
                given.append(at - free)
                runs.append(start - free)
    if not given:
        raise Failed("no place became free: measure for longer")
    spread("free place → given again", given)
    spread("free place → next process runs", runs)
    for name, value in (("p95", p95(given)), ("longest", max(given))):
        goal = f"within {HANDED_SECONDS:.0f} s"
        verdict(f"free place, {name}", value, "s", goal=goal, met=value <= HANDED_SECONDS)


def _moment(path: Path, name: str) -> float:
    """A time in a workload's file; 0 where there is none yet."""
    try:
        return float(json.loads(path.read_text())[name])
    except FileNotFoundError:
        return 0.0


def main(options: argparse.Namespace) -> None:
    """Starts everything, measures, and prints."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])
    names = [f"node-{number:02}" for number in range(options.nodes)]
    with cluster(options.nodes) as found:
        running = found.running
        found.add(names[1:2])
        idle(found.nodes[0])
        running.start()
        key = running.register("bench")
        running.manage("shell", "--verbosity", "0", "-c", LIMIT)
        fill(found, options, key, names[2:])
        node = found.rows("select id::text from nodes_node order by name limit 1")[0][0]
        pages = {
            "dashboard": "/",
            "jobs": "/jobs/",
            "nodes": "/nodes/",
            "a node": f"/nodes/{node}/",
            "queue": "/api/v1/workloads/?state=waiting",
        }
        person = Person(running.port, session(running, "bench"), pages)
        time.sleep(SETTLE_SECONDS)
        print(f"running {found.rows(RUNNING)[0][0]}, waiting {found.rows(WAITING)[0][0]}")
        psutil.cpu_percent()
        shares, beats, since = Shares(found), Beats(found), time.time()
        try:
            person.look(time.monotonic() + options.seconds)
        finally:
            beats.end()
        until, busy = time.time(), psutil.cpu_percent()
        print(f"running {found.rows(RUNNING)[0][0]}, waiting {found.rows(WAITING)[0][0]}")
        print(f"load {os.getloadavg()[0]:.1f}, the machine's processors busy {busy:.0f} %")
        shares.tell()
        time.sleep(5 * HANDED_SECONDS)
        person.tell()
        beats.tell()
        handed_on(found, options.running // options.nodes, since, until)
        size = bytes_of(everything(running.home))
        verdict("memory", size / 2**30, "GB", goal="under 8 GB", met=size < MEMORY_BYTES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--running", type=int, default=500, help="workloads that run at a time")
    parser.add_argument("--waiting", type=int, default=5000, help="workloads that wait, at first")
    parser.add_argument("--seconds", type=int, default=180, help="how long the pages are looked at")
    wanted = parser.parse_args()
    if wanted.nodes < 2 or wanted.running < wanted.nodes or wanted.waiting < TRAININGS:
        parser.error(f"at least 2 nodes, a workload on each, and {TRAININGS} that wait")
    run(
        lambda: main(wanted),
        f"{wanted.running} running and {wanted.waiting} waiting workloads on {wanted.nodes} nodes",
    )
