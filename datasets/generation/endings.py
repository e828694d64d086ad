"""Answers that are none, and why."""

from common.phrases import gettext as _

_CUT_SHORT = frozenset({"length", "max_tokens", "model_length"})  # as servers call it
_FILTERED = frozenset({"content_filter", "sensitive"})


class Unread(Exception):
    """No answer could be read. `reason` is what things are dropped for that it was about."""

    reason = "unreadable"


class Unfinished(Unread):
    """The answer stops before its end; `advice` is a sentence for the run's log."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(advice)
        self.reason = reason
        self.advice = advice


def unfinished(finish_reason: str) -> Unfinished | None:
    """Why an answer that ended for this reason is none; None for one that is whole."""
    if finish_reason in _CUT_SHORT:
        return Unfinished(
            "cut_short",
            _(
                "An answer stops where it reached the longest length. What such answers were about"
                " is left out. Raise “Longest answer in tokens” in the step and start a new run."
            ),
        )
    if finish_reason in _FILTERED:
        return Unfinished(
            "filtered",
            _(
                "The provider's filter broke an answer off. What such answers were about is left"
                " out."
            ),
        )
    return None
