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


def test_names_of_rows_and_long_texts_are_no_labels() -> None:
    rows = [{"id": f"{n}", "text": "word " * 20, "mark": n % 2 == 0} for n in range(5000)]
    assert set(_balance(rows)) == {"mark"}
