"""Answers that are none, and why."""

from collections import Counter

from common.errors import DomainError
from common.phrases import gettext as _

MOSTLY_UNUSABLE = "mostly_unusable"
LOOKED_AT = 20  # answers before it is judged whether most of them are of use

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


class Endings:
    """How the answers to the questions of one step ended."""

    def __init__(self) -> None:
        self._answers = 0
        self._reasons: Counter[str] = Counter()

    def add(self, trouble: Unfinished | None) -> None:
        """One more."""
        self._answers += 1
        if trouble is not None:
            self._reasons[trouble.reason] += 1

    def refuse_unusable(self, max_tokens: int) -> None:
        """DomainError when more than half of them, of enough to tell, are none."""
        unusable = self._reasons.total()
        if self._answers < LOOKED_AT or 2 * unusable <= self._answers:
            return
        raise DomainError(
            _(
                "%(unusable)s of the first %(answers)s answers cannot be used: %(cut_short)s were"
                " cut off at %(most)s tokens, %(filtered)s by the provider's filter. The run stops"
                " before it pays for more of them. Raise “Longest answer in tokens” in the step, or"
                " choose another model, and start a new run. Or go on with this one all the same:"
                " what was answered is kept, and it does not stop for this again."
            )
            % {
                "unusable": unusable,
                "answers": self._answers,
                "cut_short": self._reasons["cut_short"],
                "filtered": self._reasons["filtered"],
                "most": max_tokens,
            },
            code=MOSTLY_UNUSABLE,
        )
