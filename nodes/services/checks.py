"""What a node tells is looked at before anything of it is written down."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from common.errors import DomainError
from common.phrases import gettext as _
from nodes.nvml import THROTTLE_WORDS

MOST_GPUS = 64
MOST_PROCESSES = 256  # on one GPU
MOST_DISKS = 32
MOST_IMAGES = 1000
MOST_CPUS = 8192
MOST_BYTES = 2**52  # 4 PB; also what a disk may hold
MOST_RATE = 1e12  # bytes a second
MOST_FACTS = 65_536  # characters of JSON
HEAT = (-60, 200)  # °C
MOST_WATTS = 5000
SLACK = 1.1  # a machine may count a little more than it said it had
MOST_COUNT = 2**63 - 1


class Nonsense(DomainError):
    """What a node told cannot be true; nothing of it was taken over."""

    code = "nonsense"


def refuse(field: str, value: object, *, low: float, high: float) -> NoReturn:
    """Raises `Nonsense` for a figure out of its range or of a wrong type."""
    raise Nonsense(
        _("“%(field)s” cannot be %(value)s: a number from %(low)s to %(high)s was expected.")
        % {"field": field, "value": repr(value)[:60], "low": f"{low:g}", "high": f"{high:g}"},
        field=field,
    )


def number(field: str, value: object, *, low: float = 0, high: float = MOST_BYTES) -> float:
    """The figure, which is finite and in its range. Raises `Nonsense`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(field, value, low=low, high=high)
    if not math.isfinite(value) or not low <= value <= high:
        refuse(field, value, low=low, high=high)
    return value


def whole(field: str, value: object, *, low: int = 0, high: int = MOST_BYTES) -> int:
    """The same for figures that are counted."""
    if not isinstance(value, int):
        refuse(field, value, low=low, high=high)
    return int(number(field, value, low=low, high=high))


def text(field: str, value: object, *, longest: int) -> str:
    """A text that is no longer than that and holds nothing a database refuses."""
    if not isinstance(value, str) or len(value) > longest or "\x00" in value:
        raise Nonsense(
            _("“%(field)s” has to be a text of at most %(longest)s characters.")
            % {"field": field, "longest": longest},
            field=field,
        )
    return value


def listed(field: str, value: object, *, most: int) -> Sequence[Any]:
    """A list that is no longer than that."""
    if not isinstance(value, list | tuple) or len(value) > most:
        raise Nonsense(
            _("“%(field)s” has to be a list of at most %(most)s entries.")
            % {"field": field, "most": most},
            field=field,
        )
    return value


def mapping(field: str, value: object) -> Mapping[str, Any]:
    """An object with names."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise Nonsense(_("“%(field)s” has to be an object.") % {"field": field}, field=field)
    return value


def facts(value: object) -> dict[str, Any]:
    """Versions and the like: any JSON, but not much of it. Numbers are finite."""
    found = dict(mapping("facts", value))
    try:
        size = len(json.dumps(found, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        size = MOST_FACTS + 1
    if size > MOST_FACTS or "\\u0000" in json.dumps(found, default=str):
        raise Nonsense(
            _("“facts” has to be JSON of at most %(longest)s characters.")
            % {"longest": MOST_FACTS},
            field="facts",
        )
    for name in ("images", "missing_images", "gpu_engines"):
        for entry in listed(f"facts.{name}", found.get(name, []), most=MOST_IMAGES):
            text(f"facts.{name}", entry, longest=40)
    return found


def engines(value: object) -> list[str]:
    """Names of engines."""
    return [text("engines", name, longest=40) for name in listed("engines", value, most=100)]


def disks(value: object) -> list[dict[str, Any]]:
    """Paths with their size and use."""
    found = []
    for entry in listed("disks", value, most=MOST_DISKS):
        disk = mapping("disks", entry)
        total = whole("disks.total_bytes", disk.get("total_bytes"), low=1)
        found.append(
            {
                "path": text("disks.path", disk.get("path"), longest=300),
                "total_bytes": total,
                "used_bytes": whole("disks.used_bytes", disk.get("used_bytes"), high=total),
            }
        )
    return found


def rate(field: str, value: object) -> float | None:
    """Bytes a second; None where it was not measured."""
    return None if value is None else number(field, value, high=MOST_RATE)


def gpu_load(value: object, sizes: Mapping[str, int]) -> dict[str, Any]:
    """One GPU's figures. `sizes` holds the memory of the node's own GPUs by UUID."""
    entry = mapping("gpus", value)
    uuid = text("gpus.uuid", entry.get("uuid"), longest=80)
    if uuid not in sizes:
        raise Nonsense(
            _("This node has no GPU %(uuid)s. It tells of its GPUs when its agent starts.")
            % {"uuid": uuid},
            field="gpus.uuid",
            code="gpu_unknown",
        )
    most = max(1, round(sizes[uuid] * SLACK))
    limits: dict[str, tuple[float, float]] = {
        "percent": (0, 100),
        "temperature": HEAT,
        "watts": (0, MOST_WATTS),
        "watts_limit": (0, MOST_WATTS),
    }
    found: dict[str, Any] = {
        "index": whole("gpus.index", entry.get("index"), high=1000),
        "uuid": uuid,
        "memory_used_bytes": whole(
            "gpus.memory_used_bytes", entry.get("memory_used_bytes"), high=most
        ),
    }
    for name, (low, high) in limits.items():
        if entry.get(name) is not None:
            found[name] = number(f"gpus.{name}", entry[name], low=low, high=high)
    for name in ("ecc_corrected", "ecc_uncorrected"):
        if entry.get(name) is not None:
            found[name] = whole(f"gpus.{name}", entry[name], high=MOST_COUNT)
    throttled = listed("gpus.throttled", entry.get("throttled", []), most=len(THROTTLE_WORDS))
    if not all(isinstance(word, str) and word in THROTTLE_WORDS for word in throttled):
        raise Nonsense(
            _("“%(field)s” has to be some of: %(words)s.")
            % {"field": "gpus.throttled", "words": ", ".join(sorted(THROTTLE_WORDS))},
            field="gpus.throttled",
        )
    found["throttled"] = list(throttled)
    processes = listed("gpus.processes", entry.get("processes", []), most=MOST_PROCESSES)
    found["processes"] = [_process(process, most) for process in processes]
    return found


def _process(value: object, most: int) -> dict[str, Any]:
    entry = mapping("gpus.processes", value)
    found: dict[str, Any] = {
        "pid": whole("gpus.processes.pid", entry.get("pid"), low=1, high=2**31)
    }
    if entry.get("memory_used_bytes") is not None:
        found["memory_used_bytes"] = whole(
            "gpus.processes.memory_used_bytes", entry["memory_used_bytes"], high=most
        )
    if entry.get("percent") is not None:
        found["percent"] = number("gpus.processes.percent", entry["percent"], high=100)
    if entry.get("workload") is not None:
        found["workload"] = text("gpus.processes.workload", entry["workload"], longest=36)
    return found
