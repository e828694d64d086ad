"""The same placeholder for the same thing: in a row, in rows with the same value, in all rows."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DomainError
from datasets.recipes import kinds, placeholders
from datasets.recipes.pipeline import apply, preview
from tests.datasets.test_recipe_steps import ALPACA, qa, run

ONE, OTHER = "13812345678", "13998765432"
PLACEHOLDER = re.compile(r"\[(PHONE|EMAIL)_([0-9]+)\]")


def texts(values, folder, **given) -> list[str]:
    rows, _ = run(values, ("mask", given), folder=folder)
    return [f"{row.value['q']} {row.value['a']}" for row in rows]


def test_within_a_row_unless_more_is_asked_for(tmp_path) -> None:
    values = [qa(ONE, OTHER), qa(OTHER, ONE)]
    assert texts(values, tmp_path) == ["[PHONE_1] [PHONE_2]"] * 2


def test_in_all_rows(tmp_path) -> None:
    values = [qa(ONE, "a@b.org"), qa(OTHER, "+86 138-1234-5678"), qa("A@B.org", ONE)]
    assert texts(values, tmp_path, scope="dataset") == [
        "[PHONE_1] [EMAIL_1]",
        "[PHONE_2] [PHONE_1]",
        "[EMAIL_1] [PHONE_1]",
    ]


def test_in_rows_with_the_same_value_in_a_column(tmp_path) -> None:
    """Rows without a value have numbers of their own, each."""
    values = [
        {**qa(OTHER, ONE), "case": "x"},
        {**qa(ONE, "-"), "case": 7},
        {**qa(ONE, OTHER), "case": "x"},
        qa(ONE, OTHER),
        {**qa(OTHER, "-"), "case": None},
    ]
    assert texts(values, tmp_path, scope="column", scope_column="case") == [
        "[PHONE_1] [PHONE_2]",
        "[PHONE_1] -",
        "[PHONE_2] [PHONE_1]",
        "[PHONE_1] [PHONE_2]",
        "[PHONE_1] -",
    ]


def test_the_column_may_lie_within_another(tmp_path) -> None:
    values = [{**qa(ONE), "of": {"case": 1}}, {**qa(OTHER), "of": {"case": 1}}]
    found = texts(values, tmp_path, scope="column", scope_column="of.case")
    assert found == ["[PHONE_1] yes", "[PHONE_2] yes"]


def test_numbers_that_stand_in_any_row_are_not_given_again(tmp_path) -> None:
    values = [qa(ONE), qa("[PHONE_4]"), qa(OTHER)]
    assert texts(values, tmp_path, scope="dataset") == [
        "[PHONE_5] yes",
        "[PHONE_4] yes",
        "[PHONE_6] yes",
    ]


def test_own_rules_share_numbers_too(tmp_path) -> None:
    values = [qa("PO-000001"), qa("PO-000002 PO-000001")]
    found = texts(values, tmp_path, scope="dataset", rules="ORDER = PO-[0-9]{6}")
    assert found == ["[ORDER_1] yes", "[ORDER_2] [ORDER_1] yes"]


def test_what_is_masked_is_nowhere_in_the_ledger(tmp_path, monkeypatch) -> None:
    """The file of numbers, so many that it cannot stay in memory, and gone in the end."""
    monkeypatch.setattr(placeholders, "_CACHE", 8)
    values = [qa(f"+4420794{number}") for number in range(60000, 61000)]
    steps = kinds.steps_checked([{"kind": "mask", "parameters": {"scope": "dataset"}}])
    rows, _ = applied(values, steps, tmp_path)
    masked = [next(rows).value["q"] for _ in range(999)]
    assert masked == [f"[PHONE_{number}]" for number in range(1, 1000)]
    ledger = next(tmp_path.rglob("numbers")).read_bytes()
    assert len(ledger) > 20_000
    assert b"794" not in ledger
    assert len(list(rows)) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def applied(values, checked, folder):
    return apply(values, checked, mapping=ALPACA, seed=1, folder=folder)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), max_size=30),
    st.sampled_from(["row", "column", "dataset"]),
)
def test_equal_things_and_only_these_have_equal_placeholders(drawn, scope) -> None:
    """Within the scope; and another run gives the same ones, whatever key it drew."""
    numbers = [f"1381234567{digit}" for digit in range(6)]
    values = [{**qa(numbers[a], numbers[b]), "case": case} for a, b, case in drawn]
    given_so = {"scope": scope, "scope_column": "case"}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        found = texts(values, Path(one), **given_so)
        assert texts(values, Path(other), **given_so) == found
    scopes = {"row": range(len(drawn)), "column": [c for *_, c in drawn], "dataset": [0] * 99}
    known: dict[tuple[int, str], str] = {}
    for text, (a, b, _case), where in zip(found, drawn, scopes[scope], strict=False):
        for placeholder, thing in zip(text.split(), (a, b), strict=True):
            assert PLACEHOLDER.fullmatch(placeholder)
            assert known.setdefault((where, placeholder), str(thing)) == str(thing)
    for where in set(scopes[scope]):
        things = [thing for (there, _p), thing in known.items() if there == where]
        assert len(things) == len(set(things))
        assert len(things) == len({p for there, p in known if there == where})


def test_a_sample_is_numbered_likewise() -> None:
    steps = kinds.steps_checked([{"kind": "mask", "parameters": {"scope": "dataset"}}])
    seen = preview([qa(ONE), qa(OTHER), qa(ONE)], steps, mapping=ALPACA, seed=1)
    after = ["".join(part.text for part in row.texts[0].after) for row in seen.rows]
    assert after == ["[PHONE_1]", "[PHONE_2]", "[PHONE_1]"]


def test_scopes_that_cannot_be(tmp_path) -> None:
    with pytest.raises(DomainError) as refused:
        kinds.steps_checked([{"kind": "mask", "parameters": {"scope": "column"}}])
    assert refused.value.data["parameter"] == "scope_column"
    with pytest.raises(DomainError, match="No row has a column “case”"):
        texts([qa(ONE)], tmp_path, scope="column", scope_column="case")
    assert texts([], tmp_path, scope="column", scope_column="case") == []


def test_steps_that_were_stored_before_mask_within_a_row(tmp_path) -> None:
    stored = [{"kind": "mask", "parameters": {"kinds": ["phone"], "rules": ""}}]
    rows, _ = applied([qa(ONE), qa(OTHER)], stored, tmp_path)
    assert [row.value["q"] for row in rows] == ["[PHONE_1]"] * 2
