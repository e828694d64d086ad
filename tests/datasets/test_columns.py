"""Rows filtered and sorted by columns, on disk."""

import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import QueryDict

from common.errors import DomainError
from datasets.choices import choice_of, unfinished
from datasets.reading.indexed import IndexedWriter
from datasets.statistics import indexes
from datasets.statistics.choosing import Choice, Known, chosen
from datasets.statistics.indexes import Condition, Index, key_of

VALUES = [
    3, "3", 3.0, -1.5, "1e2", 0, None, "", "  ", "web", " web", "Web", "网页", "éa", "ea", "😀",
    True, False, [1, "web"], {"a": None}, 10**14, 2**53 + 1, "9007199254740993", "007", "7", 7,
    "x" * 300, "x" * 300 + "y", "1" + " " * 200 + "a", "NaN", "inf", "١", "_", "+4", "4.", ".5",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def written(folder: Path, rows: list[Any]) -> Path:
    with IndexedWriter(folder / "rows.jsonl") as writer:
        for line, row in enumerate(rows, start=1):
            writer.write(row, line)
    return folder / "rows.jsonl"


def indexed(folder: Path, rows: list[Any], *wanted: Index) -> Known:
    path = written(folder, rows)
    for index in wanted:
        target = folder / index.name
        target.mkdir()
        index.write(path, target, lambda _share: None)
    return Known(len(rows), 0, folder, folder)


def numbers(known: Known, choice: Choice) -> list[int]:
    """All rows of a choice, page by page."""
    found: list[int] = []
    while True:
        page, total = chosen(known, choice, start=len(found), count=7)
        found += page
        if not page:
            assert len(found) == total
            return found


@pytest.mark.parametrize("memory", [10_000, indexes.RUN_BYTES])
def test_order(folder: Path, monkeypatch, memory: int) -> None:
    """Numbers, texts by code point, nothing; ties in the order of the file, in both directions."""
    monkeypatch.setattr(indexes, "RUN_BYTES", memory)
    draw = random.Random(4)
    rows: list[Any] = [{"v": draw.choice(VALUES)} for _ in range(900)] + [{"w": 1}, 5, None]
    draw.shuffle(rows)
    known = indexed(folder, rows, Index("v"))
    assert not list(folder.rglob("*.run"))
    keys = [key_of(row.get("v") if isinstance(row, dict) else None) for row in rows]
    filled = [number for number, key in enumerate(keys) if key != (indexes.EMPTY,)]
    empty = [number for number, key in enumerate(keys) if key == (indexes.EMPTY,)]
    up = sorted(filled, key=lambda number: keys[number])
    down = sorted(filled, key=lambda number: keys[number], reverse=True)  # stable, too
    assert numbers(known, Choice(order="up", by="v")) == up + empty
    assert numbers(known, Choice(order="down", by="v")) == down + empty


def test_what_comes_before_what() -> None:
    ordered = [-1.5, 0, 3, "7", 10**14, "007", "3x", "9007199254740993", "Web", "ea", "web", "éa",
               "网页", "😀", None]  # fmt: skip
    assert sorted(ordered, key=key_of) == ordered
    assert key_of(3) == key_of("3") == key_of("3.0") == key_of(" 3 ")
    assert key_of(2**53 + 1) == key_of("9007199254740993") != key_of(2**53)
    assert key_of("") == key_of(None) == key_of(" \n") == key_of({}.get("a"))
    assert key_of("007") != key_of(7)
    assert key_of(True) == key_of("true") != key_of(1)
    assert key_of("nan")[0] == key_of("1e999")[0] == key_of("9" * 5000)[0] == indexes.TEXT


OPERATIONS = {
    "is": lambda key, wanted: key == wanted,
    "isnt": lambda key, wanted: key != wanted,
    "least": lambda key, wanted: key[0] == wanted[0] and key >= wanted,
    "most": lambda key, wanted: key[0] == wanted[0] and key <= wanted,
}


def test_conditions(folder: Path) -> None:
    """Each operator finds what looking at one row after the other finds."""
    rows = [{"v": value, "n": place} for place, value in enumerate(VALUES)] + [{"n": 99}]
    words = ["WEB", "页", "null", "é", "3"]
    known = indexed(folder, rows, Index("v"), Index("n"), *(Index("v", one) for one in words))
    keys = [key_of(row.get("v")) for row in rows]
    for value in [
        "3",
        "3.0",
        "web",
        "Web",
        "zzz",
        "-9",
        "5",
        "1e3",
        "網",
        "007",
        "9007199254740993",
    ]:
        for operator, meets in OPERATIONS.items():
            wanted = [place for place, key in enumerate(keys) if meets(key, key_of(value))]
            found = numbers(known, Choice(where=(Condition("v", operator, value),)))
            assert found == wanted, (operator, value)
    for operator, empty in (("empty", True), ("filled", False)):
        wanted = [place for place, key in enumerate(keys) if (key == (indexes.EMPTY,)) is empty]
        assert numbers(known, Choice(where=(Condition("v", operator),))) == wanted
    web = [place for place, value in enumerate(VALUES) if "web" in json.dumps(value).casefold()]
    assert numbers(known, Choice(where=(Condition("v", "contains", "WEB"),))) == web
    several = (Condition("v", "contains", "WEB"), Condition("n", "most", "10"))
    assert numbers(known, Choice(where=several, order="down", by="n")) == [10, 9]
    assert chosen(known, Choice(where=several), start=0, count=9, among=[3, 9]) == ([9], 1)


def test_no_rows(folder: Path) -> None:
    known = indexed(folder, [], Index("v"), Index("v", "a"))
    for operator in indexes.OPERATORS:
        assert (
            numbers(known, Choice(where=(Condition("v", operator, "a"),), order="up", by="v")) == []
        )


def test_a_hundred_thousand_rows(folder: Path, monkeypatch) -> None:
    """Pages put together are all wanted rows once, in order, wherever the parts end."""
    monkeypatch.setattr(indexes, "RUN_BYTES", 4 * 2**20)
    draw = random.Random(1)
    scores = [
        draw.choice([None, draw.randint(0, 50), f"{draw.random():.3f}"]) for _ in range(100_000)
    ]
    known = indexed(folder, [{"score": one, "label": "ab"[n % 2]} for n, one in enumerate(scores)],
                    Index("score"), Index("label"))  # fmt: skip
    where = (Condition("score", "least", "0.5"), Condition("label", "is", "b"))
    value = [0.0 if one is None else float(one) for one in scores]
    wanted = [n for n in range(1, 100_000, 2) if value[n] >= 0.5]
    wanted.sort(key=value.__getitem__, reverse=True)
    choice = Choice(where=where, order="down", by="score")
    for start in (0, 5, len(wanted) // 2, len(wanted) - 3, len(wanted), 10**9):
        page, total = chosen(known, choice, start=start, count=10)
        assert (page, total) == (wanted[start : start + 10], len(wanted))


def test_what_addresses_say() -> None:
    def said(*pairs: tuple[str, str]) -> Choice:
        return choice_of(QueryDict(urlencode(pairs)), ["score", "a b", ""])

    def one(column: str, operator: str, value: str) -> tuple[tuple[str, str], ...]:
        return (("column", column), ("op", operator), ("value", value))

    found = said(*one("a b", "is", " x "), *one("score", "empty", "z"), *one("", "is", ""))
    assert found.where == (Condition("a b", "is", "x"), Condition("score", "empty"))
    assert said(("order", "down:a b")) == Choice(order="down", by="a b")
    assert found.indexes == [Index("a b"), Index("score")]
    begun = QueryDict(urlencode(one("score", "most", "")))
    assert choice_of(begun, ["score"]) == Choice()
    assert unfinished(begun) == Condition("score", "most")
    for code, pairs in {
        "unknown_column": one("zzz", "is", "1"),
        "unknown_operator": one("score", "matches", "(a+)+$"),
        "incomplete": (("column", "score"), ("op", "is")),
        "too_long": one("score", "is", "9" * 101),
        "bad_text": one("score", "contains", "a\0"),
        "too_many": sum((one("score", "is", str(n)) for n in range(6)), ()),
    }.items():
        with pytest.raises(DomainError) as refused:
            said(*pairs)
        assert refused.value.code == code
    for order in ("up:zzz", "up:", "down:a\0"):
        with pytest.raises(DomainError, match="no column"):
            said(("order", order))
