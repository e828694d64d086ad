"""Which column of the file is what to the engine, and how roles are called in it."""

from collections.abc import Mapping as Mappings
from dataclasses import dataclass, field
from typing import Any, Self

from django.utils.translation import gettext_lazy

from common.errors import DomainError
from common.phrases import either
from common.phrases import gettext as _

# Of each shape: columns that must be named and those that may be. A tuple within the first is a
# choice: one of them must be named.
MESSAGES_OR_PROMPT = ("messages", "prompt")
REQUIRED: dict[str, tuple[str | tuple[str, ...], ...]] = {
    "alpaca": ("prompt", "response"),
    "sharegpt": ("messages",),
    "openai": ("messages",),
    "preference": (MESSAGES_OR_PROMPT, "chosen", "rejected"),
    "kto": (MESSAGES_OR_PROMPT, "kto_tag"),
    "text": ("prompt",),
}
OPTIONAL: dict[str, tuple[str, ...]] = {
    "alpaca": ("query", "history", "system", "tools"),
    "sharegpt": ("system", "tools"),
    "openai": ("system", "tools"),
    "preference": ("query", "history", "system", "tools"),
    "kto": ("query", "response", "history", "system", "tools"),
    "text": (),
}
COLUMN_NAMES = {
    "prompt": gettext_lazy("Question or instruction"),
    "query": gettext_lazy("Further input"),
    "response": gettext_lazy("Answer"),
    "history": gettext_lazy("Earlier turns"),
    "messages": gettext_lazy("Messages"),
    "system": gettext_lazy("System prompt"),
    "tools": gettext_lazy("Tools"),
    "chosen": gettext_lazy("Better answer"),
    "rejected": gettext_lazy("Worse answer"),
    "kto_tag": gettext_lazy("Mark: good or bad"),
}
TAG_NAMES = {
    "role_tag": gettext_lazy("Key of the role"),
    "content_tag": gettext_lazy("Key of the text"),
    "user_tag": gettext_lazy("User"),
    "assistant_tag": gettext_lazy("Assistant"),
    "observation_tag": gettext_lazy("Answer of a tool"),
    "function_tag": gettext_lazy("Call of a tool"),
    "system_tag": gettext_lazy("System"),
}
SHAREGPT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
OPENAI_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}
ROLES = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function",
    "system_tag": "system",
}
# Shapes that a training stage reads; the engine stops at, or drops all of, the others.
STAGE_SHAPES = {
    "pt": ("text",),
    "sft": ("alpaca", "sharegpt", "openai"),
    "rm": ("preference",),
    "dpo": ("preference",),
    "kto": ("kto",),
}


@dataclass(frozen=True)
class Mapping:
    """A shape with its columns (the engine's name -> the file's) and tags (complete or empty)."""

    shape: str
    columns: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    from_csv: bool = False  # cells are text: true, false and JSON in them are read as such

    @classmethod
    def of(
        cls,
        shape: str,
        columns: Mappings[str, Any],
        tags: Mappings[str, Any] | None = None,
        *,
        from_csv: bool = False,
    ) -> Self:
        """A mapping with empty entries left out and missing tags filled in."""
        named = {key: str(value) for key, value in columns.items() if value}
        if "messages" not in named:
            return cls(shape, named, {}, from_csv)
        usual = OPENAI_TAGS if shape == "openai" else SHAREGPT_TAGS
        given = {key: str(value) for key, value in (tags or {}).items() if value}
        return cls(shape, named, {**usual, **given}, from_csv)

    @property
    def by_messages(self) -> bool:
        """Whether turns come as a list of messages and not as question and answer."""
        return "messages" in self.columns

    @property
    def needed(self) -> dict[str, str]:
        """The columns without those that the shape may have and need not."""
        return {
            key: column
            for key, column in self.columns.items()
            if key not in OPTIONAL[self.shape] or key == "response"
        }

    @property
    def openai(self) -> bool:
        """Whether messages are OpenAI's: tool calls beside the text, texts in parts."""
        return self.tags.get("role_tag") == "role"

    def role(self, name: object) -> str | None:
        """Our name of a role of the file; None for an unknown one."""
        for tag, role in ROLES.items():
            if self.tags.get(tag) == name:
                return role
        return None

    def tag(self, role: str) -> str:
        """The file's name of a role."""
        return next(self.tags[tag] for tag, ours in ROLES.items() if ours == role)


def mapping_check(mapping: Mapping, columns: list[str]) -> None:
    """`DomainError` with the field when the mapping is incomplete or names what is not there."""
    if mapping.shape not in REQUIRED:
        raise DomainError(_("Choose one of the formats."), field="shape", code="shape")
    known = {*OPTIONAL[mapping.shape], *_flat(REQUIRED[mapping.shape])}
    for key, column in mapping.columns.items():
        if key not in known:
            raise DomainError(
                _("This format has no “%(key)s”.") % {"key": key}, field=key, code="columns"
            )
        if column not in columns:
            raise DomainError(
                _("The file has no column “%(column)s”.") % {"column": column},
                field=key,
                code="columns",
            )
    for wanted in REQUIRED[mapping.shape]:
        choice = (wanted,) if isinstance(wanted, str) else wanted
        if not any(key in mapping.columns for key in choice):
            names = either(COLUMN_NAMES[key] for key in choice)
            raise DomainError(
                _("Name the column that holds: %(names)s.") % {"names": names},
                field=choice[0],
                code="columns",
            )
    if mapping.shape == "kto" and not mapping.by_messages and "response" not in mapping.columns:
        raise DomainError(
            _("Name the column that holds: %(names)s.") % {"names": COLUMN_NAMES["response"]},
            field="response",
            code="columns",
        )
    _tags_check(mapping)


def _tags_check(mapping: Mapping) -> None:
    names = [mapping.tags[tag] for tag in ROLES if tag in mapping.tags]
    for tag in ROLES:
        if tag in mapping.tags and names.count(mapping.tags[tag]) > 1:
            raise DomainError(
                _("Two roles have the same name “%(name)s”.") % {"name": mapping.tags[tag]},
                field=tag,
                code="tags",
            )
    for tag in mapping.tags:
        if tag not in TAG_NAMES:
            raise DomainError(_("Unknown tag “%(tag)s”.") % {"tag": tag}, field="tags", code="tags")


def _flat(wanted: tuple[str | tuple[str, ...], ...]) -> list[str]:
    return [key for item in wanted for key in ((item,) if isinstance(item, str) else item)]
