"""Whether every workload ended once, rightly and completely, and nothing of it is left."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from docker.errors import DockerException
from requests.exceptions import RequestException

from tests.chaos.world import Expectation, World

ORPHAN_SECONDS = 60.0
WELL = Expectation({"ok": ""})


class Watch:
    """Looks at the nodes while they are struck. A node that is struck or away tells nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since: dict[tuple[str, str], float] = {}  # what was left behind, and since when
        self.seen: set[str] = set()  # the workloads that it saw running
        self.orphaned: set[tuple[str, str]] = set()
        self.doubled: set[str] = set()

    def look(self, quiet: bool) -> None:
        """Compares what runs with what should; `quiet` while nothing is struck."""
        from nodes.models import Lease, Workload

        runs = list(self._runs())
        counted = Counter(workload for _node, workload, alive in runs if alive)
        self.seen |= counted.keys()
        self.doubled |= {workload for workload, count in counted.items() if count > 1}
        active = {
            (name, str(pk))
            for name, pk in Workload.objects.active().values_list("node__name", "pk")
        }
        left = {(node, workload) for node, workload, _alive in runs} - active
        leases = Lease.objects.filter(released_at=None, workload__state="ended")
        left |= {("lease", str(pk)) for pk in leases.values_list("workload_id", flat=True)}
        now = time.monotonic()
        self._since = {} if not quiet else {one: self._since.get(one, now) for one in left}
        self.orphaned |= {one for one, since in self._since.items() if now - since > ORPHAN_SECONDS}

    def sees_left(self) -> bool:
        """Whether something of what has ended was still there at the last look."""
        return bool(self._since)

    def _runs(self) -> Iterator[tuple[str, str, bool]]:
        """Node, workload and whether it lives, of all containers and supervisors."""
        for node in self._world.nodes:
            if not node.is_on:
                continue
            if not node.contained:
                yield from ((node.name, one["TRAINER_WORKLOAD"], True) for one in node.processes())
                continue
            try:
                found = node.client().containers.list(all=True, ignore_removed=True)
            except (DockerException, RequestException):
                continue
            for one in found:
                labels = one.labels
                if "trainer.workload" in labels:
                    yield node.name, labels["trainer.workload"], one.status == "running"


def audit(world: World, watch: Watch) -> dict[str, list[str]]:
    """What is wrong, by kind; all empty when all is well."""
    from accounts.models import Event
    from nodes.models import Lease, Workload

    found: dict[str, list[str]] = {"lost": [], "doubled": [], "orphaned": [], "holes": []}
    rows = {str(row.pk): row for row in Workload.objects.filter(pk__in=world.submitted)}
    found["lost"] += [f"{pk} is not in the database" for pk in set(world.submitted) - set(rows)]
    for pk, row in rows.items():
        wished = world.expected.get(pk, WELL)
        excused = [one.outcomes for one in world.excuses if pk in one.workloads]
        allowed = set(wished.reasons).union(*excused)
        if row.state != "ended":
            found["lost"].append(f"{pk} is {row.state} on {row.node}: {row.reason}")
        elif row.outcome not in allowed:
            found["lost"].append(f"{pk} on {row.node} ended as {row.outcome}: {row.reason}")
        elif wished.reasons.get(row.outcome, "") not in row.reason:
            found["lost"].append(f"{pk} ended as {row.outcome}, but only said: {row.reason}")
        ends = Event.objects.of(row).filter(verb="state", new="ended").count()
        if ends > 1:
            found["doubled"].append(f"{pk} ended {ends} times")
        wanted = json.loads(row.files["config.yaml"])["steps"]
        for what, steps in (("curve", _curve(row)), ("log", _log(row))):
            if sorted(set(steps)) != sorted(steps):
                found["doubled"].append(f"{pk}: the {what} has steps twice")
            whole = list(range(1, (wanted if row.outcome == "ok" else len(set(steps))) + 1))
            if sorted(set(steps)) != whole:
                found["holes"].append(
                    f"{pk}, {row.outcome}: the {what} has {len(steps)} of {wanted}"
                )
    if not watch.seen:
        found["doubled"].append("nothing was seen running, so nobody can say")
    found["doubled"] += [f"{one} ran twice at the same time" for one in watch.doubled]
    found["orphaned"] += [f"{what} of {pk}" for what, pk in watch.orphaned]
    held = Lease.objects.filter(released_at=None).exclude(workload__state__in=Workload.ACTIVE)
    found["orphaned"] += [f"lease of {one.workload_id}" for one in held]
    return found


def _reports(row: Any) -> list[dict[str, Any]]:
    """Without half a line, the last of a workload whose disk was full; within, it is a hole."""
    path, found = row.metrics_path, []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def _curve(row: Any) -> list[int]:
    return [line["step"] for line in _reports(row) if line["kind"] == "log"]


def _log(row: Any) -> list[int]:
    path = row.log_path
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith("step ")]


def training(world: World) -> list[str]:
    """What is wrong with the training that was hit."""
    if not world.job:
        return []
    job = world.platform.call("GET", world.job_path, key=world.key)
    points = world.platform.call("GET", f"{world.job_path}metrics/", key=world.key)["points"]
    steps = [point["step"] for point in points if "loss" in point["values"]]
    print(
        f"training: {job['state']} after {world.job.get('hits', 0)} hits in"
        f" {len(job['attempts'])} attempts, {len(steps)} of {job['total_steps']} steps in one curve"
    )
    if job["state"] != "succeeded":
        return [f"the training is {job['state']}: {job['failure_line']}"]
    if steps != list(range(1, job["total_steps"] + 1)):
        return [f"the curve of the training has {len(steps)} points of {job['total_steps']}"]
    return _overlaps(job["id"])


def _overlaps(job: str) -> list[str]:
    """Which attempt of a job still reported when the next one did already."""
    from jobs.models import Attempt

    found, before = [], 0.0
    for attempt in Attempt.objects.filter(job=job).select_related("workload"):
        times = [line["time"] for line in _reports(attempt.workload)]
        if times and min(times) < before:
            found.append(f"attempt {attempt.number} ran while the one before it still did")
        before = max([before, *times])
    return found
