"""Rows with descriptions of tools, calls of them and what they answered."""

import json
from typing import Any

PLACE = {"type": "string", "description": "a place, 地点"}
WEATHER = {
    "name": "get_weather",
    "description": 'Tells the weather: "now"\nor later.',
    "parameters": {
        "type": "object",
        "properties": {
            "place": PLACE,
            "days": {"type": "integer", "enum": ["1", "2"]},
            "hours": {"type": "array", "items": {"type": "number"}},
        },
        "required": ["place"],
    },
}
CLOCK = {"name": "clock", "parameters": {"type": "object", "properties": {}}}
TOOLS = [
    [WEATHER],
    [{"type": "function", "function": WEATHER}],
    [CLOCK, {"type": "function", "function": WEATHER}, WEATHER],
    [],
]
ARGUMENTS: list[dict[str, Any]] = [
    {"place": "Paris"},
    {},
    {"place": '"重庆"\n', "days": 2, "hours": [1.5, None], "more": {"é": True, "a": "b"}},
    {"days": None, "place": "{{name}} {{value}} {}"},
]
NAMES = ["get_weather", 'get "天气"', None, "get_weather"]
AROUND = [
    "{}",
    "<tool_call>\n{}\n</tool_call>",
    "<think>\nhm\n</think>\n\n{}",
    "Well <tool_call>{}</tool_call>",
]


def tool_rows(n: int, words: str) -> dict[str, dict[str, Any]]:
    """The n-th row of each kind, with these words in its answers."""
    tools, arguments = TOOLS[n % len(TOOLS)], ARGUMENTS[n // 2 % len(ARGUMENTS)]
    asked = f"Which weather is it?{words}"
    name = NAMES[n // 2 % len(NAMES)]
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=n % 2 == 0)
    call = AROUND[n // 3 % len(AROUND)].replace("{}", call)
    turns = [
        {"from": "human", "value": asked},
        {"from": "function_call", "value": call},
        {"from": "observation", "value": json.dumps({"sun": words})},
        {"from": "gpt", "value": f"<think>\nso\n</think>\n\nSun.{words}" if n % 4 == 1 else "Sun."},
    ] * (1 + n % 2)
    if n % 3 == 1:
        turns.insert(0, {"from": "system", "value": "Be short."})
    given = {"tools": json.dumps(tools) if n % 2 else json.dumps(tools, ensure_ascii=False)}
    answers = {"chosen": turns[-3], "rejected": turns[-1]}
    return {
        "sharegpt with tools": {"conversations": turns, **given},
        "preference with tools": {"conversations": turns[:-3], **answers, **given},
        "kto with tools": {"conversations": turns, "kto_tag": n % 2 == 0, **given},
        "alpaca with tools": {"instruction": asked, "input": "", "output": "Sun.", **given},
        "openai with tools": {"messages": _messages(asked, [arguments], words), **given},
        "calls at once": {"messages": _messages(asked, [arguments, ARGUMENTS[0]], words), **given},
    }


def _messages(asked: str, calls: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    named = [
        {"id": str(n), "type": "function", "function": {"name": "get_weather", "arguments": text}}
        for n, text in enumerate(map(json.dumps, calls))
    ]
    answers = [{"role": "tool", "tool_call_id": one["id"], "content": words} for one in named]
    return [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": asked},
        {"role": "assistant", "content": None, "tool_calls": named},
        *answers,
        {"role": "assistant", "content": "Sun."},
    ]
