"""The curves of a node: its samples, thinned to what a screen can show."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from nodes.models import Node, NodeSample

SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=31)}
POINTS = 360
MISSING_SECONDS = 90.0


def curves(node: Node, span: str) -> dict[str, Any]:
    """Percentages of CPU, memory, disk and each GPU over a span of `SPANS`, for `<c-chart>`."""
    length = SPANS.get(span, SPANS["hour"])
    now = timezone.now()
    samples = list(node.samples.filter(at__gte=now - length).order_by("at"))
    seconds = max(1.0, length.total_seconds() / POINTS)
    groups = [
        list(group)
        for _key, group in groupby(samples, key=lambda one: int(one.at.timestamp() // seconds))
    ]
    groups = _with_gaps(groups, max(MISSING_SECONDS, 3 * seconds))
    series: list[dict[str, Any]] = []
    indexes = sorted({gpu["index"] for sample in samples[-1:] for gpu in sample.gpus})
    if indexes:
        data = [_mean([_gpu(one, index) for one in group for index in indexes]) for group in groups]
        series.append({"name": "gpu", "label": _("GPUs"), "data": data})
    for index in indexes if len(indexes) > 1 else []:
        name = _("GPU %(index)s") % {"index": index}
        data = [_mean([_gpu(sample, index) for sample in group]) for group in groups]
        series.append({"name": f"gpu{index}", "label": name, "data": data})
    cpu = [_mean([sample.cpu_percent for sample in group]) for group in groups]
    series.append({"name": "cpu", "label": _("CPU"), "data": cpu})
    for key, label, total in (
        ("memory", _("Memory"), node.memory_bytes),
        ("disk", _("Disk"), node.disk_bytes),
    ):
        used = [[getattr(sample, f"{key}_used_bytes") for sample in group] for group in groups]
        data = [
            _mean([100 * value / total for value in values]) if total else None for values in used
        ]
        series.append({"name": key, "label": label, "data": data})
    return {
        "x": _moments(groups),
        "x_kind": "time",
        "unit": "%",
        "gaps": True,
        "series": series,
    }


def _with_gaps(groups: list[list[NodeSample]], seconds: float) -> list[list[NodeSample]]:
    """An empty group wherever nothing was measured for so long: the line breaks there."""
    out: list[list[NodeSample]] = []
    for group in groups:
        if out and (group[0].at - out[-1][-1].at).total_seconds() > seconds:
            out.append([])
        out.append(group)
    return out


def _moments(groups: list[list[NodeSample]]) -> list[int]:
    """When each group begins, in seconds; a gap begins a second after what precedes it."""
    moments: list[int] = []
    for group in groups:
        moments.append(int(group[0].at.timestamp()) if group else moments[-1] + 1)
    return moments


def _gpu(sample: NodeSample, index: int) -> float | None:
    for gpu in sample.gpus:
        if gpu["index"] == index:
            percent: float | None = gpu.get("percent")
            return percent
    return None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known else None
