"""Rows of any columns into every shape, and every shape into every other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DomainError
from datasets.recipes import kinds
from datasets.recipes.convert import filled, from_turns
from datasets.recipes.pipeline import mappings_of, preview
from datasets.shapes.examples import example_of
from datasets.shapes.mapping import Mapping
from datasets.shapes.turns import Example, Turn
from tests.datasets.test_recipe_steps import ALL, ALPACA, KTO, PREFERENCE, qa, run

NOTHING = Mapping.of("", {})
ROW = {"question": "How?", "context": "On foot.", "reply": "Slowly.", "ok": "yes", "n": 3}
WRITTEN = {
    "alpaca": {"prompt": "{question}", "query": "{context}", "response": "{reply}"},
    "sharegpt": {"prompt": "{question}", "query": "{context}", "response": "{reply}"},
    "openai": {"prompt": "{question}", "response": "{reply}", "system": "Be {{kind}}."},
    "preference": {"prompt": "{question}", "chosen": "{reply}", "rejected": "No."},
    "kto": {"prompt": "{question}", "response": "{reply}", "mark": "{ok}"},
    "text": {"text": "{question}\n{context} ({n})"},
}


def _after(step) -> Mapping:
    checked = kinds.steps_checked([{"kind": step[0], "parameters": step[1]}])
    return mappings_of(checked, NOTHING)[-1]


def test_columns_into_alpaca(tmp_path) -> None:
    step = ("convert", WRITTEN["alpaca"])
    rows, _ = run([ROW], step, mapping=NOTHING, folder=tmp_path)
    wanted = {"instruction": "How?", "input": "On foot.", "output": "Slowly.", "system": ""}
    assert rows[0].value == wanted
    kept, _ = run([ROW], ("convert", {**step[1], "keep": True}), mapping=NOTHING, folder=tmp_path)
    assert kept[0].value == {**ROW, **wanted}


@pytest.mark.parametrize("shape", WRITTEN)
def test_columns_into_every_shape(shape, tmp_path) -> None:
    """What comes out is read as that shape, and says what was written."""
    step = ("convert", {"shape": shape, **WRITTEN[shape]})
    rows, _ = run([ROW], step, mapping=NOTHING, folder=tmp_path)
    mapping = _after(step)
    assert mapping.shape == shape
    example = example_of(rows[0].value, mapping)
    if shape == "text":
        assert example.text == "How?\nOn foot. (3)"
        return
    asked = "How?\nOn foot." if shape in {"alpaca", "sharegpt"} else "How?"
    answers = [] if shape == "preference" else [Turn("assistant", "Slowly.")]
    assert example.turns == [Turn("user", asked), *answers]
    assert example.system == ("Be {kind}." if shape == "openai" else "")
    assert (example.kto_tag, bool(example.chosen)) == (
        True if shape == "kto" else None,
        shape == "preference",
    )


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{a}", "x"),
        ("{a}{b}", "x7"),
        ("{c.d}|{c.no}|{no}", "y||"),
        ("{c}", '{"d":"y"}'),
        ("{{a}} {a}", "{a} x"),
        ("{e f}", "{a}"),  # what stands in a cell is no template
        ("", ""),
    ],
)
def test_templates(template, wanted) -> None:
    assert filled(template, {"a": "x", "b": 7, "c": {"d": "y"}, "e f": "{a}"}) == wanted


def test_rows_that_do_not_fit_are_counted(tmp_path) -> None:
    values = [ROW, {**ROW, "reply": "  "}, {"other": 1}, ["x"], {**ROW, "ok": "perhaps"}]
    step = ("convert", {"shape": "kto", **WRITTEN["kto"]})
    rows, outcomes = run(values, step, mapping=NOTHING, folder=tmp_path)
    assert [row.number for row in rows] == [0]
    assert outcomes[0]["dropped"] == {"unfit": 4}


_TEXTS = st.text(alphabet="ab 中\n{}", min_size=1, max_size=8)


@st.composite
def _examples(draw) -> Example:
    turns = [
        Turn(("user", "assistant")[place % 2], draw(_TEXTS))
        for place in range(2 * draw(st.integers(1, 3)))
    ]
    return Example(turns, system=draw(st.sampled_from(["", "Be kind."])))


@given(_examples(), st.lists(st.sampled_from(["alpaca", "sharegpt", "openai"]), max_size=5))
def test_round_trips_keep_every_message(example, shapes) -> None:
    """Through any conversations into any other, in any order."""
    found = example
    for shape in shapes:
        mapping = _after(("convert", {"shape": shape, "source": "turns"}))
        found = example_of(from_turns(found, mapping), mapping)
        found.warnings = []
    assert found == example


@pytest.mark.parametrize("shape", ALL)
@pytest.mark.parametrize("wanted", ALL)
def test_from_every_shape_to_every_other(shape, wanted, tmp_path) -> None:
    """What cannot be is dropped and counted, all else says the same texts."""
    mapping, build = ALL[shape]
    value = build("same")
    step = ("convert", {"shape": wanted, "source": "turns"})
    rows, outcomes = run([value], step, mapping=mapping, folder=tmp_path)
    fits = (
        wanted == "text" or shape == wanted
        or (shape != "text" and wanted in {"alpaca", "sharegpt", "openai"})
    )  # fmt: skip
    assert (len(rows), outcomes[0]["dropped"]) == ((1, {}) if fits else (0, {"unfit": 1}))
    if fits:
        example = example_of(rows[0].value, _after(step))
        assert {turn.content for turn in example.turns} <= {"same"}
        if wanted == "text":
            assert "same" in (example.text or "")


def test_bad_answers_become_no_examples(tmp_path) -> None:
    values = [{"q": "x", "a": "good one", "good": True}, {"q": "x", "a": "bad", "good": False}]
    step = ("convert", {"source": "turns"})
    rows, outcomes = run(values, step, mapping=KTO, folder=tmp_path)
    assert [row.value["output"] for row in rows] == ["good one"]
    assert outcomes[0]["dropped"] == {"unfit": 1}
    pair = [{"q": "x", "c": "better", "r": "worse"}]
    rows, _ = run(pair, step, mapping=PREFERENCE, folder=tmp_path)
    assert rows[0].value["output"] == "better"


def test_later_steps_read_the_new_form(tmp_path) -> None:
    """Masking and duplicates see texts that no mapping named before."""
    values = [{"mail": "a@b.org", "x": n} for n in range(3)]
    steps = [
        ("convert", {"prompt": "Who has {mail}?", "response": "I."}),
        ("deduplicate", {"mode": "exact"}),
        ("mask", {}),
    ]
    rows, outcomes = run(values, *steps, mapping=NOTHING, folder=tmp_path)
    assert [row.value["instruction"] for row in rows] == ["Who has [EMAIL_1]?"]
    assert outcomes[1]["dropped"] == {"duplicate": 2}


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({}, "prompt"),
        ({"prompt": "{q}"}, "response"),
        ({"prompt": "{q", "response": "x"}, "prompt"),
        ({"prompt": "{}", "response": "x"}, "prompt"),
        ({"shape": "kto", "prompt": "x", "response": "y"}, "mark"),
        ({"shape": "text"}, "text"),
        ({"shape": "other"}, "shape"),
    ],
)
def test_conversions_that_cannot_be(given, parameter) -> None:
    with pytest.raises(DomainError) as refused:
        kinds.steps_checked([{"kind": "convert", "parameters": given}])
    assert refused.value.data["parameter"] == parameter


def test_what_another_format_needs_does_not_count(tmp_path) -> None:
    step = ("convert", {**WRITTEN["alpaca"], "text": "{", "chosen": "{ "})
    rows, _ = run([ROW], step, mapping=NOTHING, folder=tmp_path)
    assert rows[0].value["output"] == "Slowly."


def test_the_preview_shows_the_columns_and_the_new_texts() -> None:
    steps = kinds.steps_checked([{"kind": "convert", "parameters": WRITTEN["alpaca"]}])
    seen = preview([ROW, {"other": 1}], steps, mapping=NOTHING, seed=1)
    first, second = seen.rows
    assert [text.role for text in first.texts][:5] == list(ROW)
    new = [(text.role, text.after[0].text) for text in first.texts if text.after]
    assert new == [("user", "How?"), ("user", "On foot."), ("assistant", "Slowly.")]
    assert (second.step, second.reason) == (1, "unfit")
    same = kinds.steps_checked([{"kind": "clean"}])
    assert not preview([qa("x")], same, mapping=ALPACA, seed=1).rows[0].changed
