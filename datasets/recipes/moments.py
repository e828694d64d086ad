"""What puts rows in order: numbers, and times as exports write them."""

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Moment = tuple[int, float]  # whole and fraction of a number; microseconds since 1970 of a time

_NUMBER = re.compile(r"[+-]?[0-9]{1,19}(?:\.[0-9]{1,19})?")
_TIME = re.compile(
    r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?"
    r"(?:[T,\s]{1,3}(?P<noon>上午|下午)?(?P<hour>[0-9]{1,2})[:：时点](?P<minute>[0-9]{1,2})"
    r"(?:[:：分](?P<second>[0-9]{1,2})(?:[.,](?P<part>[0-9]{1,9}))?秒?|分)?"
    r"\s?(?P<half>[AaPp][Mm])?"
    r"\s?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
# Without anything between. As numbers they would be milliseconds of 1976, or of the year 2600.
_COMPACT = re.compile(r"((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63
_UNITS = (
    (1e8, 1.0),
    (1e11, 1e3),
    (1e14, 1e6),
)  # from when on a number counts such parts of seconds
_END = 1e17


def moment_of(cell: Any) -> Moment | None:
    """The cell as a moment; None when it is neither a number nor a time.

    Times begin with the year: 2024-01-31 09:05:00, 2024/1/31 9:05, 2024年1月31日 9:05, with
    fractions, AM, PM and a zone; one without a zone is taken as UTC. So are 20240131090500 and
    202401310905, as text or number.
    """
    if isinstance(cell, str | int) and (compact := _COMPACT.fullmatch(str(cell).strip())):
        return _since(*(int(part or 0) for part in compact.groups())) or (int(compact[0]), 0.0)
    if isinstance(cell, str):
        text = cell.strip()
        if _NUMBER.fullmatch(text):
            cell = float(text) if "." in text else int(text)
        else:
            return _time(text)
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not math.isfinite(cell):
        return None
    whole = math.floor(cell)
    return (whole, float(cell - whole)) if -_LARGEST < whole < _LARGEST else None


def _time(text: str) -> Moment | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    half = (found["half"] or "").lower() or {"上午": "am", "下午": "pm"}.get(found["noon"] or "")
    if half and hour <= 12:
        hour = hour % 12 + 12 * (half == "pm")
    part = int((found["part"] or "").ljust(6, "0")[:6])
    days = (int(found[place]) for place in (1, 2, 3))
    return _since(*days, hour, minute, second, part, zone=found["zone"] or "")


def _since(year: int, month: int, day: int, *clock: int, zone: str = "") -> Moment | None:
    """Microseconds until that time, its clock from the hour on; None when there is no such time."""
    hour, minute, second, part = (*clock, 0)[:4]
    try:
        since = datetime(year, month, day, hour, minute, second, part, _zone(zone)) - _EPOCH
    except (ValueError, OverflowError):
        return None
    return since // timedelta(microseconds=1), 0.0


def _zone(name: str) -> timezone:
    if not name.startswith(("+", "-")):
        return UTC
    digits = name[1:].replace(":", "").ljust(4, "0")
    minutes = 60 * int(digits[:2]) + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes))


def seconds_of(wholes: "NDArray[np.int64]") -> "NDArray[np.float64]":
    """Times as seconds since 1970: numbers count seconds, milliseconds or microseconds by how large
    they are. What can be no time of the last fifty years is not a number.
    """
    import numpy as np

    found = np.full(len(wholes), np.nan)
    for least, unit in _UNITS:
        fits = (wholes >= least) & (wholes < min(least * 1e3, _END))
        found[fits] = wholes[fits] / unit
    return found
