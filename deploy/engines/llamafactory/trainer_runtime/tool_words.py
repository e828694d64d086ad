"""How chat templates write tools and calls of them, told from what the engine makes of a few."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

TOOLS = ("first_tool", "second_tool")
KEYS = ("first_key", "second_key")
TEXT, OTHER = "a text", {"other": [1, True]}
MARK = '<|"|>'  # around texts in tools and calls of Gemma 4


def tool_words(found: Any) -> dict[str, Any]:
    """Return the words of a template; those that cannot be told are left out."""
    from llamafactory.data.template import Llama2Template

    def tools(given: list[Any]) -> str:
        text = json.dumps(given, separators=(",", ":"))
        return str(found.format_tools.apply(content=text)[0])

    words = {
        **_told(_tools, tools),
        **_told(_calls, found.format_function.tool_utils.function_formatter),
    }
    if not isinstance(found, Llama2Template):  # which looks for neither in a call
        words |= {"thoughts": list(found.thought_words), "marks": list(found.tool_call_words)}
    return words


def _told(tell: Callable[[Any], dict[str, Any]], write: Any) -> dict[str, Any]:
    """Return what is told, or nothing where the engine writes in a way of its own."""
    try:
        return tell(write)
    except ValueError:
        return {}


def _cut(text: str, *parts: str) -> list[str]:
    """Return what stands around the parts; ValueError when one of them is missing."""
    around = []
    for part in parts:
        before, text = text.split(part, 1)
        around.append(before)
    return [*around, text]


def _tools(write: Callable[[list[Any]], str]) -> dict[str, Any]:
    tools = [
        {
            "name": name,
            "description": f"about {number}",
            "parameters": {
                "type": "object",
                "properties": {name: {"type": "string", "description": "a key"}},
                "required": [name],
            },
        }
        for number, name in enumerate(TOOLS)
    ]
    wrapped = [{"type": "function", "function": tool} for tool in tools]
    text, verbatim = write(tools), json.dumps(tools, separators=(",", ":"))
    if verbatim in text:
        before, after = _cut(text, verbatim)
        return {"tools": [before, "", after], "tool": "verbatim", "indent": 0}
    for indent in (None, 4):
        for way, ones in (("wrapped", wrapped), ("bare", tools)):
            parts = [json.dumps(one, indent=indent) for one in ones]
            if all(part in text for part in parts):
                if way == "bare" and json.dumps(wrapped[0], indent=indent) in write(wrapped):
                    way = "given"
                return {"tools": _named(text, parts), "tool": way, "indent": indent or 0}
    declared = [_declaration(number, name) for number, name in enumerate(TOOLS)]
    if all(one in text for one in declared):
        return {"tools": _named(text, declared), "tool": "declared", "indent": 0}
    lines = [f"  - {name} (string, required): a key\n" for name in TOOLS]
    return {"tools": _named(text, lines), "tool": "arguments", "indent": 0}


def _declaration(number: int, name: str) -> str:
    """Return one of those tools as Gemma 4 has it."""
    key = f"{name}:{{description:{MARK}a key{MARK},type:{MARK}STRING{MARK}}}"
    takes = f"properties:{{{key}}},required:[{MARK}{name}{MARK}],type:{MARK}OBJECT{MARK}"
    return f"declaration:{name}{{description:{MARK}about {number}{MARK},parameters:{{{takes}}}}}"


def _named(text: str, parts: list[str]) -> list[str]:
    """Return what stands around the tools, with places for their names."""
    before, between, after = _cut(text, *parts)
    today = time.strftime("%d %b %Y")
    around = [
        before.replace(today, "{{date}}"),
        between,
        after.replace(", ".join(TOOLS), "{{names}}"),
    ]
    for number, name in enumerate(TOOLS):
        around[number] = around[number].replace(name, "{{name}}")
        around[number] = around[number].replace(f"about {number}", "{{description}}")
    if any(name in one for name in TOOLS for one in around):
        raise ValueError(text)
    return around


def _calls(write: Callable[[list[Any]], str]) -> dict[str, Any]:
    from llamafactory.data.tool_utils import FunctionCall

    def calls(*arguments: dict[str, Any]) -> list[Any]:
        named = zip(TOOLS, arguments, strict=False)
        return [FunctionCall(name, json.dumps(given)) for name, given in named]

    given = {KEYS[0]: TEXT}
    alone = write(calls(given))
    argument, quote, body = [], "", json.dumps(given)
    if f"{KEYS[0]}:{MARK}" in alone:
        quote, body = MARK, _marked(lambda arguments: write(calls(arguments)))
    elif body not in alone:
        argument, body = _argument(lambda arguments: write(calls(arguments)))
    naming = _naming(lambda name: write([FunctionCall(name, json.dumps(given))]))
    names = [json.dumps(name) if naming == "json" else name for name in TOOLS]
    found = {
        "argument": argument,
        "quote": quote,
        "naming": naming,
        "call": [one.replace(names[0], "{{name}}") for one in _cut(alone, body)],
    }
    try:
        several = write(calls(given, given))
    except ValueError:  # the engine refuses more than one
        return found
    before, between, after = _cut(several, body, body)
    before, between = before.replace(names[0], "{{name}}"), between.replace(names[1], "{{name}}")
    return found | {"calls": [before, between, after]}


def _naming(write: Callable[[Any], str]) -> str:
    """Return how names of calls are written: as JSON, texts only, or whatever they are."""
    try:
        return "json" if "null" in write(None) else ""
    except TypeError:
        return "text"


def _marked(write: Callable[[dict[str, Any]], str]) -> str:
    """Return the first argument as Gemma 4 has it; ValueError where others are not so."""
    text = f"{MARK}{TEXT}{MARK}"
    both = write({KEYS[1]: TEXT, KEYS[0]: OTHER})
    if f"{{{KEYS[0]}:{{other:[1,true]}},{KEYS[1]}:{text}}}" not in both:
        raise ValueError(both)
    return f"{KEYS[0]}:{text}"


def _argument(write: Callable[[dict[str, Any]], str]) -> tuple[list[str], str]:
    """Return how a text, any other value and two of them are written; and the first as it is."""
    nothing, one = write({}), write({KEYS[0]: TEXT})
    pairs = enumerate(zip(nothing, one, strict=False))
    begin = nothing[: next((at for at, (a, b) in pairs if a != b), None)]
    end = nothing[len(begin) :]

    def body(arguments: dict[str, Any]) -> str:
        text = write(arguments)
        if not (text.startswith(begin) and text.endswith(end)):
            raise ValueError(text)
        return text[len(begin) : len(text) - len(end)]

    def places(text: str, value: str) -> str:
        before, between, after = _cut(text, KEYS[0], value)
        return f"{before}{{{{key}}}}{between}{{{{value}}}}{after}"

    text, other = body({KEYS[0]: TEXT}), body({KEYS[0]: OTHER})
    both = body({KEYS[0]: TEXT, KEYS[1]: TEXT})
    between, rest = _cut(both, text)[1], text.replace(KEYS[0], KEYS[1])
    if not between.endswith(rest):
        raise ValueError(both)
    found = [places(text, TEXT), places(other, json.dumps(OTHER)), between[: -len(rest)]]
    return found, text
