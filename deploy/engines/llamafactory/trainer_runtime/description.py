"""The verb ``describe``: what this engine offers, as JSON that the platform reads without it."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
import json
import types
import typing
from pathlib import Path
from typing import Any

from .tool_words import tool_words
from .workload import write_atomically

QUANTISER = ("gptqmodel", "optimum")


def offered(*needed: str) -> dict[str, Any]:
    """Return whether the packages are all here, and which are not."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    return {"available": not missing, "missing": missing}


def capabilities() -> dict[str, Any]:
    """Return what this machine and this environment can do."""
    import torch

    return {
        "gpu": torch.cuda.is_available(),
        "qlora": offered("bitsandbytes"),
        "quantise": offered(*QUANTISER),
    }


def catalogue() -> list[dict[str, str]]:
    """Return the models that the engine knows, with the template each was made for."""
    from llamafactory.extras.constants import DEFAULT_TEMPLATE, SUPPORTED_MODELS, DownloadSource

    return [
        {
            "name": name,
            "hf_id": sources.get(DownloadSource.DEFAULT, ""),
            "ms_id": sources.get(DownloadSource.MODELSCOPE, ""),
            "template": DEFAULT_TEMPLATE.get(name, ""),
        }
        for name, sources in SUPPORTED_MODELS.items()
    ]


def templates() -> dict[str, dict[str, Any]]:
    """Return all chat templates by name: the words around texts, and how they are put there."""
    from llamafactory.data.template import TEMPLATES

    return {name: template(found) for name, found in sorted(TEMPLATES.items())}


def template(found: Any) -> dict[str, Any]:
    """Return a chat template; tokens are named by their text or their part in a tokenizer."""
    from llamafactory.data.template import Llama2Template, ReasoningTemplate

    def slots(formatter: Any) -> list[Any]:
        written: list[Any] = []
        for slot in formatter.slots:
            if isinstance(slot, set):
                written += [{"part": part} for part in ("bos", "eos") if f"{part}_token" in slot]
            else:
                written.append(slot)
        return written

    thinks = isinstance(found, ReasoningTemplate)
    return {
        "user": slots(found.format_user),
        "assistant": slots(found.format_assistant),
        "function": slots(found.format_function),
        "observation": slots(found.format_observation),
        "system": slots(found.format_system),
        "prefix": slots(found.format_prefix),
        "default_system": found.default_system,
        "system_in_question": isinstance(found, Llama2Template),
        "stop_words": found.stop_words,
        "replace_eos": found.replace_eos,
        "efficient_eos": found.efficient_eos,
        "thought_words": list(found.thought_words) if thinks else [],
        "thought": found.add_thought() if thinks else "",
        "tool_words": tool_words(found),
        "placeholders": placeholders(found.mm_plugin),
    }


def placeholders(plugin: Any) -> list[str]:
    """Return what stands for files in texts, where the engine stops without such files."""
    from llamafactory.data.mm_plugin import BasePlugin
    from llamafactory.extras import constants

    if type(plugin).process_messages is BasePlugin.process_messages:
        return []  # it takes no files, and leaves texts as they are
    return [getattr(constants, f"{kind}_PLACEHOLDER") for kind in ("IMAGE", "VIDEO", "AUDIO")]


def _parts(kind: Any) -> list[Any]:
    """Return the members of a union, or the type alone."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return list(typing.get_args(kind))
    return [kind]


def _type_name(kind: Any) -> str:
    """Return a short name of a type: bool, int, float, str, list, dict; joined by a bar."""
    names: list[str] = []
    for part in _parts(kind):
        origin = typing.get_origin(part)
        if part is type(None):
            name = "null"
        elif origin is typing.Literal:
            name = type(typing.get_args(part)[0]).__name__
        elif origin is not None:
            name = getattr(origin, "__name__", str(origin))
        elif isinstance(part, type) and issubclass(part, enum.Enum):
            name = "str"
        else:
            name = getattr(part, "__name__", str(part))
        if name not in names:
            names.append(name)
    return "|".join(names)


def _choices(kind: Any, metadata: typing.Mapping[str, Any]) -> list[Any] | None:
    """Return the allowed values where they are listed."""
    if metadata.get("choices"):
        return list(metadata["choices"])
    for part in _parts(kind):
        if typing.get_origin(part) is typing.Literal:
            return list(typing.get_args(part))
        if isinstance(part, type) and issubclass(part, enum.Enum):
            return [member.value for member in part]
    return None


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, enum.Enum):
        return value.value
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return _plain(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _plain(field.default_factory())
    return None


def arguments() -> dict[str, dict[str, Any]]:
    """Return every argument that a training configuration may hold."""
    from llamafactory.hparams import (
        DataArguments,
        FinetuningArguments,
        GeneratingArguments,
        ModelArguments,
        TrainingArguments,
    )

    groups: dict[str, Any] = {
        "model": ModelArguments,
        "data": DataArguments,
        "training": TrainingArguments,
        "finetuning": FinetuningArguments,
        "generating": GeneratingArguments,
    }
    found: dict[str, dict[str, Any]] = {}
    for group, kind in groups.items():
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if not field.init or field.name in found:
                continue
            hint = hints.get(field.name, str)
            found[field.name] = {
                "type": _type_name(hint),
                "default": _default(field),
                "choices": _plain(_choices(hint, field.metadata)),
                "help": " ".join(str(field.metadata.get("help") or "").split()),
                "group": group,
            }
    return found


def describe(folder: Path) -> None:
    """Write the four files."""
    contents = {
        "capabilities.json": capabilities(),
        "catalogue.json": catalogue(),
        "templates.json": templates(),
        "arguments.json": arguments(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        write_atomically(folder / name, text)
