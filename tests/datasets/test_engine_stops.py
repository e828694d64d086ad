"""The check names the rows at which the real engine stops a training, whatever the template."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from common.errors import DomainError
from datasets.checking import rows_check
from datasets.ingest import contents_ingest
from datasets.recipes.kinds import steps_checked
from datasets.recipes.pipeline import apply
from datasets.shapes.detect import guess
from datasets.shapes.examples import example_of
from datasets.shapes.families import template_named
from tests.datasets.samples_of_tools import ARGUMENTS, CLOCK, TOOLS, WEATHER
from tests.datasets.test_engine_agrees import LIMIT, engine_run

pytestmark = pytest.mark.engine

Q, A = {"from": "human", "value": "Which weather?"}, {"from": "gpt", "value": "Sun."}
CALL = {"name": "clock", "arguments": {}}


def _with_enum(*values: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"n": {"type": "integer", "enum": [*values]}}}
    return {"name": "pick", "parameters": parameters}


def _with(**told: Any) -> dict[str, Any]:
    return {"name": "t", "parameters": {"type": "object", "properties": {"n": told}}}


GIVEN = {
    **{f"tools {n}": tools for n, tools in enumerate(TOOLS)},
    "numbers to choose from": [_with_enum(1, 2)],
    "texts to choose from": [_with_enum("1", "2")],
    "nothing to choose from": [_with_enum()],
    "no function inside": [{"type": "function", **WEATHER}],
    "a function without its type": [{"function": WEATHER}],
    "one of two is odd": [CLOCK, _with_enum(1)],
    "items that are a list": [_with(items=[1])],
    "items that are an object": [_with(items={"type": "integer"})],
    "a description that is none": [{**CLOCK, "description": None}],
    "required as a text": [{"name": "t", "parameters": {"properties": {}, "required": "all"}}],
    "required as a number": [{"name": "t", "parameters": {"properties": {}, "required": 1}}],
    "what it gives": [{**CLOCK, "response": {"type": "object", "description": "the time"}}],
    "what it gives as a text": [{**CLOCK, "response": "the time"}],
}
CALLS = {
    **{f"arguments {n}": {"name": "clock", "arguments": one} for n, one in enumerate(ARGUMENTS)},
    "several": [CALL, CALL],
    "one in a list": [CALL],
    "none": [],
    "text as arguments": {"name": "clock", "arguments": "{}"},
    "a list as arguments": {"name": "clock", "arguments": [1]},
    "nothing as arguments": {"name": "clock", "arguments": None},
    "the second with text": [CALL, {"name": "clock", "arguments": "x"}],
    **{f"the name {name}": {**CALL, "name": name} for name in (None, 7, True, ["a"], {"a": 1}, "")},
    "the second named by nothing": [CALL, {**CALL, "name": None}],
}
TEXTS = {
    "in marks": f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>",
    "in marks after words": f"Well <tool_call>{json.dumps(CALL)}</tool_call>",
    "after thoughts": f"<think>\nhm\n</think>\n\n{json.dumps(CALL)}",
    "no JSON in marks": "<tool_call>clock()</tool_call>",
    "no JSON after thoughts": "<think>\nhm\n</think>\n\nclock()",
    "no arguments in marks": '<tool_call>{"name": "clock"}</tool_call>',
    "two marks": f"<tool_call>{json.dumps(CALL)}</tool_call>" * 2,
}
PLACES = ("<image>", "<video>", "<audio>", "<Image>", "< image>", "<|image|>", "<image", "{image}")


def _rows() -> dict[str, dict[str, Any]]:
    """Rows by what is special about them."""
    found = {name: {"conversations": [Q, A], "tools": json.dumps(t)} for name, t in GIVEN.items()}
    for word in PLACES:
        text = f"What is {word}?"
        found[f"{word} in a question"] = {"conversations": [{**Q, "value": text}, A]}
        found[f"{word} in an answer"] = {"conversations": [Q, {**A, "value": text}]}
        system = {"from": "system", "value": text}
        found[f"{word} in a prompt"] = {"conversations": [system, Q, A]}
        found[f"{word} in tools"] = {
            "conversations": [Q, A],
            "tools": json.dumps([{**CLOCK, "description": text}]),
        }
        seen = {"from": "observation", "value": text}
        turns = [Q, {"from": "function_call", "value": json.dumps(CALL)}, seen, A]
        found[f"{word} from a tool"] = {"conversations": turns}
    said = {name: json.dumps(call) for name, call in CALLS.items()} | TEXTS
    for name, text in said.items():
        turns = [Q, {"from": "function_call", "value": text}, {**Q, "from": "observation"}, A]
        found[f"call: {name}"] = {"conversations": turns, "tools": ""}
    return found


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    """Those rows that the check takes, as examples."""
    mapping = guess(list(_rows().values())).mapping
    return {name: example_of(row, mapping) for name, row in _rows().items()}


@pytest.fixture(scope="module")
def engine(asked, tmp_path_factory) -> dict[str, Any]:
    """What the engine's templates do with them, and what it tells of these."""
    folder = tmp_path_factory.mktemp("stops")
    rows = [
        {
            "messages": [asdict(turn) for turn in example.turns],
            "system": example.system,
            "tools": example.tools,
        }
        for example in asked.values()
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    return dict(engine_run("engine_stops.py", "rows.json", folder=folder))


@pytest.fixture
def engine_tells(engine, tmp_path, settings) -> dict[str, Any]:
    """The platform reads what the engine says of its templates."""
    settings.ENGINES_DIR = tmp_path / "engines"
    folder = tmp_path / "engines" / "llamafactory"
    folder.mkdir(parents=True)
    (folder / "templates.json").write_text(json.dumps(engine["templates"]))
    return engine


def test_the_engine_stops_where_we_say(asked, engine_tells) -> None:
    """And takes all other rows."""
    wrong = []
    for template, stops in engine_tells["stops"].items():
        for (name, example), stopped in zip(asked.items(), stops, strict=True):
            said = template_named(template).stops_at(example)
            if bool(said) != stopped:
                wrong.append((template, name, said, stopped))
    assert not wrong, (len(wrong), wrong[:10], wrong[-10:])
    assert all(any(row) for row in zip(*engine_tells["stops"].values(), strict=True)) is False


def test_the_check_counts_them_by_template(asked, engine_tells, tmp_path) -> None:
    """So many as the engine stops at, with the number of the first."""
    rows = list(_rows().values())
    original = tmp_path / "original"
    original.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    contents = contents_ingest(tmp_path, original, "a.jsonl", line_limit=LIMIT)
    (tmp_path / "check").mkdir()
    mapping = guess(contents.sample).mapping
    found = rows_check(tmp_path / "rows.jsonl", tmp_path / "check", mapping).report()["stops"]
    for template, stops in engine_tells["stops"].items():
        told = found.get(template, {"rows": 0, "row": None})
        first = stops.index(True) + 1 if any(stops) else None
        assert (told["rows"], told["row"]) == (sum(stops), first), template


def test_a_recipe_leaves_out_where_the_engine_stops(asked, engine_tells, tmp_path) -> None:
    """Those rows and no others."""
    rows, stopping = list(_rows().values()), 0
    for template, stops in engine_tells["stops"].items():
        steps = steps_checked([{"kind": "clean", "parameters": {"template": template}}])
        kept, outcomes = apply(rows, steps, mapping=guess(rows).mapping, seed=1, folder=tmp_path)
        assert [row.number for row in kept] == [n for n, stop in enumerate(stops) if not stop]
        assert outcomes[0].dropped.get("stops", 0) == sum(stops), template
        stopping += sum(stops)
    assert stopping
    with pytest.raises(DomainError, match="There is no chat template “nobody's”"):
        steps_checked([{"kind": "clean", "parameters": {"template": "nobody's"}}])
