"""JSON found in what a model wrote, whatever it wrote around it."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_FENCE = re.compile(r"```(?:json|JSON)?\s*\n(.*?)```", re.DOTALL)
_OPENS = re.compile(r"[\[{]")
_STARTS = 20  # brackets at which a value is looked for


def json_found(text: str) -> Any:
    """The first list or object in the text; None when there is none that can be read."""
    for part in _parts(text):
        try:
            found = orjson.loads(part)
        except orjson.JSONDecodeError:
            continue
        if isinstance(found, list | dict):
            return found
    return None


def _parts(text: str) -> Iterator[str]:
    yield text
    yield from _FENCE.findall(text)
    for number, match in enumerate(_OPENS.finditer(text)):
        if number == _STARTS:
            return
        end = text.rfind("]" if match[0] == "[" else "}")
        if end > match.start():
            yield text[match.start() : end + 1]


def items_found(text: str) -> list[Any]:
    """The list in the text, also one that an object holds; an object alone is a list of one."""
    found = json_found(text)
    if isinstance(found, dict):
        lists = [value for value in found.values() if isinstance(value, list)]
        return lists[0] if len(found) == 1 and lists else [found]
    return found if isinstance(found, list) else []


def said(value: Any) -> str:
    """A text that is one, without white space around it; empty for anything else."""
    return value.strip() if isinstance(value, str) else ""
