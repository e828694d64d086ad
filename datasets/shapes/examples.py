"""One row as what a model learns from, whatever form the row has."""

import re
from typing import Any

import orjson

from datasets.shapes.findings import Dropped, Finding, kind_of
from datasets.shapes.mapping import Mapping
from datasets.shapes.turns import ANSWERING, ASKING, Example, Turn

_WORDS_AROUND_CALL = re.compile(r"<(think|tool_call)>")
_NAMED, _LETTERS = 5, 100  # columns of a row that a finding names
_TOOL_BREAK = "\n</tool_response>\n<tool_response>\n"


def example_of(value: Any, mapping: Mapping) -> Example:
    """The row as an example; `Dropped` when the engine would drop it or stop at it."""
    if not isinstance(value, dict):
        raise Dropped("not_object", found=kind_of(value))
    row = _Row(value, mapping)
    if mapping.shape == "text":
        example = Example(text=row.text("prompt"))
        if not example.text:
            example.warnings.append(row.emptiness("empty_text"))
        return example
    example = Example(system=row.text("system"), tools=row.tools())
    if mapping.by_messages:
        _turns_by_messages(example, row)
    else:
        _turns_by_columns(example, row)
    if mapping.shape == "kto":
        example.kto_tag = row.boolean("kto_tag")
    _warn(example, row)
    return example


class _Row:
    """Typed access to a row's mapped columns; raises `Dropped` for what the engine cannot read."""

    def __init__(self, value: dict[str, Any], mapping: Mapping) -> None:
        self.value = value
        self.mapping = mapping

    def column(self, key: str) -> str:
        return self.mapping.columns[key]

    def get(self, key: str) -> Any:
        column = self.mapping.columns.get(key)
        return None if column is None else self.value.get(column)

    def text(self, key: str, *, needed: bool = False) -> str:
        """A text; missing ones are empty unless they are needed."""
        found = self.get(key)
        if found is None:
            if needed:
                raise Dropped("missing", column=self.column(key))
            return ""
        if not isinstance(found, str):
            raise Dropped(
                "wrong_type", column=self.column(key), found=kind_of(found), wanted="text"
            )
        return found

    def emptiness(self, code: str) -> Finding:
        """Why there is no question or text: it is empty, or the row has other columns, which is how
        a file looks whose columns change half-way.
        """
        column = self.mapping.columns.get("prompt", "")
        if not column or column in self.value:
            return Finding(code)
        names = ", ".join(map(str, list(self.value)[:_NAMED]))
        return Finding("other_columns", {"column": column, "columns": names[:_LETTERS]})

    def items(self, key: str) -> list[Any] | None:
        """A list, also one that a CSV cell holds as JSON; None when there is nothing."""
        found = self.get(key)
        if self.mapping.from_csv and isinstance(found, str):
            found = _json(found) if found.strip() else None
        if found is None:
            return None
        if not isinstance(found, list):
            raise Dropped(
                "wrong_type", column=self.column(key), found=kind_of(found), wanted="list"
            )
        return found

    def boolean(self, key: str) -> bool:
        found = self.get(key)
        if self.mapping.from_csv and isinstance(found, str):
            found = {"true": True, "false": False}.get(found.strip().lower(), found)
        if not isinstance(found, bool):
            raise Dropped("bad_tag", column=self.column(key), found=kind_of(found))
        return found

    def tools(self) -> str:
        """Tools as the JSON text the engine wants, empty when there are none."""
        found = self.get("tools")
        if isinstance(found, str):
            if not found.strip():
                return ""
            found = _json(found)
        if found is None or found == []:
            return ""
        if not isinstance(found, list):
            raise Dropped("bad_tools", column=self.column("tools"))
        for tool in found:
            self._tool_check(tool)
        return orjson.dumps(found).decode()

    def _tool_check(self, tool: Any) -> None:
        inner = tool.get("function") if isinstance(tool, dict) and "function" in tool else tool
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            raise Dropped("bad_tools", column=self.column("tools"))
        parameters = inner.setdefault("parameters", {"type": "object", "properties": {}})
        properties = parameters.get("properties") if isinstance(parameters, dict) else None
        if not isinstance(properties, dict) or not all(
            isinstance(one, dict) for one in properties.values()
        ):
            raise Dropped("bad_tools", column=self.column("tools"))


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _turns_by_columns(example: Example, row: _Row) -> None:
    """Question and answer in columns of their own, with earlier turns in a list of pairs."""
    for pair in row.items("history") or []:
        if not (
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)
        ):
            raise Dropped("bad_history", column=row.column("history"))
        example.turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    parts = [row.text("prompt"), row.text("query")]
    example.turns.append(Turn("user", "\n".join(part for part in parts if part)))
    if row.mapping.shape == "preference":
        example.chosen = Turn("assistant", row.text("chosen", needed=True))
        example.rejected = Turn("assistant", row.text("rejected", needed=True))
    else:
        example.turns.append(Turn("assistant", row.text("response", needed=True)))


def _turns_by_messages(example: Example, row: _Row) -> None:
    """Turns in one list: the sides take turns, a system prompt only comes first."""
    mapping = row.mapping
    messages = row.items("messages")
    if messages is None:
        raise Dropped("missing", column=row.column("messages"))
    if not messages:
        raise Dropped("no_messages", column=row.column("messages"))
    for number, message in enumerate(messages, start=1):
        turn = _turn(message, number, mapping)
        if turn.role == "system":
            if number > 1:
                raise Dropped("system_not_first", turn=number)
            example.system = turn.content
        elif _joins_tool_answers(example, turn, mapping):
            example.turns[-1].content += _TOOL_BREAK + turn.content
        elif turn.role not in (ASKING, ANSWERING)[len(example.turns) % 2]:
            raise Dropped("wrong_order", turn=number, role=mapping.tag(turn.role))
        else:
            example.turns.append(turn)
    if mapping.shape == "preference":
        if len(example.turns) % 2 == 0:
            raise Dropped("no_question")
        example.chosen = _choice(row, "chosen")
        example.rejected = _choice(row, "rejected")
    elif not example.turns or len(example.turns) % 2:
        raise Dropped("no_answer")


def _joins_tool_answers(example: Example, turn: Turn, mapping: Mapping) -> bool:
    """Whether this answers the same turn's tool calls as the message before, as OpenAI's may."""
    return (
        mapping.openai
        and turn.role == "observation"
        and bool(example.turns)
        and example.turns[-1].role == "observation"
    )


def _turn(message: Any, number: int, mapping: Mapping) -> Turn:
    role_key, content_key = mapping.tags["role_tag"], mapping.tags["content_tag"]
    if not isinstance(message, dict) or not isinstance(message.get(role_key), str):
        raise Dropped("bad_turn", turn=number, key=role_key)
    name = message[role_key]
    role = mapping.role("system" if mapping.openai and name == "developer" else name)
    if role is None:
        raise Dropped("unknown_role", turn=number, role=name[:40])
    content = message.get(content_key)
    if mapping.openai:
        if message.get("weight") == 0:
            raise Dropped("weight", turn=number)
        if isinstance(content, list):
            content = _parts(content, number)
        if role == "assistant" and message.get("tool_calls"):
            role, content = "function", _calls(message["tool_calls"], number)
    if not isinstance(content, str):
        raise Dropped("bad_turn", turn=number, key=content_key)
    if role == "function":
        _call_check(content, number)
    return Turn(role, content)


def _parts(parts: list[Any], number: int) -> str:
    """The text of a message that OpenAI's form gives in parts."""
    texts = []
    for part in parts:
        if not (isinstance(part, dict) and isinstance(part.get("text"), str)):
            raise Dropped("not_text", turn=number)
        texts.append(part["text"])
    return "".join(texts)


def _calls(calls: Any, number: int) -> str:
    """OpenAI's tool calls as the engine's: name and arguments, these as an object, not as text."""
    found = []
    for call in calls if isinstance(calls, list) else [calls]:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Dropped("bad_call", turn=number)
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            arguments = _json(arguments) if arguments.strip() else {}
        found.append({"name": function["name"], "arguments": arguments})
    return orjson.dumps(found).decode()


def _call_check(content: str, number: int) -> None:
    if _WORDS_AROUND_CALL.search(content):
        return  # the engine takes thoughts and marks off before it reads the call
    found = _json(content)
    calls = found if isinstance(found, list) else [found]
    if not all(isinstance(call, dict) and {"name", "arguments"} <= set(call) for call in calls):
        raise Dropped("bad_call", turn=number)


def _choice(row: _Row, key: str) -> Turn:
    """One of two answers: a message of the same form as the others."""
    tags = row.mapping.tags
    found = row.get(key)
    if row.mapping.from_csv and isinstance(found, str):
        found = _json(found)
    if (
        not isinstance(found, dict)
        or not isinstance(found.get(tags["role_tag"]), str)
        or not isinstance(found.get(tags["content_tag"]), str)
    ):
        raise Dropped("bad_choice", column=row.column(key), found=kind_of(found))
    role = row.mapping.role(found[tags["role_tag"]])
    if role not in ANSWERING:
        raise Dropped("choice_role", column=row.column(key), role=found[tags["role_tag"]][:40])
    if role == "function":
        _call_check(found[tags["content_tag"]], 0)
    return Turn(role, found[tags["content_tag"]])


def _warn(example: Example, row: _Row) -> None:
    """Notes what the engine takes although a person would not."""
    if any(not turn.content.strip() for turn in example.said if turn.role in ASKING):
        example.warnings.append(row.emptiness("empty_question"))
    if any(not turn.content.strip() for turn in example.said if turn.role in ANSWERING):
        example.warnings.append(Finding("empty_answer"))
    if example.chosen and example.rejected and example.chosen.content == example.rejected.content:
        example.warnings.append(Finding("same_answers"))
