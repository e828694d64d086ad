"""The curves of a node: its samples as lines, each span from the rows that are made for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

from common.phrases import gettext as _
from nodes.models import Node, NodeSample
from nodes.services.clock import database_now
from nodes.services.samples import throttled_percent

Span = NodeSample.Span
# How long each curve is, and of which rows it is drawn.
SPANS: dict[str, tuple[timedelta, Span]] = {
    "hour": (timedelta(hours=1), Span.RAW),
    "day": (timedelta(days=1), Span.MINUTE),
    "month": (timedelta(days=31), Span.HOUR),
}
POINTS = 360
MISSING_SECONDS = 90.0
Figures = Sequence[float | None]
Load = Mapping[str, Any]  # of a GPU, as in the samples


def _mean(values: Figures) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known else None


def _sum(values: Figures) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class _Line:
    """A figure of a sample, and what those of the samples that share a point become together."""

    name: str
    label: str
    read: Callable[[NodeSample], float | None]
    join: Callable[[Figures], float | None] = _mean


def curves(node: Node, span: str, of: str = "load") -> dict[str, Any]:
    """Lines over one of `SPANS` for `<c-chart>`; `of` is one of `CURVES`, nonsense the first."""
    length, source = SPANS.get(span, SPANS["hour"])
    unit, lines_of = CURVES.get(of, CURVES["load"])
    samples = _samples(node, source, length)
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
                "data": [line.join([line.read(sample) for sample in group]) for group in groups],
            }
            for line in lines_of(node, samples)
        ],
    }


def _samples(node: Node, source: int, length: timedelta) -> list[NodeSample]:
    """Rows of the source, and finer ones for the end that has not been rolled up yet."""
    samples: list[NodeSample] = []
    now = database_now()
    since = now - length
    for span in sorted((span for span in Span.values if span <= source), reverse=True):
        samples += node.samples.filter(span=span, at__range=(since, now)).order_by("at")
        if samples:
            since = samples[-1].at + timedelta(seconds=samples[-1].span)
    return samples


def _indexes(samples: list[NodeSample]) -> list[int]:
    return sorted({gpu["index"] for sample in samples for gpu in sample.gpus})


def _of_gpu(index: int, read: Callable[[Load], float | None]) -> Callable[..., float | None]:
    def of(sample: NodeSample) -> float | None:
        return next((read(gpu) for gpu in sample.gpus if gpu["index"] == index), None)

    return of


def _figure(name: str) -> Callable[[Load], float | None]:
    return lambda load: load.get(name)


def _each_gpu(samples: list[NodeSample], read: Callable[[Load], float | None]) -> list[_Line]:
    return [
        _Line(f"gpu{index}", _("GPU %(index)s") % {"index": index}, _of_gpu(index, read))
        for index in _indexes(samples)
    ]


def _share(figure: str, total: int) -> Callable[[NodeSample], float | None]:
    return lambda sample: 100 * getattr(sample, figure) / total if total else None


def _load(node: Node, samples: list[NodeSample]) -> list[_Line]:
    """Use in per cent: all GPUs together, each GPU where there are several, the machine."""
    each = _each_gpu(samples, _figure("percent"))
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
    return _each_gpu(samples, _figure("memory_used_bytes"))


def _heat(node: Node, samples: list[NodeSample]) -> list[_Line]:
    return _each_gpu(samples, _figure("temperature"))


def _throttled(node: Node, samples: list[NodeSample]) -> list[_Line]:
    return _each_gpu(samples, throttled_percent)


def _errors(node: Node, samples: list[NodeSample]) -> list[_Line]:
    """New memory errors of each GPU that counts them."""
    labels = {
        "corrected": _("GPU %(index)s, corrected"),
        "uncorrected": _("GPU %(index)s, uncorrected"),
    }
    return [
        _Line(f"gpu{index}_{which}", labels[which] % {"index": index}, rises.get, _sum)
        for index in _indexes(samples)
        for which in labels
        if (rises := _rises(samples, index, f"ecc_{which}"))
    ]


def _rises(samples: list[NodeSample], index: int, figure: str) -> dict[NodeSample, float]:
    """By how much a count has grown since the sample before; a count that was set back has not."""
    rises: dict[NodeSample, float] = {}
    before: dict[str, float] = {}
    for sample in samples:
        for gpu in sample.gpus:
            if gpu["index"] == index and figure in gpu:
                key, count = gpu.get("uuid"), gpu[figure]
                rises[sample] = max(0.0, count - before.get(key, count))
                before[key] = count
    return rises


def _power(node: Node, samples: list[NodeSample]) -> list[_Line]:
    return _each_gpu(samples, _figure("watts"))


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
    "throttled": ("%", _throttled),
    "errors": ("", _errors),
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
