"""What can be wrong with a row: a code, whether the row is dropped for it, and words for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# code -> the words; codes of WARNINGS leave the row in, all others take it out.
TEXTS: dict[str, Promise] = {
    "not_object": _("The row is %(found)s, not an object with columns."),
    "missing": _("“%(column)s” is missing."),
    "wrong_type": _("“%(column)s” is %(found)s, not %(wanted)s."),
    "no_messages": _("“%(column)s” is an empty list."),
    "bad_turn": _("Turn %(turn)s has no “%(key)s” that is text."),
    "unknown_role": _("Turn %(turn)s has the role “%(role)s”, which is none of the named ones."),
    "system_not_first": _("Turn %(turn)s is a system prompt; only the first may be one."),
    "wrong_order": _("Turn %(turn)s is “%(role)s”; questions and answers must take turns."),
    "no_answer": _("The conversation ends with a question that has no answer."),
    "no_question": _("The conversation must end with the question that both answers reply to."),
    "bad_history": _("“%(column)s” must be a list of pairs: question, answer."),
    "bad_tag": _("“%(column)s” must be true or false, not %(found)s."),
    "bad_choice": _("“%(column)s” must be one message with role and text, not %(found)s."),
    "choice_role": _("“%(column)s” has the role “%(role)s”; an answer must be the assistant's."),
    "bad_tools": _("“%(column)s” is not a JSON list of tools with a name and parameters."),
    "bad_call": _("Turn %(turn)s is not a tool call: JSON with name and arguments is needed."),
    "weight": _("Turn %(turn)s has weight 0; the engine cannot leave out single answers."),
    "not_text": _("Turn %(turn)s holds a part that is not text."),
    "empty_question": _("The question is empty."),
    "empty_answer": _("The answer is empty: the model would learn to say nothing."),
    "empty_text": _("The text is empty."),
    "other_columns": _("“%(column)s” is missing and taken as empty; the row has %(columns)s."),
    "same_answers": _("Both answers are the same: there is nothing to prefer."),
}
# The same for many rows together.
SUMMARIES: dict[str, Promise] = {
    "not_object": _("rows that are not objects"),
    "missing": _("a needed column is missing or empty"),
    "wrong_type": _("a column holds something else than text"),
    "no_messages": _("conversations without turns"),
    "bad_turn": _("turns without role or text"),
    "unknown_role": _("roles that were not named"),
    "system_not_first": _("system prompts behind the first turn"),
    "wrong_order": _("questions and answers do not take turns"),
    "no_answer": _("the last question has no answer"),
    "no_question": _("the conversation does not end with a question"),
    "bad_history": _("earlier turns that are not pairs"),
    "bad_tag": _("marks that are not true or false"),
    "bad_choice": _("an answer is not a message"),
    "choice_role": _("an answer is not the assistant's"),
    "bad_tools": _("tools that cannot be read"),
    "bad_call": _("tool calls that cannot be read"),
    "weight": _("turns of weight 0"),
    "not_text": _("parts that are not text"),
    "empty_question": _("empty questions"),
    "empty_answer": _("empty answers"),
    "empty_text": _("empty texts"),
    "other_columns": _("other columns than the first rows have"),
    "same_answers": _("both answers are the same"),
}
WARNINGS = frozenset(
    {"empty_question", "empty_answer", "empty_text", "other_columns", "same_answers"}
)
KINDS: dict[str, Promise] = {
    "text": _("text"),
    "number": _("a number"),
    "boolean": _("true or false"),
    "list": _("a list"),
    "object": _("an object"),
    "nothing": _("empty"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one row."""

    code: str
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def drops(self) -> bool:
        """Whether the row is left out of what the engine reads."""
        return self.code not in WARNINGS


class Dropped(Exception):
    """A row that cannot be an example; carries the finding that says why."""

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(code)
        self.finding = Finding(code, detail)


def kind_of(value: object) -> str:
    """The kind of a JSON value, a key of `KINDS`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


def words(code: str, detail: Mapping[str, Any]) -> str:
    """The finding in the reader's language."""
    shown = {
        key: str(KINDS[value]) if key in {"found", "wanted"} and value in KINDS else value
        for key, value in detail.items()
    }
    try:
        return str(TEXTS[code]) % shown
    except (KeyError, ValueError):
        return code
