"""The chat templates that there are: the engine's own, and without an engine the common ones."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from common.engines import engine_folder
from datasets.shapes.templates import BOS, EOS, Template
from datasets.shapes.tool_words import ToolWords

STOPS_FORMAT = 1  # of `Template.stops_at`; versions checked by an earlier one are looked at again
FILE_MAX = 4 * 2**20  # bytes of templates.json; the engine's has some 170 kB

_THINKS = {"thought_words": ("<think>\n", "\n</think>\n\n"), "thought": "<think>\n\n</think>\n\n"}


def _chatml(tool: str = "tool\n{{content}}", **more: Any) -> Template:
    ends = "<|im_end|>\n"
    asks = ends + "<|im_start|>assistant\n"
    answer = ("{{content}}" + ends,)
    return Template(
        user=("<|im_start|>user\n{{content}}" + asks,),
        assistant=answer,
        function=answer,
        observation=(f"<|im_start|>{tool}{asks}",),
        system=("<|im_start|>system\n{{content}}" + ends,),
        replace_eos=True,
        **{"stop_words": ("<|im_end|>",), **more},
    )


def _qwen(**more: Any) -> Template:
    return _chatml("user\n<tool_response>\n{{content}}\n</tool_response>", **more)


def _plain(user: Any, answer: Any, **more: Any) -> Template:
    """Results of tools are put like questions, calls like answers."""
    same = {"user": user, "observation": user, "assistant": answer, "function": answer}
    return Template(**{**same, **more})


def _llama3(role: str) -> str:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n"


def _gemma(role: str) -> tuple[str]:
    return (f"<start_of_turn>{role}\n{{{{content}}}}<end_of_turn>\n<start_of_turn>model\n",)


_LLAMA3_ASKS = "{{content}}<|eot_id|>" + _llama3("assistant")
_ALPACA_ANSWER = ("{{content}}", EOS, "\n\n")
FAMILIES = {
    "qwen3_nothink": _qwen(),
    "qwen3": _qwen(**_THINKS),
    "qwen": _qwen(
        default_system="You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    ),
    "llama3": _plain(
        (_llama3("user") + _LLAMA3_ASKS,),
        ("{{content}}<|eot_id|>",),
        observation=(_llama3("ipython") + _LLAMA3_ASKS,),
        system=(_llama3("system") + "{{content}}<|eot_id|>",),
        prefix=(BOS,),
        stop_words=("<|eot_id|>", "<|eom_id|>"),
        replace_eos=True,
    ),
    "gemma": _plain(
        _gemma("user"),
        ("{{content}}<end_of_turn>\n",),
        observation=_gemma("tool"),
        system=("{{content}}\n\n",),
        prefix=(BOS,),
        system_in_question=True,
        stop_words=("<end_of_turn>",),
        replace_eos=True,
    ),
    "mistral": Template(
        user=("[INST] {{content}}[/INST]",),
        assistant=(" {{content}}", EOS),
        function=("[TOOL_CALLS] {{content}}", EOS),
        observation=('[TOOL_RESULTS] {"content": {{content}}}[/TOOL_RESULTS]',),
        system=("{{content}}\n\n",),
        prefix=(BOS,),
        system_in_question=True,
    ),
    "deepseek3": _plain(
        ("<｜User｜>{{content}}<｜Assistant｜>",), ("{{content}}", EOS), prefix=(BOS,)
    ),
    "alpaca": _plain(
        ("### Instruction:\n{{content}}\n\n### Response:\n",),
        _ALPACA_ANSWER,
        default_system="Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n",
    ),
    "default": _plain(
        ("Human: {{content}}", EOS, "\nAssistant:"),
        ("{{content}}", EOS, "\n"),
        system=("System: {{content}}", EOS, "\n"),
    ),
    "empty": Template(assistant=("{{content}}",), function=("{{content}}",)),
    "chatml": _chatml(stop_words=("<|im_end|>", "<|im_start|>")),
}


def template_named(name: str) -> Template:
    """The template of that name, or for want of it ChatML.

    ChatML's words take about as many tokens as those of most templates.
    """
    return _known().get(name, FAMILIES["chatml"])


def is_known(name: str) -> bool:
    """Whether `template_named` gives the template's own words, not ChatML's."""
    return name in _known()


def ways_to_stop() -> list[tuple[Template, list[str]]]:
    """One template of each way in which rows can stop the engine, and all names."""
    return list(_ways().values())


def ways_digest() -> str:
    """Another one for other ways. Empty where no engine tells of its templates."""
    if _known() is FAMILIES:
        return ""
    told = [(way.decode(), names) for way, (_template, names) in _ways().items()]
    return hashlib.sha256(orjson.dumps([STOPS_FORMAT, told])).hexdigest()[:16]


def _ways() -> dict[bytes, tuple[Template, list[str]]]:
    ways: dict[bytes, tuple[Template, list[str]]] = {}
    for name, template in _known().items():
        words = template.tool_words
        tool = words.tool if words.tool in ("arguments", "verbatim", "declared") else "json"
        said = (words.names_tools, tool)
        called = (*map(bool, (words.call, words.calls, words.argument, words.quote)), words.naming)
        around = (words.thoughts, words.marks, template.thought_words, template.placeholders)
        way = orjson.dumps((bool(words.tools), said, called, around))
        ways.setdefault(way, (template, []))[1].append(name)
    return ways


def _known() -> Mapping[str, Template]:
    path = engine_folder("llamafactory") / "templates.json"
    try:
        facts = path.stat()
    except OSError:
        return FAMILIES
    return _told(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=4)
def _told(path: Path, changed_at: int, size: int) -> Mapping[str, Template]:
    """What the engine says, or the families where it only names its templates."""
    try:
        found = orjson.loads(path.read_bytes()) if size <= FILE_MAX else None
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        return FAMILIES
    return {name: template for name, facts in found.items() if (template := _read(facts))}


def _read(facts: Any) -> Template | None:
    """A template as the engine describes it; None for what is none."""
    if not isinstance(facts, dict):
        return None
    facts = {"placeholders": [], "tool_words": {}, **facts}  # earlier engines tell neither
    tool_words = ToolWords.read(facts.pop("tool_words"))
    kinds = {one.name: one.default for one in fields(Template) if one.name != "tool_words"}
    if tool_words is None or facts.keys() != kinds.keys():
        return None
    if not all(_fits(facts[name], default) for name, default in kinds.items()):
        return None
    template = Template(**facts, tool_words=tool_words)
    words = (*template.stop_words, *template.thought_words, *template.placeholders)
    has_words = all(isinstance(one, str) for one in words)
    has_eos = bool(template.stop_words) or not template.replace_eos
    has_ends = len(template.thought_words) in (0, 2)
    return template if has_words and has_eos and has_ends and template.system else None


def _fits(value: Any, default: Any) -> bool:
    if not isinstance(default, tuple):
        return type(value) is type(default)
    return isinstance(value, list) and all(
        isinstance(one, str)
        or (isinstance(one, dict) and (one in (BOS, EOS) or isinstance(one.get("token"), str)))
        for one in value
    )
