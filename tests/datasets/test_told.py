"""What people read about files that spoil: which, where in it, why, and what to do."""

import json
from pathlib import Path

import pytest
from django.utils.translation import override

from common.phrases import load
from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.ingesting import LIMIT, ingest, refusal

LINES = "天气很好，我们去公园。"
ROW = {"instruction": LINES, "output": LINES}
TABLE = b"instruction,output\nq,a\n"
LOCKED = "The file is locked with a password. Save it without one."
ANEW = "Copy or save it anew, then upload it again."
DAMAGED = "The file is damaged or not what its name says: %s. " + ANEW
EMPTY = "The file is empty. Upload the one with the data."
TOO_LONG = "is longer than 1 MB. Split it or leave it out."
WIDE = (
    "has 3 fields, the first line names 2 columns. Name all columns there, or put texts that hold"
    " the sign between columns in quotation marks."
)
MIXED = "is damaged or in another encoding than other lines. Save the whole file as UTF-8."


def pictures(pages: list[str]) -> bytes:
    """A PDF in which each page that says PICTURE is drawn."""
    return samples.pdf(pages).replace(b"(PICTURE) Tj", b"0 0 9 9 re f")


def encoded(encoding: str, *rows: dict[str, str]) -> bytes:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(encoding)


def two(spoil=lambda data, _name: data, bad: bytes = jsonl(GOOD)) -> bytes:
    """A zip file of a good file and a bad one."""
    return spoil(samples.zipped({"bad.jsonl": bad, "good.jsonl": jsonl(GOOD)}), "bad.jsonl")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (
            "report.pdf",
            samples.pdf(["One."])[:200],
            DAMAGED % "Failed to load document (PDFium: Data format error)",
        ),
        (
            "report.pdf",
            samples.page_broken(pictures(["PICTURE", "Two.", "PICTURE"]), 2),
            (
                "No page of the document has text that can be read (pages: 3, damaged: 2). Save it"
                " anew from the program that made it."
            ),
        ),
        (
            "scan.pdf",
            pictures(["PICTURE", "PICTURE"]),
            (
                "No page of the document has text (pages: 2). Run a text recognition (OCR) over it"
                " first."
            ),
        ),
        ("locked.pdf", samples.pdf(["x"], locked=True), LOCKED),
        (
            "rows.csv",
            b"instruction^output\nq^a\nq^a\n",
            (
                "The columns are parted by “^”. Save the table with commas, semicolons, tabs or"
                " bars between them."
            ),
        ),
        (
            "rows.csv",
            b"instruction,output\nq;a\nq;a\n",
            (
                "Line 2 parts its columns by “;”, the first line by “,”. Save the table with one"
                " sign for all lines."
            ),
        ),
        (
            "rows.json",
            b"[" + encoded("gb18030", ROW) + b"," + encoded("utf-8", ROW) + b"]",
            (
                "Line 2 is UTF-8, other lines are not. Save the whole file as UTF-8 and upload it"
                " again."
            ),
        ),
        (
            "rows.json",
            b'[{"instruction": "q" "output": "a"}]',
            (
                "Line 1, column 22 is not valid JSON: unexpected character, expected ',' or '}'."
                " Put names and texts in double quotes, a comma between two of them and none behind"
                " the last."
            ),
        ),
        (
            "rows.json",
            jsonl(GOOD).replace(b"{", b"[{", 1).replace(b"}\n", b"},\n"),
            (
                "The array is not closed: the file ends in line 31 without “]”. Add it, or give the"
                " whole file if this is a part."
            ),
        ),
        ("rows.csv", TABLE + b"x" * LIMIT + b",a\n", f"The row in line 3 {TOO_LONG}"),
        (
            "rows.json",
            json.dumps([GOOD[0], {"instruction": "x" * LIMIT, "output": "a"}]).encode(),
            f"Row 2, which begins in line 1, {TOO_LONG}",
        ),
        ("rows.zip", two()[:300], DAMAGED % "File is not a zip file"),
        (
            "rows.tar.gz",
            samples.tarred({"a.jsonl": jsonl(GOOD) * 99})[:-200],
            DAMAGED % "Compressed file ended before the end-of-stream marker was reached",
        ),
        (
            "rows.zip",
            samples.member_locked(samples.zipped({"bad.jsonl": jsonl(GOOD)}), "bad.jsonl"),
            f"“bad.jsonl”: {LOCKED}",
        ),
        ("rows.jsonl", b"", EMPTY),
        ("rows.csv", b"\n \n", EMPTY),
        ("rows.csv", TABLE[:19], "The file holds no rows. Upload the one with the data."),
        ("rows.json", b"[]", "The file holds no rows. Upload the one with the data."),
        (
            "rows.zip",
            samples.zipped({}),
            "The archive holds no files. Pack the data into it, then upload it again.",
        ),
        (
            "notes.rtf",
            rb"{\rtf1\ansi words\par}",
            (
                "This is a document of the kind RTF, which cannot be read. Save it as DOCX or PDF"
                " and upload that."
            ),
        ),
    ],
)
def test_what_a_refusal_says(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    """Of a file nothing of which can be used."""
    assert refusal(tmp_path, data, name).message == said


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("rows.jsonl", b'{"a": 1}\n{"a" 2}\n', "字符有误，名称之后应为“:”。"),
        ("rows.jsonl", b'{"a": 1}\n{"a": 2,}\n', "最后一项之后不能有逗号。"),
        ("a.png", b"\x89PNG\r\n", "“图片”类型的文件"),
    ],
)
def test_refusals_in_the_reader_s_language(tmp_path: Path, name: str, data: bytes, said: str):
    with override("zh-hans"):
        assert said in refusal(tmp_path, data, name).message


def test_what_is_said_of_a_bomb(tmp_path: Path, settings) -> None:
    """How much it may be at most."""
    settings.UPLOAD_MAX_BYTES = 10 * 2**20
    data = samples.zipped({"a.jsonl": bytes(50 * 2**20)})
    said = "Unpacked, the file would have more than 10 MB. Unpack and upload parts."
    assert refusal(tmp_path, data, "a.zip").message == said


@pytest.mark.parametrize(
    ("name", "data", "rows", "bad", "said"),
    [
        (
            "report.pdf",
            samples.page_broken(pictures(["One.", "Two.", "Three."]), 2),
            2,
            "report.pdf",
            (
                "1 of 3 pages is damaged and left out: 2. Save the document anew from the program"
                " that made it."
            ),
        ),
        (
            "report.pdf",
            pictures(["One.", "PICTURE", "PICTURE"]),
            1,
            "report.pdf",
            (
                "2 of 3 pages hold pictures and no text and are left out: 2, 3. Run a text"
                " recognition (OCR) over them first."
            ),
        ),
        (
            "rows.jsonl",
            encoded("utf-8", ROW, ROW) + encoded("gb18030", ROW),
            2,
            "rows.jsonl",
            f"1 line is left out: 3. Line 3 {MIXED}",
        ),
        (
            "rows.jsonl",
            jsonl(GOOD[:2]) + jsonl([{"instruction": "x" * LIMIT, "output": "a"}]),
            2,
            "rows.jsonl",
            f"1 line is left out: 3. The row in line 3 {TOO_LONG}",
        ),
        (
            "rows.csv",
            TABLE + b"q,a\n" * 4 + b"q,a,b\n" * 3,
            5,
            "rows.csv",
            f"3 lines are left out: 7–9. Line 7 {WIDE}",
        ),
        (
            "rows.zip",
            two(bad=jsonl([{"question": "q", "answer": "a"}])),
            30,
            "bad.jsonl",
            (
                "Its columns are not those of “good.jsonl”: it has answer, question instead of"
                " instruction, output. Name them alike, or upload it as a dataset of its own."
            ),
        ),
        ("rows.zip", two(samples.member_locked), 30, "bad.jsonl", LOCKED),
        (
            "rows.zip",
            two(samples.member_broken),
            30,
            "bad.jsonl",
            DAMAGED % "Error -3 while decompressing data: invalid code lengths set",
        ),
        ("rows.zip", two(bad=b""), 30, "bad.jsonl", EMPTY),
        (
            "rows.zip",
            two(bad=b"[1]\n"),
            30,
            "bad.jsonl",
            "No row is an object with named columns, such as {“instruction”: …, “output”: …}.",
        ),
    ],
)
def test_what_is_said_of_what_is_left_out(
    tmp_path: Path, name: str, data: bytes, rows: int, bad: str, said: str
) -> None:
    """Of one file, or of a part of it; the rest is read."""
    contents, _rows = ingest(tmp_path, data, name)
    problems = {file["name"]: str(load(file["problem"])) for file in contents.files}
    assert (contents.rows, problems[bad]) == (rows, said)
    assert [name for name, problem in problems.items() if problem] == [bad]


def test_nothing_is_said_of_nested_columns(tmp_path: Path) -> None:
    """Which Parquet has and other tables have not: they are read."""
    query = "SELECT 'q' AS instruction, [{'a': {'b': [1]}}] AS nested FROM range(2)"
    contents, rows = ingest(tmp_path, samples.parquet(tmp_path, query), "rows.parquet")
    assert rows == [{"instruction": "q", "nested": [{"a": {"b": [1]}}]}] * 2
    assert contents.files == []
