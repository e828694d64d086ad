"""Tools and calls of them in a template's own words."""

import json
import time
from typing import Any

import orjson
import pytest

from datasets.shapes.families import FAMILIES, template_named
from datasets.shapes.tool_words import ToolWords
from datasets.shapes.turns import Example, Turn
from datasets.sight import tokens_seen
from datasets.statistics.tokenizers import Tokenizer
from tests.datasets.test_tokens import tokenizer_dir

__all__ = ["tokenizer_dir"]
ONE = {"name": "one", "parameters": {"type": "object", "properties": {}}}
TWO = {
    "name": "two",
    "description": "the second",
    "parameters": {
        "properties": {
            "place": {"type": "string", "description": "where", "enum": ["here", "2"]},
            "days": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["place"],
    },
}
WRAPPED = {"type": "function", "function": TWO}
TOOLS = ["on {{date}}: [", ", ", "] {{names}}"]


def told(**words: Any) -> ToolWords:
    found = ToolWords.read(words)
    assert found is not None
    return found


def call(name: Any, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize(
    ("way", "written"),
    [
        ("wrapped", [{"type": "function", "function": ONE}, WRAPPED]),
        ("bare", [ONE, TWO]),
        ("given", [ONE, WRAPPED]),
    ],
)
@pytest.mark.parametrize("indent", [0, 4])
def test_tools_as_json(way, written, indent) -> None:
    words = told(tools=TOOLS, tool=way, indent=indent)
    ones = ", ".join(json.dumps(one, indent=indent or None) for one in written)
    today = time.strftime("%d %b %Y")
    assert words.tools_said(json.dumps([ONE, WRAPPED])) == f"on {today}: [{ones}] one, two"
    assert words.tools_said("") == ""


def test_tools_by_their_arguments() -> None:
    words = told(tools=["{{name}}: {{description}}\n", "{{name}}!\n", ""], tool="arguments")
    assert words.tools_said(json.dumps([ONE, WRAPPED])) == (
        "one: \ntwo!\n"
        "  - place (string, required): where, should be one of [here, 2]\n"
        "  - days (array): , where each item should be integer\n"
    )


def test_tools_that_the_engine_would_stop_at_stay_as_they_are() -> None:
    words = told(tools=["", "", ""], tool="arguments")
    odd = json.dumps([ONE | {"parameters": {"properties": {"a": {"items": [1]}}}}])
    assert words.tools_said(odd) == odd
    verbatim = told(tools=["<", "", ">"], tool="verbatim")
    assert verbatim.tools_said(odd) == f"<{odd}>"


AS_JSON = {"call": ["{{name}}(", ")"], "calls": ["[{{name}}(", "), {{name}}(", ")]"]}
THOUGHTS, MARKS = ["<think>", "</think>"], ["<call>", "</call>"]


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        (call("one"), "one({})"),
        ([call("one", place="é{{name}}")], 'one({"place": "é{{name}}"})'),
        ([call("one"), call("two", n=1)], '[one({}), two({"n": 1})]'),
        ({"name": "one"}, '{"name": "one"}'),
        ([], "[]"),
    ],
)
def test_calls_with_json(calls, said) -> None:
    assert told(**AS_JSON).call_said(json.dumps(calls)) == said


def test_several_calls_where_the_engine_takes_one_stay_as_they_are() -> None:
    words, several = told(call=AS_JSON["call"]), json.dumps([call("one"), call("two")])
    assert words.call_said(several) == several
    assert ToolWords().call_said(several) == several


def test_calls_with_one_argument_after_the_other() -> None:
    argument = ['{{key}}="{{value}}"', "{{key}}={{value}}", ", "]
    words = told(**AS_JSON, argument=argument)
    given = json.dumps(call("one", a="{{key}}", b=[1, None], c={"é": True}))
    assert words.call_said(given) == 'one(a="{{key}}", b=[1, null], c={"é": true})'
    text = json.dumps({"name": "one", "arguments": "text"})
    assert words.call_said(text) == text


@pytest.mark.parametrize(
    ("naming", "names", "said"),
    [
        ("", ['a"b', None, 7], ['a"b({})', "None({})", "7({})"]),
        ("json", ['a"b', None, 7], ['"a\\"b"({})', "null({})", "7({})"]),
        ("text", ['a"b'], ['a"b({})']),
    ],
)
def test_names_of_calls(naming, names, said) -> None:
    words = told(**AS_JSON, naming=naming)
    assert [words.call_said(json.dumps(call(name))) for name in names] == said
    assert words.stops_at_call(json.dumps(call(None))) == (naming == "text")


def test_a_form_that_is_no_json() -> None:
    """Texts in marks, keys bare and in order; of arguments only description and type."""
    words = told(**AS_JSON, tools=["", "\n", ""], tool="declared", quote="|")
    given = json.dumps(call("one", b=[1.5, None, True], a="x", c={"z": "é", "y": {}}))
    assert words.call_said(given) == "one(a:|x|,b:[1.5,null,true],c:{y:{},z:|é|})"
    assert words.call_said('{"name": "one", "arguments": "text"}') == "one(text)"
    gives = {"response": {"type": "object", "description": "all"}, "parameters": {}}
    assert words.tools_said(json.dumps([WRAPPED, ONE | gives])) == (
        "declaration:two{description:|the second|,parameters:{properties:"
        "{place:{description:|where|,type:|STRING|},days:{type:|ARRAY|}},required:[|place|]}}\n"
        "declaration:one{description:||,response:{description:|all|,type:|OBJECT|}}"
    )
    assert ToolWords.read({"tools": ["", "", ""], "tool": "declared"}) is None


def test_words_around_calls() -> None:
    words, one = told(**AS_JSON, thoughts=THOUGHTS, marks=MARKS), json.dumps(call("one"))
    assert words.call_said(f"<think>hm</think>{one}") == "<think>hm</think>one({})"
    assert words.call_said(f"Well <call>{one}</call>") == "Well one({})"
    assert words.call_said(f"Well {one}") == f"Well {one}"


def test_rows_are_shown_and_counted_in_these_words(settings, tmp_path, tokenizer_dir) -> None:
    """Also by the process that tokenizes them."""
    words = {**AS_JSON, "tools": ["<", ",", ">"], "tool": "bare"}
    told = json.loads(orjson.dumps(FAMILIES["chatml"])) | {"tool_words": words}
    settings.ENGINES_DIR = tmp_path
    (tmp_path / "llamafactory").mkdir()
    (tmp_path / "llamafactory" / "templates.json").write_text(json.dumps({"mine": told}))
    turns = [Turn("user", "?"), Turn("function", json.dumps(call("one")))]
    example = Example(turns, tools=json.dumps([ONE, WRAPPED]))
    tokenizer = Tokenizer("", "letters", tokenizer_dir, "mine", is_base=True)
    (seen,) = tokens_seen([example], tokenizer)
    text = "".join(piece.text for piece in seen.pieces)
    assert f"system\n<{json.dumps(ONE)},{json.dumps(TWO)}><|im_end|>" in text
    assert "assistant\none({})<|im_end|>" in text
    assert template_named("mine").digest != FAMILIES["chatml"].digest


def test_an_engine_of_before_tells_no_such_words(settings, tmp_path) -> None:
    told = json.loads(orjson.dumps(FAMILIES["chatml"]))
    del told["tool_words"]
    settings.ENGINES_DIR = tmp_path
    (tmp_path / "llamafactory").mkdir()
    (tmp_path / "llamafactory" / "templates.json").write_text(json.dumps({"chatml": told}))
    assert template_named("chatml").tool_words == ToolWords()
