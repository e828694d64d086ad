"""A row as a form: each of its texts has a place, and what is written is bounded."""

import orjson
import pytest

from common.errors import DomainError
from datasets.editing import places_of, value_checked, value_parsed, with_texts
from datasets.shapes.mapping import Mapping

OPENAI = Mapping.of("openai", {"messages": "messages"})
ROWS = {
    "alpaca": (
        Mapping.of("alpaca", {"prompt": "q", "response": "a", "history": "h", "system": "s"}),
        {"a": "A", "id": 7, "q": "Q", "h": [["q0", "a0"]], "s": "S"},
        [("system", "S"), ("user", "q0"), ("assistant", "a0"), ("user", "Q"), ("assistant", "A")],
    ),
    "openai": (
        OPENAI,
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Q"}]},
                {"role": "assistant", "content": "A", "tool_calls": None},
            ]
        },
        [("user", "Q"), ("assistant", "A")],
    ),
    "sharegpt preference": (
        Mapping.of("preference", {"messages": "c", "chosen": "w", "rejected": "l"}),
        {
            "c": [{"from": "human", "value": "Q"}],
            "w": {"from": "gpt", "value": "W"},
            "l": {"from": "gpt", "value": "L"},
        },
        [("user", "Q"), ("chosen", "W"), ("rejected", "L")],
    ),
    "kto": (
        Mapping.of("kto", {"prompt": "q", "response": "a", "kto_tag": "ok"}),
        {"q": "Q", "a": "A", "ok": True},
        [("user", "Q"), ("assistant", "A")],
    ),
    "text": (Mapping.of("text", {"prompt": "text"}), {"text": "T", "page": 3}, [("text", "T")]),
}


@pytest.mark.parametrize("name", ROWS)
def test_every_text_of_every_shape_has_a_place(name) -> None:
    mapping, value, wanted = ROWS[name]
    places = places_of(value, mapping)
    assert [(place.role, place.text) for place in places] == wanted
    assert with_texts(value, places, [place.text for place in places]) == value
    made = with_texts(value, places, [f"{place.text}!" for place in places])
    assert [place.text for place in places_of(made, mapping)] == [
        f"{text}!" for _role, text in wanted
    ]
    assert orjson.loads(value_checked(made, mapping)) == made
    assert list(made) == list(value)


def test_line_ends_of_forms_change_nothing() -> None:
    mapping = Mapping.of("text", {"prompt": "text"})
    value = {"text": "one\r\ntwo\n"}
    places = places_of(value, mapping)
    assert with_texts(value, places, ["one\r\ntwo\r\n"]) == value
    assert with_texts(value, places, ["one\r\n2\r\n"]) == {"text": "one\n2\n"}
    assert (
        with_texts({"text": "a"}, places_of({"text": "a"}, mapping), ["a\r\nb"])["text"] == "a\nb"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "broken_json"),
        ('{"q": "x"} {}', "broken_json"),
        ("[" * 70 + "]" * 70, "nesting"),
        ("[" + "1," * 100_000 * 2 + "1]", "too_long"),
        ("x" * 2**19, "too_long"),
    ],
)
def test_what_is_written_is_bounded(text, code) -> None:
    with pytest.raises(DomainError) as refused:
        value_parsed(text)
    assert refused.value.code == code


def test_no_row_becomes_useless() -> None:
    for value, code in (
        ([], "not_object"),
        ({"messages": []}, "no_messages"),
        ({"messages": [{"role": "user", "content": "q"}]}, "no_answer"),
        ({"messages": 2**70}, "broken_json"),
        ({"messages": "\ud800"}, "broken_json"),
        ({"x": "y" * 2**18}, "too_long"),
    ):
        with pytest.raises(DomainError) as refused:
            value_checked(value, OPENAI)
        assert refused.value.code == code
