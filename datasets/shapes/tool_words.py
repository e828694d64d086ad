"""Tools and calls of them in the words of a chat template, as the engine writes them."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from datasets.shapes.tool_forms import as_arguments, as_declaration, as_marked

WAYS = ("", "wrapped", "bare", "given", "verbatim", "arguments", "declared")
NAMINGS = ("", "json", "text")
_STOPS = (ValueError, KeyError, TypeError, AttributeError)
_PLACE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class ToolWords:
    """What stands around tools and calls. Without it they are written as the data has them.

    Places in the words: `{{name}}` and `{{description}}` of the tool that follows, `{{names}}` of
    all, `{{date}}` of today, `{{key}}` and `{{value}}` of an argument.
    """

    tools: Sequence[str] = ()  # before the first, between two, after the last
    tool: str = ""  # one of `WAYS`: JSON `wrapped` as a function, `bare`, as `given`, `verbatim`, …
    indent: int = 0  # of that JSON
    call: Sequence[str] = ()  # before and after the arguments of a call that is alone
    calls: Sequence[str] = ()  # before the first's, between two, after the last's
    naming: str = ""  # of a call: any name as it prints, as `json`, or only one that is a `text`
    argument: Sequence[str] = ()  # one that is a text, any other, between two; else all as JSON
    quote: str = ""  # around texts where arguments are neither, see `as_marked`
    thoughts: Sequence[str] = ()  # what thoughts before a call stand between
    marks: Sequence[str] = ()  # what the JSON of calls may stand between

    @classmethod
    def read(cls, told: Any) -> Self | None:
        """What an engine tells; None where that makes no sense."""
        sizes = {"tools": 3, "call": 2, "calls": 3, "argument": 3, "thoughts": 2, "marks": 2}
        if not isinstance(told, dict) or not told.keys() <= {one.name for one in fields(cls)}:
            return None
        fits = told.get("tool", "") in WAYS and type(told.get("indent", 0)) is int
        fits &= told.get("naming", "") in NAMINGS and isinstance(told.get("quote", ""), str)
        fits &= bool(told.get("quote")) or told.get("tool") != "declared"
        for name, size in sizes.items():
            found = told.get(name, [])
            fits &= isinstance(found, list) and len(found) in (0, size)
            fits &= all(isinstance(one, str) for one in found)
        fits &= bool(told.get("tools")) == bool(told.get("tool"))
        return cls(**told) if fits else None

    def tools_said(self, text: str) -> str:
        """Descriptions of tools, given as JSON. As they are where the engine would stop at them."""
        try:
            return self._tools_said(text)
        except _STOPS:
            return text

    def stops_at_tools(self, text: str) -> bool:
        """Whether the engine stops the whole training at these descriptions of tools."""
        return _stops(self._tools_said, text)

    @property
    def names_tools(self) -> bool:
        """Whether tools are named outside their JSON: all of them need a name there then."""
        return any("{{name" in words for words in self.tools)

    def _tools_said(self, text: str) -> str:
        if not text or not self.tools:
            return text
        begin, between, end = self.tools
        if self.tool == "verbatim":
            return text.join((begin, end))
        tools = json.loads(text)
        bare = [_function(tool, needed=self.names_tools) for tool in tools]
        said = []
        for number, (tool, inner) in enumerate(zip(tools, bare, strict=True)):
            values = {"description": inner.get("description", "")}
            values["date"] = time.strftime("%d %b %Y")
            if self.names_tools:
                values["name"] = inner["name"]
            said += [_filled(between if number else begin, values), self._written(tool, inner)]
        names = ", ".join(inner["name"] for inner in bare) if self.names_tools else ""
        return "".join([*said, _filled(end, {"names": names})])

    def _written(self, tool: Mapping[str, Any], inner: Mapping[str, Any]) -> str:
        if self.tool == "arguments":
            return as_arguments(inner["parameters"])
        if self.tool == "declared":
            return as_declaration(inner, self.quote)
        written = inner if self.tool == "bare" else tool
        if self.tool == "wrapped" and tool.get("type") != "function":
            written = {"type": "function", "function": tool}
        return json.dumps(written, indent=self.indent or None, ensure_ascii=False)

    def call_said(self, text: str) -> str:
        """Calls of tools, given as JSON with thoughts or marks around them. As they are where the
        engine would stop at them.
        """
        try:
            return self._call_said(text)
        except _STOPS:
            return text

    def stops_at_call(self, text: str) -> bool:
        """Whether the engine stops the whole training at these calls of tools."""
        return _stops(self._call_said, text)

    def _call_said(self, text: str) -> str:
        if not self.call:
            return text
        before, found = self._parted(text)
        calls = json.loads(found)
        return before + self._calls_said(calls if isinstance(calls, list) else [calls])

    def _parted(self, text: str) -> tuple[str, str]:
        """What stands around the JSON of calls, and that."""
        if marked := _between(self.marks, text):
            return text.replace(marked[0], ""), marked[1]
        if thought := _between(self.thoughts, text):
            return thought[0], text.replace(thought[0], "")
        return "", text

    def _calls_said(self, calls: list[Any]) -> str:
        if not calls and self.calls:
            return "[]"  # as it is: the engine takes it, too
        if len(calls) == 1:
            begin, between, end = self.call[0], "", self.call[1]
        else:
            begin, between, end = self.calls
        said = []
        for number, call in enumerate(calls):
            name = self._name_said(call["name"])
            said.append(_filled(between if number else begin, {"name": name}))
            said.append(self._values_said(call["arguments"]))
        return "".join([*said, end])

    def _name_said(self, name: Any) -> Any:
        if self.naming == "text" and not isinstance(name, str):
            raise TypeError(name)
        return _json(name) if self.naming == "json" else name

    def _values_said(self, arguments: Any) -> str:
        if self.quote:
            return as_marked(arguments, self.quote)
        if not self.argument:
            return _json(arguments)
        as_text, as_json, between = self.argument
        return between.join(
            _filled(as_text, {"key": key, "value": value})
            if isinstance(value, str)
            else _filled(as_json, {"key": key, "value": _json(value)})
            for key, value in arguments.items()
        )


def _stops(write: Callable[[str], str], text: str) -> bool:
    try:
        write(text)
    except _STOPS:
        return True
    return False


def _function(tool: dict[str, Any], *, needed: bool) -> dict[str, Any]:
    """The tool without what wraps it; KeyError where that is `needed` and lacks."""
    if tool.get("type") != "function":
        return tool
    return dict(tool["function"] if needed else tool.get("function", tool))


def _between(words: Sequence[str], text: str) -> re.Match[str] | None:
    if not words:
        return None
    begin, end = map(re.escape, words)
    return re.search(f"{begin}(.*?){end}", text, re.DOTALL)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _filled(words: str, values: Mapping[str, Any]) -> str:
    return _PLACE.sub(lambda place: str(values.get(place[1], place[0])), words)
