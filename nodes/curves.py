"""The curves of a node: its samples as lines, each span from the rows that are made for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.utils import timezone

from common.phrases import gettext as _
from nodes.models import Node, NodeSample

Span = NodeSample.Span
# How long each curve is, and of which rows it is drawn.
SPANS: dict[str, tuple[timedelta, Span]] = {
    "hour": (timedelta(hours=1), Span.RAW),
    "day": (timedelta(days=1), Span.MINUTE),
    "month": (timedelta(days=31), Span.HOUR),
}
POINTS = 360
MISSING_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    label: str
    read: Callable[[NodeSample], float | None]


def curves(node: Node, span: str, of: str = "load") -> dict[str, Any]:
    """Lines over one of `SPANS` for `<c-chart>`; `of` is one of `CURVES`, nonsense the first."""
    length, source = SPANS.get(span, SPANS["hour"])
    unit, lines_of = CURVES.get(of, CURVES["load"])
    samples = _samples(node, source, timezone.now() - length)
    seconds = max(1.0, length.total_seconds() / POINTS)
    groups = [
        list(group)
        for _key, group in groupby(samples, key=lambda one: int(one.at.timestamp() // seconds))
    ]
    groups = _with_gaps(groups, max(MISSING_SECONDS, 3 * seconds))
    return {
        "x": _moments(groups),
        "x_kind": "time",
        "unit": unit,
        "gaps": True,
        "series": [
            {
                "name": line.name,
                "label": line.label,
                "data": [_mean([line.read(sample) for sample in group]) for group in groups],
            }
            for line in lines_of(node, samples)
        ],
    }


def _samples(node: Node, source: int, since: datetime) -> list[NodeSample]:
    """Rows of the source, and finer ones for the end that has not been rolled up yet."""
    samples: list[NodeSample] = []
    for span in sorted((span for span in Span.values if span <= source), reverse=True):
        samples += node.samples.filter(span=span, at__gte=since).order_by("at")
        if samples:
            since = samples[-1].at + timedelta(seconds=samples[-1].span)
    return samples


def _indexes(samples: list[NodeSample]) -> list[int]:
    return sorted({gpu["index"] for sample in samples for gpu in sample.gpus})


def _of_gpu(index: int, figure: str) -> Callable[[NodeSample], float | None]:
    def read(sample: NodeSample) -> float | None:
        for gpu in sample.gpus:
            if gpu["index"] == index:
                value: float | None = gpu.get(figure)
                return value
        return None

    return read


def _each_gpu(samples: list[NodeSample], figure: str) -> list[_Line]:
    return [
        _Line(f"gpu{index}", _("GPU %(index)s") % {"index": index}, _of_gpu(index, figure))
        for index in _indexes(samples)
    ]


def _share(figure: str, total: int) -> Callable[[NodeSample], float | None]:
    return lambda sample: 100 * getattr(sample, figure) / total if total else None


def _load(node: Node, samples: list[NodeSample]) -> list[_Line]:
    """Use in per cent: all GPUs together, each GPU where there are several, the machine."""
    each = _each_gpu(samples, "percent")
    reads = [line.read for line in each]
    whole = [_Line("gpu", _("GPUs"), lambda sample: _mean([read(sample) for read in reads]))]
    return [
        *(whole if each else []),
        *(each if len(each) > 1 else []),
        _Line("cpu", _("CPU"), lambda sample: sample.cpu_percent),
        _Line("memory", _("Memory"), _share("memory_used_bytes", node.memory_bytes)),
        _Line("disk", _("Disk"), _share("disk_used_bytes", node.disk_bytes)),
    ]


def _memory(node: Node, samples: list[NodeSample]) -> list[_Line]:
    return _each_gpu(samples, "memory_used_bytes")


def _heat(node: Node, samples: list[NodeSample]) -> list[_Line]:
    return _each_gpu(samples, "temperature")


def _power(node: Node, samples: list[NodeSample]) -> list[_Line]:
    return _each_gpu(samples, "watts")


def _traffic(node: Node, samples: list[NodeSample]) -> list[_Line]:
    return [
        _Line("receive", _("Network, in"), lambda sample: sample.network_receive_rate),
        _Line("send", _("Network, out"), lambda sample: sample.network_send_rate),
        _Line("read", _("Disk, read"), lambda sample: sample.disk_read_rate),
        _Line("write", _("Disk, written"), lambda sample: sample.disk_write_rate),
    ]


# What can be drawn: the unit, and the lines that the node's samples give.
CURVES: dict[str, tuple[str, Callable[[Node, list[NodeSample]], list[_Line]]]] = {
    "load": ("%", _load),
    "memory": ("bytes", _memory),
    "heat": ("°C", _heat),
    "power": ("W", _power),
    "traffic": ("bytes/s", _traffic),
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


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known else None
