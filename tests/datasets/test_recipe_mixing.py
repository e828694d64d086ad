"""Several versions in one: mixed by weight, and compared with each other."""

import random
import uuid
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.dedup import rows as planted_rows
from common.errors import DomainError
from datasets.recipes import kinds
from datasets.recipes.mixing import shares
from datasets.recipes.pipeline import apply, preview
from datasets.recipes.rows import Input
from datasets.shapes.mapping import Mapping
from tests.datasets.test_recipe_steps import ALPACA, KTO, SHAREGPT, TEXT, _planted, qa

OTHER, THIRD = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


def one(values, mapping=ALPACA) -> Input:
    """A version of these rows."""
    return Input(mapping, len(values), lambda: values)


def go(values, kind, given, inputs, folder, seed=1, mapping=ALPACA):
    """The rows left and what the step did, with further versions at hand."""
    steps = kinds.steps_checked([{"kind": kind, "parameters": given}])
    rows, outcomes = apply(values, steps, mapping=mapping, seed=seed, folder=folder, inputs=inputs)
    return list(rows), outcomes[0].stored()


def _from(rows) -> dict[str, int]:
    return dict(Counter(row.value["q"].split()[0] for row in rows))


# --- mix ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "weights", "rows", "repeat", "wanted"),
    [
        ([100, 100], [1, 1], None, False, [100, 100]),
        ([100, 100], [3, 1], None, False, [100, 33]),
        ([100, 10], [1, 1], None, False, [10, 10]),
        ([100, 10], [1, 1], 40, False, [10, 10]),
        ([100, 10], [1, 1], 40, True, [20, 20]),
        ([100, 10], [1, 1], None, True, [55, 55]),
        ([0, 10], [1, 1], None, False, [0, 10]),
        ([0, 0], [1, 1], None, True, [0, 0]),
        ([50, 50, 50], [0.5, 0.25, 0.25], 40, False, [20, 10, 10]),
    ],
)
def test_sizes(counts, weights, rows, repeat, wanted) -> None:
    assert shares(counts, weights, rows, repeat=repeat) == wanted


def test_rows_come_by_weight_and_among_each_other(tmp_path) -> None:
    values = [qa(f"own {n}") for n in range(100)]
    inputs = {OTHER: one([qa(f"other {n}") for n in range(80)])}
    given = {"weight": 3, "versions": [{"version": OTHER, "weight": 1}]}
    rows, outcome = go(values, "mix", given, inputs, tmp_path)
    assert _from(rows) == {"own": 100, "other": 33}
    assert _from(rows[:40]) == {"own": 30, "other": 10}
    again, _ = go(values, "mix", given, inputs, tmp_path)
    assert [row.value for row in again] == [row.value for row in rows]
    other, _ = go(values, "mix", given, inputs, tmp_path, seed=2)
    assert {row.value["q"] for row in other} != {row.value["q"] for row in rows}
    fewer, outcome = go(values, "mix", {**given, "rows": 40}, inputs, tmp_path)
    assert _from(fewer) == {"own": 30, "other": 10}
    assert outcome["dropped"] == {"not_sampled": 70}


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 60))
def test_repeated_rows_are_repeated_evenly(tmp_path_factory, own, others, wanted) -> None:
    folder = tmp_path_factory.mktemp("work")
    values = [qa(f"own {n}") for n in range(own)]
    inputs = {OTHER: one([qa(f"other {n}") for n in range(others)])}
    given = {"versions": [OTHER], "rows": wanted, "repeat": True}
    rows, _ = go(values, "mix", given, inputs, folder)
    times = Counter(row.value["q"] for row in rows)
    for name, count in (("own", own), ("other", others)):
        found = [times[f"{name} {n}"] for n in range(count)]
        assert max(found) - min(found) <= 1
        assert sum(found) == round(wanted / 2)
    assert len({row.key for row in rows}) == len(rows)


def test_rows_of_another_form_are_converted(tmp_path) -> None:
    talk = [{"from": "human", "value": "other q"}, {"from": "gpt", "value": "a"}]
    long = [*talk, {"from": "human", "value": "more"}, {"from": "gpt", "value": "b"}]
    inputs = {
        OTHER: one([{"conversations": talk}, {"conversations": long}], SHAREGPT),
        THIRD: one([{"text": "no question"}], TEXT),
    }
    given = {"versions": [OTHER, THIRD], "repeat": True, "rows": 6}
    rows, outcome = go([qa("own 1"), qa("own 2")], "mix", given, inputs, tmp_path)
    assert qa("other q", "a") in [row.value for row in rows]
    assert outcome["dropped"]["unfit"] == 2  # earlier turns and texts have no place in q and a
    talks, _ = go(
        [{"conversations": talk}], "mix", {"versions": [OTHER]},
        {OTHER: one([qa("own q", "x")])}, tmp_path, mapping=SHAREGPT,
    )  # fmt: skip
    assert [row.value["conversations"][0]["value"] for row in talks] == ["other q", "own q"]
    marked = one([{"q": "x", "a": "y", "good": True}, {"q": "z", "a": "y", "good": False}], KTO)
    good, _ = go([qa("own")], "mix", {"versions": [OTHER], "repeat": True, "rows": 4},
                 {OTHER: marked}, tmp_path)  # fmt: skip
    assert qa("x", "y") in [row.value for row in good]
    assert qa("z", "y") not in [row.value for row in good]


@pytest.mark.parametrize(
    "versions", [[], ["x"], [OTHER, OTHER], [{"version": OTHER, "weight": 0}], "x", [OTHER] * 9,
                 [{"version": OTHER, "weight": "much"}]],
)  # fmt: skip
def test_versions_that_cannot_be(versions) -> None:
    with pytest.raises(DomainError) as refused:
        kinds.steps_checked([{"kind": "mix", "parameters": {"versions": versions}}])
    assert refused.value.data["parameter"] == "versions"


def test_the_preview_marks_added_rows() -> None:
    steps = kinds.steps_checked([{"kind": "mix", "parameters": {"versions": [OTHER]}}])
    inputs = {OTHER: one([qa("other 1"), qa("other 2")])}
    seen = preview([qa("own 1"), qa("own 2")], steps, mapping=ALPACA, seed=1, inputs=inputs)
    assert [row.added for row in seen.rows] == [False, False, True, True]
    assert (seen.added, seen.changed, seen.lost) == (2, 0, 0)
    assert seen.rows[3].texts[0].after[0].text == "other 2"


# --- duplicates across versions -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exact", "near"])
def test_what_stands_in_another_version_goes(mode, tmp_path) -> None:
    """Whatever its form; and rows of the other version never come."""
    talk = [{"from": "human", "value": "asked"}, {"from": "gpt", "value": "yes"}]
    inputs = {OTHER: one([{"conversations": talk}, {"conversations": talk}], SHAREGPT)}
    values = [qa("asked"), qa("something else entirely"), qa("asked")]
    rows, outcome = go(values, "deduplicate", {"mode": mode, "against": [OTHER]}, inputs, tmp_path)
    assert [row.number for row in rows] == [1]
    assert outcome["dropped"] == {"elsewhere": 2}
    assert outcome["clusters"] == 1
    assert outcome["examples"] == [
        {"rows": 3, "elsewhere": True, "texts": [
            {"number": 1, "text": "asked · yes"}, {"number": 3, "text": "asked · yes"},
        ]}
    ]  # fmt: skip


def test_near_duplicates_across_versions(tmp_path) -> None:
    drawn = random.Random(5)
    pairs = [_planted(drawn, chinese=place % 2 == 0) for place in range(200)]
    values = [qa(copy, "") for _text, copy in pairs[:100]]
    values += [qa(_planted(drawn, chinese=False)[0], "") for _ in range(100)]
    inputs = {OTHER: one([qa(text, "") for text, _copy in pairs])}
    rows, outcome = go(values, "deduplicate", {"against": [OTHER]}, inputs, tmp_path)
    kept = {row.number for row in rows}
    assert set(range(100, 200)) <= kept
    assert outcome["dropped"]["elsewhere"] >= 95


@pytest.mark.parametrize(("mode", "least"), [("near", 0.95), ("exact", 0.45)])
def test_planted_duplicates_of_the_benchmark(mode, least, tmp_path) -> None:
    """Recall and precision among short rows, half of the copies exact ones."""
    made = list(planted_rows(4000, seed=3))
    copies = {place for place, (_value, is_copy) in enumerate(made) if is_copy}
    kept, _ = go([value for value, _copy in made], "deduplicate", {"mode": mode}, {}, tmp_path)
    dropped = set(range(len(made))) - {row.number for row in kept}
    assert len(dropped & copies) >= least * len(copies)
    assert len(dropped & copies) >= 0.95 * len(dropped)


def test_clusters_are_shown_the_largest_first(tmp_path) -> None:
    values = [qa(f"row {n % 30}" if n < 90 else "often " * 100) for n in range(100)]
    _rows, outcome = go(values, "deduplicate", {"mode": "exact"}, {}, tmp_path)
    found = outcome["examples"]
    assert outcome["clusters"] == 31
    assert len(found) == 20
    assert (found[0]["rows"], len(found[0]["texts"])) == (10, 5)
    assert len(found[0]["texts"][0]["text"]) == 200
    assert [text["number"] for text in found[1]["texts"]] == [1, 31, 61]


def test_marks_and_short_texts(tmp_path) -> None:
    """Texts shorter than a stretch are compared whole."""
    values = [qa("ab", ""), qa("ab ", ""), qa("ac", ""), qa("", ""), qa("中", ""), qa("中文", "")]
    rows, _ = go(values, "deduplicate", {}, {}, tmp_path)
    assert [row.number for row in rows] == [0, 2, 3, 4, 5]
    mapping = Mapping.of("kto", {"prompt": "q", "response": "a", "kto_tag": "good"})
    values = [{"q": "same " * 20, "a": "x", "good": mark} for mark in (True, False)]
    rows, _ = go(values, "deduplicate", {}, {}, tmp_path, mapping=mapping)
    assert len(rows) == 2
