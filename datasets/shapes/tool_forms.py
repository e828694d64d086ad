"""Forms of tools and arguments that are no JSON, as engines write them for some chat templates."""

import json
from collections.abc import Mapping
from typing import Any


def as_arguments(parameters: Mapping[str, Any]) -> str:
    """What a tool takes, one a line, as most templates have it."""
    lines = []
    for name, told in parameters["properties"].items():
        kind = f"{told.get('type', '')}" + ", required" * (name in parameters.get("required", []))
        line = f"  - {name} ({kind}): {told.get('description', '')}"
        if told.get("enum"):
            line += f", should be one of [{', '.join(told['enum'])}]"
        if told.get("items"):
            line += f", where each item should be {told['items'].get('type', '')}"
        lines.append(f"{line}\n")
    return "".join(lines)


def as_declaration(tool: Mapping[str, Any], quote: str) -> str:
    """A tool as Gemma 4 reads it: of each argument only the description and the type."""
    parts = [f"description:{quote}{tool.get('description', '')}{quote}"]
    if takes := tool.get("parameters"):
        parts.append(f"parameters:{{{_taken(takes, quote)}}}")
    if gives := tool.get("response"):
        is_object = str(gives.get("type", "")).upper() == "OBJECT"
        parts.append(f"response:{{{_kind(gives, quote, typed=is_object)}}}")
    return f"declaration:{tool['name']}{{{','.join(parts)}}}"


def _taken(takes: Mapping[str, Any], quote: str) -> str:
    parts = []
    if properties := takes.get("properties"):
        told = (f"{name}:{{{_kind(one, quote)}}}" for name, one in properties.items())
        parts.append(f"properties:{{{','.join(told)}}}")
    if required := takes.get("required"):
        parts.append(f"required:[{','.join(f'{quote}{one}{quote}' for one in required)}]")
    if kind := takes.get("type"):
        parts.append(f"type:{quote}{str(kind).upper()}{quote}")
    return ",".join(parts)


def _kind(told: Mapping[str, Any], quote: str, *, typed: bool = True) -> str:
    """Description and type, as far as they are told."""
    parts = []
    if description := told.get("description"):
        parts.append(f"description:{quote}{description}{quote}")
    if typed and (kind := told.get("type")):
        parts.append(f"type:{quote}{str(kind).upper()}{quote}")
    return ",".join(parts)


def as_marked(arguments: Any, quote: str) -> str:
    """The arguments of a call without the braces around: keys bare and sorted, texts in marks.

    What should be an object and is none is written all the same, a text without marks.
    """
    if isinstance(arguments, str):
        return arguments
    written = _marked(arguments, quote)
    return written[1:-1] if isinstance(arguments, dict) else written


def _marked(value: Any, quote: str) -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, dict):
        inner = (f"{key}:{_marked(one, quote)}" for key, one in sorted(value.items()))
        return f"{{{','.join(inner)}}}"
    if isinstance(value, list):
        return f"[{','.join(_marked(one, quote) for one in value)}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
