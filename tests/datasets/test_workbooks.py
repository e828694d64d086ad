"""Workbooks: sheets as rows, and how bad ones are refused."""

import io
import re
import zipfile
from datetime import date
from pathlib import Path

import pytest

from common.phrases import load
from tests.datasets import samples
from tests.datasets.ingesting import ingest, refusal

OFFICE_LOCKED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1600)


def test_workbooks(tmp_path: Path) -> None:
    """Sheets with the columns of the longest one; the others are named."""
    table = [["instruction", "output"], ["one?", 1], ["half?", 0.5], ["when?", date(2024, 5, 1)]]
    sheets = {
        "说明": [["Read me first"]],
        "A": [["A title above"], [], *table, [None, None], ["ok?", True]],
        "B": [["instruction", "output"], ["two\nlines", "b"]],
        "Notes": [["who", "what", "when"], ["x", "y", "z"]],
        "Old": table,
    }
    data = samples.xlsx(sheets, hidden=("Old",))
    contents, rows = ingest(tmp_path, data, "a.data")
    assert [(row["instruction"], row["output"]) for row in rows] == [
        ("one?", "1"),
        ("half?", "0.5"),
        ("when?", "2024-05-01"),
        ("ok?", "true"),
        ("two\nlines", "b"),
    ]
    assert [(file["name"], file["rows"]) for file in contents.files] == [
        ("A", 4),
        ("B", 1),
        ("Notes", 0),
    ]
    assert "“A”" in load(contents.files[-1]["problem"])
    assert contents.file_format == "csv"
    broken = samples.xlsx({"A": table, "B": [["a", "a"], ["1", "2"]]})
    contents, rows = ingest(tmp_path, broken, "a.xlsx")
    assert [(file["name"], file["rows"]) for file in contents.files] == [("A", 3), ("B", 0)]
    assert "twice" in str(load(contents.files[1]["problem"]))
    _contents, rows = ingest(tmp_path, samples.ods([["text"], ["一"], ["二"]]), "a.ods")
    assert rows == [{"text": "一"}, {"text": "二"}]
    both = samples.zipped({"1.xlsx": data, "2.csv": b"instruction,output\nq,a\n"})
    contents, rows = ingest(tmp_path, both, "a.zip")
    assert [file["name"] for file in contents.files][:3] == ["1.xlsx › A", "1.xlsx › B", "2.csv"]
    assert len(rows) == 6


def test_formulas_give_what_was_stored(tmp_path: Path) -> None:
    """A formula that no program has computed yet is empty."""
    data = samples.xlsx({"A": [["text", "more"], ["x", "=1+1"]]})
    _contents, rows = ingest(tmp_path, data, "a.xlsx")
    assert rows == [{"text": "x", "more": ""}]
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = next(name for name in parts if name.endswith("sheet1.xml"))
    parts[sheet] = re.sub(rb"<v\s*/>|<v></v>", b"<v>2</v>", parts[sheet])
    _contents, rows = ingest(tmp_path, samples.zipped(parts), "a.xlsx")
    assert rows == [{"text": "x", "more": "2"}]


@pytest.mark.parametrize(
    ("sheets", "code"),
    [
        ({"A": [["a", "a"], ["1", "2"]]}, "broken_csv"),
        ({"A": [["a", None, "c"], ["1", "2", "3"]]}, "broken_csv"),
        ({"A": [["a", "b"], ["1", "2", "3"]]}, "broken_csv"),
        ({"A": []}, "no_sheets"),
        ({"A": [["a", "a"], ["1", "2"]], "B": [["b", "b"], ["1", "2"]]}, "no_sheets"),
    ],
)
def test_workbooks_that_are_refused(tmp_path: Path, sheets: dict, code: str) -> None:
    refused = refusal(tmp_path, samples.xlsx(sheets), "a.xlsx")
    assert refused.code == code
    if len(sheets) > 1:
        assert refused.message.startswith("No sheet of the workbook can be read. “A”: The first")


def test_damaged_and_locked_workbooks(tmp_path: Path) -> None:
    good = samples.xlsx({"A": [["a", "b"], ["1", "2"]]})
    assert refusal(tmp_path, good[:-300], "a.xlsx").code == "damaged"
    assert refusal(tmp_path, OFFICE_LOCKED, "a.xlsx").code in {"encrypted", "damaged"}
    with zipfile.ZipFile(io.BytesIO(good)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts["xl/worksheets/sheet1.xml"] = b"<worksheet>" + b" " * 600 * 2**20
    assert refusal(tmp_path, samples.zipped(parts), "a.xlsx").code == "bomb"
