"""What nodes measure: taken in, rolled up, forgotten in time."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from common.phrases import gettext as _
from nodes.models import Node, NodeSample, Workload
from nodes.services import checks
from nodes.services.clock import database_now
from nodes.services.hardware import ecc_note
from nodes.services.moves import ForeignWorkload

Span = NodeSample.Span
# How long rows of each span are kept. A node has at most about 3,000 rows, however long it runs.
KEEP = {
    Span.RAW: timedelta(hours=3),
    Span.MINUTE: timedelta(hours=26),
    Span.HOUR: timedelta(days=32),
}
# From which rows those of a span are made.
MADE_FROM = ((Span.MINUTE, Span.RAW), (Span.HOUR, Span.MINUTE))
RATES = ("network_receive_rate", "network_send_rate", "disk_read_rate", "disk_write_rate")
MEANS = ("cpu_percent", "memory_used_bytes", "disk_used_bytes", *RATES)
GPU_MEANS = ("percent", "memory_used_bytes", "watts")
GPU_MOST = ("temperature", "ecc_corrected", "ecc_uncorrected")
ORDINARY = {"power_cap"}  # a busy device is at its power limit; that is no trouble


@transaction.atomic
def sample_record(node_id: uuid.UUID, figures: Mapping[str, Any]) -> NodeSample:
    """Takes a measurement in: keys as of `nodes.machine.Load`, processes with their `workload`.

    Raises DomainError, and changes nothing, for figures that cannot be true, for a GPU that the
    node does not have and for a workload that is not on it. Raises `Node.DoesNotExist`.
    """
    node = Node.objects.present().get(pk=node_id)
    values = _checked(node, figures)
    now = database_now()
    sample = NodeSample.objects.create(node=node, at=now, **values)
    for load in values["gpus"]:
        if "ecc_uncorrected" in load:
            ecc_note(node, load["uuid"], load["ecc_uncorrected"], at=now)
    return sample


def _checked(node: Node, figures: Mapping[str, Any]) -> dict[str, Any]:
    memory = round(node.memory_bytes * checks.SLACK) or checks.MOST_BYTES
    disk = node.disk_bytes or checks.MOST_BYTES
    sizes = dict(node.gpus.filter(is_present=True).values_list("uuid", "memory_bytes"))
    gpus = [
        checks.gpu_load(entry, sizes)
        for entry in checks.listed("gpus", figures.get("gpus", []), most=checks.MOST_GPUS)
    ]
    if len({gpu["uuid"] for gpu in gpus}) < len(gpus):
        raise checks.Nonsense(_("A GPU was named twice."), field="gpus.uuid")
    _refuse_foreign_workloads(node, gpus)
    return {
        "cpu_percent": checks.number("cpu_percent", figures.get("cpu_percent"), high=100),
        "memory_used_bytes": checks.whole(
            "memory_used_bytes", figures.get("memory_used_bytes"), high=memory
        ),
        "disk_used_bytes": checks.whole(
            "disk_used_bytes", figures.get("disk_used_bytes"), high=disk
        ),
        "disks": checks.disks(figures.get("disks", [])),
        "gpus": gpus,
        **{name: checks.rate(name, figures.get(name)) for name in RATES},
    }


def _refuse_foreign_workloads(node: Node, gpus: Sequence[Mapping[str, Any]]) -> None:
    """A process belongs to a workload that has, or had, its place on this node."""
    named = {process.get("workload") for gpu in gpus for process in gpu["processes"]} - {None}
    if not named:
        return
    try:
        keys = {uuid.UUID(str(name)) for name in named}
    except ValueError:
        raise checks.Nonsense(
            _("“%(field)s” has to be the id of a workload.") % {"field": "gpus.processes.workload"},
            field="gpus.processes.workload",
        ) from None
    mine = set(Workload.objects.filter(pk__in=keys, node=node).values_list("pk", flat=True))
    if foreign := sorted(str(key) for key in keys - mine):
        raise ForeignWorkload(foreign[0], node.name)


def samples_roll(node_id: uuid.UUID) -> int:
    """Makes the rows of longer spans and forgets old ones. Returns how many rows went.

    May be repeated and may come late: it goes on where the last one ended, and only whole spans
    are made.
    """
    now = database_now()
    for span, source in MADE_FROM:
        _roll(node_id, span, source, now)
    return _forget(NodeSample.objects.filter(node_id=node_id), now)


def samples_forget() -> int:
    """Drops old rows of all nodes, also of those whose agents do not any more. Returns how many."""
    return _forget(NodeSample.objects.all(), database_now())


def _forget(rows: QuerySet[NodeSample], now: datetime) -> int:
    return sum(
        rows.filter(span=span, at__lt=now - length).delete()[0] for span, length in KEEP.items()
    )


def _roll(node_id: uuid.UUID, span: int, source: int, now: datetime) -> None:
    # A clock that ran ahead left rows in what is the future again: nothing goes on from them.
    rows = NodeSample.objects.filter(node_id=node_id, at__lte=now)
    newest = rows.filter(span=span).order_by("-at").values_list("at", flat=True).first()
    begin = newest + timedelta(seconds=span) if newest else now - KEEP[Span(source)]
    end = _floor(now, span)
    groups: dict[datetime, list[NodeSample]] = {}
    for row in rows.filter(span=source, at__gte=begin, at__lt=end).order_by("at"):
        groups.setdefault(_floor(row.at, span), []).append(row)
    made = [_mean_row(node_id, span, at, group) for at, group in groups.items()]
    NodeSample.objects.bulk_create(made, ignore_conflicts=True)


def _floor(moment: datetime, seconds: int) -> datetime:
    stamp = int(moment.timestamp())
    return datetime.fromtimestamp(stamp - stamp % seconds, UTC)


def _mean_row(node_id: uuid.UUID, span: int, at: datetime, rows: list[NodeSample]) -> NodeSample:
    values: dict[str, Any] = {}
    for name in MEANS:
        mean = _mean([getattr(row, name) for row in rows])
        values[name] = round(mean) if mean is not None and name.endswith("_bytes") else mean
    return NodeSample(
        node_id=node_id,
        span=span,
        at=at,
        disks=rows[-1].disks,
        gpus=_mean_gpus(rows),
        **values,
    )


def _mean_gpus(rows: list[NodeSample]) -> list[dict[str, Any]]:
    """Means of use, the greatest heat and counts, how it was throttled and for how much of it."""
    loads: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for load in row.gpus:
            loads.setdefault(str(load.get("uuid", load["index"])), []).append(load)
    found = []
    for key, group in loads.items():
        entry: dict[str, Any] = {"index": group[-1]["index"], "uuid": key}
        for names, join in ((GPU_MEANS, _mean), (GPU_MOST, _most)):
            for name in names:
                value = join([load.get(name) for load in group])
                if value is not None:
                    entry[name] = round(value) if name == "memory_used_bytes" else round(value, 1)
        throttled = {word for load in group for word in load.get("throttled", ())}
        entry["throttled"] = sorted(throttled)
        entry["throttled_percent"] = round(_mean([throttled_percent(load) for load in group]) or 0)
        found.append(entry)
    return sorted(found, key=lambda load: load["index"])


def throttled_percent(load: Mapping[str, Any]) -> float:
    """How much of a row's time its device was slowed down, other than by its power limit."""
    if "throttled_percent" in load:
        return float(load["throttled_percent"])
    return 100.0 if set(load.get("throttled", ())) - ORDINARY else 0.0


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _most(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
