"""How many lines of a file may be left out, while the others are read."""

from datasets.reading.refusals import BadFile

LEFT_OUT_MOST = 1000  # lines of one file
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


def refuse_mostly_broken(left_out: list[BadFile] | None, rows: int) -> None:
    """`BadFile` unless most of the lines are good: the file is something else than its name says.

    Lines that merely are too long or too deep do not count, as long as others are left.
    """
    broken = sum(one.code not in _COSTLY for one in left_out or ())
    if left_out and rows <= broken:
        raise _worst(left_out)


def _worst(left_out: list[BadFile]) -> BadFile:
    return next((one for one in left_out if one.code not in _COSTLY), left_out[0])
