"""How many lines of a file may be left out, while the others are read."""

from datasets.reading.refusals import BadFile

LEFT_OUT_MOST = 1000  # lines of one file; lines together that have one reason count as one
_SHARE = 9  # times as many lines as are read may be left out together, and not more
_COSTLY = frozenset({"line_too_long", "nesting", "too_many_values"})  # good lines, but not for us


def leave_out(left_out: list[BadFile] | None, refused: BadFile) -> None:
    """Notes why one line is left out. Raises the refusal instead where none may be (`None`), and
    that of the first line when there are too many.
    """
    if left_out is None:
        raise refused
    if len(left_out) == LEFT_OUT_MOST:
        raise _worst(left_out)
    left_out.append(refused.bare())


def leave_out_wide(
    left_out: list[BadFile] | None, refused: BadFile, *, fields: int, after: int
) -> None:
    """Notes a line with more columns than the first one has; those that follow each other with as
    many `fields` together. `after` is the line of the one before it that was left out, too.
    """
    last = left_out[-1] if left_out else None
    if last and last.data.get("fields") == fields and last.data["last"] == after:
        last.data |= {"last": refused.data["line"], "count": lines_of(last) + 1}
    else:
        refused.data |= {"fields": fields, "last": refused.data["line"]}
        leave_out(left_out, refused)


def lines_of(refused: BadFile) -> int:
    """How many lines it is about."""
    return int(str(refused.data.get("count", 1)))


def place_of(refused: BadFile) -> str:
    """Which."""
    first, last = refused.data["line"], refused.data.get("last")
    return f"{first}–{last}" if lines_of(refused) > 1 else str(first)


def refuse_mostly_broken(left_out: list[BadFile] | None, rows: int) -> None:
    """`BadFile` unless most of the lines are good: the file is something else than its name says.

    Lines that merely are too long or too deep do not count, as long as others are left.
    """
    broken = sum(one.code not in _COSTLY for one in left_out or ())
    others = sum(lines_of(one) for one in left_out or () if "fields" in one.data)
    if left_out and (rows <= broken or others > _SHARE * rows):
        raise _worst(left_out)


def _worst(left_out: list[BadFile]) -> BadFile:
    return next((one for one in left_out if one.code not in _COSTLY), left_out[0])
