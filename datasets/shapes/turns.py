"""What a model learns from, and who says what in it.

Free of Django: a process that only splits examples into tokens starts in a fraction of the time.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets.shapes.findings import Finding

ASKING = ("user", "observation")
ANSWERING = ("assistant", "function")


@dataclass(slots=True)
class Turn:
    """What one side says: role is user, assistant, observation or function."""

    role: str
    content: str


@dataclass(slots=True)
class Example:
    """A checked row. `turns` of a preference end with the question, all others with the answer."""

    turns: list[Turn] = field(default_factory=list)
    system: str = ""
    tools: str = ""
    chosen: Turn | None = None
    rejected: Turn | None = None
    kto_tag: bool | None = None
    text: str | None = None
    warnings: list["Finding"] = field(default_factory=list)

    @property
    def characters(self) -> int:
        """Length of all texts; of the two answers the longer one counts."""
        answers = [len(turn.content) for turn in (self.chosen, self.rejected) if turn]
        return (
            len(self.text or "")
            + len(self.system)
            + len(self.tools)
            + sum(len(turn.content) for turn in self.turns)
            + max(answers, default=0)
        )

    @property
    def said(self) -> list[Turn]:
        """All turns, and the two answers of a preference."""
        return [*self.turns, *(turn for turn in (self.chosen, self.rejected) if turn)]

    def holds(self, words: Collection[str]) -> bool:
        """Whether one of the words stands in a turn or answer; system prompts are neither."""
        return any(word in turn.content for turn in self.said for word in words)

    def learns(self, place: int) -> bool:
        """Whether the turn at this place carries loss, as answers do.

        Of a preference only `chosen` and `rejected` do, of a judged answer only the last turn.
        """
        if self.chosen is not None:
            return False
        if self.kto_tag is not None and place != len(self.turns) - 1:
            return False
        return self.turns[place].role in ANSWERING
