"""Regular expressions that people write: they may take time that doubles with each letter."""

from collections.abc import Iterator

import regex

from common.errors import DomainError
from common.phrases import gettext as _

PATTERN_MAX = 200  # characters of a pattern
PATTERN_SECONDS = 0.5  # for one row


def pattern_problem(pattern: str) -> str:
    """Why the pattern cannot be used; empty when it can."""
    if len(pattern) > PATTERN_MAX:
        return _("At most %(limit)s characters are taken.") % {"limit": PATTERN_MAX}
    try:
        regex.compile(pattern)
    except regex.error as error:
        return _("This is no regular expression: %(reason)s.") % {"reason": str(error)}
    return ""


def spans(
    pattern: regex.Pattern[str], text: str, number: int, seconds: float = PATTERN_SECONDS
) -> Iterator[tuple[int, int]]:
    """Where the pattern fits, from left to right; nothing that is empty.

    DomainError that names row `number` (from 0) when it takes longer than `seconds`.
    """
    if seconds <= 0:
        raise _slow(pattern, number)
    try:
        for match in pattern.finditer(text, timeout=seconds):
            if match.end() > match.start():
                yield match.span()
    except TimeoutError as error:
        raise _slow(pattern, number) from error


def fits(pattern: regex.Pattern[str], text: str, number: int) -> bool:
    """Whether the pattern fits anywhere. DomainError as with `spans`."""
    try:
        return pattern.search(text, timeout=PATTERN_SECONDS) is not None
    except TimeoutError as error:
        raise _slow(pattern, number) from error


def _slow(pattern: regex.Pattern[str], number: int) -> DomainError:
    return DomainError(
        _(
            "The pattern “%(pattern)s” takes too long on row %(row)s."
            " Write it without repetitions inside repetitions."
        )
        % {"pattern": pattern.pattern, "row": number + 1},
        field="steps",
        code="pattern_slow",
    )
