"""Rows that come of the same one stay on one side of a split, in the same run and in later ones."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DomainError
from datasets import services
from datasets.generation.asking import Asking
from datasets.generation.journal import Journal
from datasets.models import Dataset, DatasetVersion
from datasets.recipes.kinds import steps_checked
from datasets.recipes.pipeline import apply
from datasets.recipes.rows import ORIGIN, Input, Row, origin_of
from tests.datasets.conftest import values as rows_of
from tests.datasets.test_asked_rows import ALPACA as PAIRS
from tests.datasets.test_asked_rows import MODEL, SimulatedDoor
from tests.datasets.test_compare import found
from tests.datasets.test_recipe_steps import ALL, ALPACA, TEXT, qa, run

VARY = ("augment", {"variants": 3, "strength": 0.3, "least_alike": 0})
SPLIT = ("split", {"test_share": 0.3, "validation_share": 0.2})


def asked(n: int) -> str:
    """A text with a number, which no variant loses."""
    return f"Please describe the important weather of week {100 + n} in simple words."


def sides(rows) -> list[set[str]]:
    """The numbers in the texts of each part; each part has rows, and several of a number."""
    parts: dict[str, list[str]] = {}
    for row in rows:
        parts.setdefault(row.part, []).append(re.findall(r"\d{3}", str(row.value))[0])
    assert set(parts) == {"train", "validation", "test"}
    assert all(len(set(numbers)) < len(numbers) for numbers in parts.values())
    return [set(numbers) for numbers in parts.values()]


def apart(groups: list[set[str]]) -> bool:
    return len(set.union(*groups)) == sum(map(len, groups))


def stored(rows) -> list:
    """The rows as the version holds them that a run makes."""
    return [row.stored for row in rows]


@pytest.mark.parametrize("shape", ALL)
def test_variants_stay_with_their_row(shape, tmp_path) -> None:
    """In one recipe, and in two with a step in between that changes the texts."""
    mapping, build = ALL[shape]
    values = [build(asked(n)) for n in range(40)]
    rows, _ = run(values, VARY, SPLIT, mapping=mapping, folder=tmp_path / "one")
    assert apart(sides(rows))
    varied, _ = run(values, VARY, mapping=mapping, folder=tmp_path / "two")
    steps = ("mask", {"kinds": ["email"], "rules": "WORD = describe"}), SPLIT
    rows, _ = run(stored(varied), *steps, mapping=mapping, folder=tmp_path / "two")
    assert apart(sides(rows))
    masked, _ = run(stored(varied), steps[0], mapping=mapping, folder=tmp_path / "three")
    rows, _ = run(stored(masked), SPLIT, mapping=mapping, folder=tmp_path / "three")
    assert apart(sides(rows))


def test_variants_of_variants_know_the_first_row(tmp_path) -> None:
    values = [qa(asked(n)) for n in range(40)]
    once, _ = run(values, VARY, folder=tmp_path)
    twice, _ = run(stored(once), VARY, folder=tmp_path)
    assert len({row[ORIGIN] for row in stored(twice)}) == len(values) < len(once) < len(twice)
    drawn = ("sample", {"by": "share", "share": 0.5})  # without some of those in between
    rows, _ = run(stored(twice), drawn, SPLIT, folder=tmp_path)
    assert apart(sides(rows))


def test_pieces_and_the_pairs_made_of_them(tmp_path) -> None:
    """A page's pieces, and what a model makes of them, in three runs."""
    pages = [
        {"text": "\n\n".join(f"week {100 + n}, {word}." for word in "abcd")} for n in range(20)
    ]
    cut = ("chunk", {"size": 20, "by": "paragraphs"})
    pieces, _ = run(pages, cut, mapping=TEXT, folder=tmp_path)
    assert len(pieces) == 80
    door = SimulatedDoor(
        lambda prompt: (
            '[{{"question": "{0}, q", "answer": "a"}}, {{"question": "{0}, Q?",'
            ' "answer": "b"}}]'.format(re.findall(r"week \d+, [abcd]", prompt)[-1])
        )
    )
    steps = steps_checked([{"kind": "generate", "parameters": {"model": MODEL}}])
    with Asking({MODEL: door}, Journal(tmp_path / "j"), salt="s") as asking:
        rows, _outcomes = apply(
            stored(pieces), steps, mapping=TEXT, seed=1, folder=tmp_path, asking=asking
        )
        pairs = stored(rows)
    assert len(pairs) == 160
    rows, _ = run(pairs, SPLIT, mapping=PAIRS, folder=tmp_path)
    assert apart(sides(rows))
    rows, _ = run(pages, cut, SPLIT, mapping=TEXT, folder=tmp_path)
    assert apart(sides(rows))


def test_rows_of_other_versions_bring_their_origins(tmp_path) -> None:
    """Numbers of rows are no origins: those of other versions begin at one, too."""
    other, _ = run([qa(asked(n)) for n in range(100, 140)], VARY, folder=tmp_path)
    version = str(uuid.UUID(int=1))
    inputs = {version: Input(ALPACA, len(other), lambda: stored(other))}
    steps = [
        {"kind": "mix", "parameters": {"versions": [{"version": version, "weight": 1}]}},
        {"kind": SPLIT[0], "parameters": {**SPLIT[1], "test_share": 0.5}},
    ]
    values = [qa(asked(n)) for n in range(len(other))]
    rows, outcomes = apply(
        values, steps_checked(steps), mapping=ALPACA, seed=1, folder=tmp_path, inputs=inputs
    )
    assert apart(sides(rows))
    parts = outcomes[1].parts
    assert parts["test"] == pytest.approx(len(other), abs=4)  # groups are no larger than they must


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=3, max_size=40))
def test_what_hangs_together_is_one_group(tmp_path_factory, pairs) -> None:
    """By a column and by origins at once; compared with groups that are put together one by one."""
    values = [
        {**qa(str(place)), "customer": customer, ORIGIN: "abcdefghijklmnop"[origin] * 16}
        for place, (customer, origin) in enumerate(pairs)
    ]
    step = (SPLIT[0], {**SPLIT[1], "by": "column", "column": "customer"})
    rows, _ = run(values, step, folder=tmp_path_factory.mktemp("work"))
    groups: list[set[tuple[str, int]]] = []
    for customer, origin in pairs:
        ends = {("customer", customer), ("origin", origin)}
        touched = [group for group in groups if group & ends]
        groups = [group for group in groups if not group & ends] + [ends.union(*touched)]
    parts = [
        {row.part for row, pair in zip(rows, pairs, strict=True) if ("customer", pair[0]) in group}
        for group in groups
    ]
    assert all(len(found) == 1 for found in parts)
    assert len(set.union(*parts)) == min(len(groups), 3)


def test_only_recipes_that_make_rows_of_others_name_origins(tmp_path) -> None:
    values = [qa(asked(n)) for n in range(3)] + [qa(asked(0))]
    rows, _ = run(values, ("mask", {}), folder=tmp_path)
    assert stored(rows) == values
    theirs = [{**value, ORIGIN: "page 3 of ours"} for value in values]
    with pytest.raises(DomainError) as refused:
        run(theirs, VARY, folder=tmp_path)
    assert refused.value.code == "column_taken"
    rows, _ = run(theirs, ("mask", {}), folder=tmp_path)
    assert stored(rows) == theirs
    one, _ = run(values, VARY, seed=1, folder=tmp_path)
    other, _ = run(values, VARY, seed=2, folder=tmp_path)
    names = [row.origin for row in one if "origin" not in row.value]
    assert len(set(names)) == len(values)  # rows with the same texts are different ones
    assert names == [row.origin for row in other if "origin" not in row.value]


def test_names_of_origins_tell_nothing_of_the_texts(tmp_path) -> None:
    """What is masked could be found again by trying which number has the name."""
    steps = ("mask", {"kinds": ["phone"]}), VARY
    one, other = (
        {row.origin for row in run([qa(f"call {n}")], *steps, folder=tmp_path)[0]}
        for n in ("13800138000", "13912345678")
    )
    assert one == other == {origin_of(Row(0, qa("")), "", names=True)}
    assert one != {origin_of(Row(0, qa("")), str(uuid.UUID(int=1)), names=True)}


@pytest.mark.parametrize("by", ["texts", "question"])
def test_what_stands_everywhere_ties_nothing_together(by, tmp_path) -> None:
    """A question that is asked of each of 40 documents; every other is asked of two at most."""
    values = [
        {**qa(question, "yes"), ORIGIN: "".join("abcdefghij"[int(d)] for d in f"{n:016}")}
        for n in range(40)
        for question in ("What is this about?", f"first {n}", f"second {n // 2}")
    ]
    rows, outcomes = run(values, (SPLIT[0], {**SPLIT[1], "by": by}), folder=tmp_path)
    assert outcomes[0]["parts"] == {"train": 60, "validation": 24, "test": 36}
    assert outcomes[0]["found"] == {"several": 1}
    parts: dict[str, list] = {}
    for row in rows:
        parts.setdefault(row.part, []).append(row.value)
    assert apart([{value[ORIGIN] for value in part} for part in parts.values()])
    assert apart(
        [{value["q"] for value in part} - {"What is this about?"} for part in parts.values()]
    )


def test_a_large_group_is_for_training(tmp_path) -> None:
    """Whatever the seed draws, it does not take the place of the small parts."""
    values = [{**qa(str(n)), "customer": max(n, 40)} for n in range(100)]
    given = {"test_share": 0.1, "validation_share": 0.1, "by": "column", "column": "customer"}
    for seed in range(5):
        _rows, outcomes = run(values, (SPLIT[0], given), seed=seed, folder=tmp_path)
        assert outcomes[0]["parts"] == {"train": 80, "validation": 10, "test": 10}
        assert not outcomes[0]["found"]


def test_a_comparison_passes_over_names_of_origins(tmp_path) -> None:
    before = [
        {"instruction": asked(n), "output": f"The answer to number {n}, at length."}
        for n in range(5)
    ]
    after = [{**row, ORIGIN: "a" * 16} for row in before]
    after[2]["output"] = "Other."
    counts, _pairs = found(tmp_path, before, after)
    assert (counts["same"], counts["changed"]) == (4, 1)
    theirs = [{**row, ORIGIN: f"page {n}"} for n, row in enumerate(before)]
    (tmp_path / "other").mkdir()
    counts, _pairs = found(tmp_path / "other", before, theirs)  # a column of somebody's own
    assert (counts["same"], counts["changed"]) == (0, 5)


@pytest.mark.django_db
def test_two_runs_one_after_the_other(people, make, django_capture_on_commit_callbacks) -> None:
    """As people do it: the first makes a version, with other columns, the second parts it."""

    def ran(version: DatasetVersion, name: str, *steps) -> None:
        recipe = services.recipe_create(
            project=people.team,
            created_by=people.member,
            name=name,
            steps=[{"kind": kind, "parameters": given} for kind, given in steps],
        )
        with django_capture_on_commit_callbacks(execute=True):
            begun = services.run_create(
                recipe.pk, by=people.member, version_id=version.pk, name=name
            )
            assert services.run_execute(begun.pk)
        begun.refresh_from_db()
        assert (begun.state, begun.problem) == ("succeeded", "")

    source = make([{"instruction": asked(n), "output": "yes"} for n in range(40)]).latest
    ran(source, "varied", VARY, ("convert", {"shape": "openai", "source": "turns"}))
    varied = Dataset.objects.get(name="varied").latest
    assert {"messages", ORIGIN} <= set(varied.file_columns)
    assert "origin" not in varied.file_columns  # they are others
    names = {origin_of(Row(n, {}), str(source.pk), names=True) for n in range(40)}
    assert {row[ORIGIN] for row in rows_of(varied)} == names
    assert varied.rows > 40
    ran(varied, "parted", SPLIT)
    parts = [rows_of(one.latest) for one in Dataset.objects.filter(name__startswith="parted ")]
    assert [len(rows) > 0 for rows in parts] == [True] * 3
    groups = [{re.findall(r"\d{3}", str(row["messages"]))[0] for row in rows} for rows in parts]
    assert apart(groups)
    assert apart([{row[ORIGIN] for row in rows} for rows in parts])
