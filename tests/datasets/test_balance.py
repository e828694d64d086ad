"""Columns that hold labels and sources: their values are counted in bounded memory."""

from random import Random
from typing import Any

from datasets.statistics.columns import VALUES_MAX, Columns


def _balance(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    columns = Columns()
    for row in rows:
        columns.add(row)
    return {one["name"]: one for one in columns.balance()}


def test_many_values_are_counted_with_all_others() -> None:
    rows = [{"source": f"site-{n % 60}", "id": f"row-{n}"} for n in range(1210)]
    found = _balance(rows)
    assert set(found) == {"source"}  # what occurs once is no label
    source = found["source"]
    assert (source["distinct"], source["exact"], len(source["values"])) == (60, True, 20)
    assert dict(source["values"])["site-3"] == 21
    assert source["others"] + sum(count for _value, count in source["values"]) == 1210


def test_more_values_than_are_kept() -> None:
    """Frequent values are found among any number of rare ones, and lack no more than is said."""
    often = {f"big-{n}": 4000 - 200 * n for n in range(10)}
    cells = [value for value, count in often.items() for _time in range(count)]
    cells += [f"rare-{n}" for n in range(8000)]
    Random(1).shuffle(cells)
    columns = Columns()
    for cell in cells:
        columns.add({"source": cell})
        held = columns._columns["source"].values
        assert held is not None and len(held) <= 2 * VALUES_MAX
    (source,) = columns.balance()
    assert not source["exact"] and source["forgotten"] > 0
    shown = dict(source["values"])
    for value, count in often.items():
        assert count - source["forgotten"] <= shown[value] <= count
    assert source["others"] + sum(shown.values()) == len(cells)


def test_long_values_are_cut_and_told_apart() -> None:
    """One long value among others takes no column out; memory does not grow with what is cut."""
    page = "https://example.org/" + "deep/" * 500
    rows = [{"source": f"{page}{n % 2}"} for n in range(6)] + [{"source": "book"}] * 3
    (source,) = _balance(rows).values()
    assert [count for _value, count in source["values"]] == [3, 3, 3]
    cut = [value for value, _count in source["values"] if value != "book"]
    assert cut[0] != cut[1] and all(value.startswith(page[:60]) for value in cut)
    assert all(len(value) < 80 for value in cut)


def test_whole_numbers_are_one_label_however_they_are_written() -> None:
    rows = [{"label": label} for label in (1, 1.0, 2.0, 2.0, 0.5, 0.5)]
    assert dict(_balance(rows)["label"]["values"]) == {"1": 2, "2": 2, "0.5": 2}


def test_a_column_without_a_balance_says_why() -> None:
    columns = Columns()
    for n in range(5000):
        columns.add(
            {"id": n, "text": f"{n} " * 50, "messages": [n], "made": "by hand", "none": None,
             "mark": n % 2 if n else ["odd"]}
        )  # fmt: skip
    why = {one["name"]: one["uncounted"] for one in columns.gaps()}
    assert why == {"id": "varied", "text": "texts", "messages": "nested", "made": "single",
                   "none": "nothing", "mark": ""}  # fmt: skip


def test_names_of_rows_and_long_texts_are_no_labels() -> None:
    rows = [{"id": f"{n}", "text": "word " * 20, "mark": n % 2 == 0} for n in range(5000)]
    assert set(_balance(rows)) == {"mark"}
