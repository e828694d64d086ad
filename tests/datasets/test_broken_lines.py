"""Broken, long and oddly encoded lines: which are left out, and what refuses the file."""

import json
import tracemalloc
from pathlib import Path

import pytest

from common.phrases import load
from datasets.reading.leaving import LEFT_OUT_MOST
from datasets.reading.refusals import BadFile
from datasets.reading.rows import rows_read
from tests.datasets import samples
from tests.datasets.conftest import jsonl
from tests.datasets.ingesting import LIMIT, ingest, refusal


@pytest.mark.parametrize(
    ("text", "encoding", "read_as"),
    [
        ("请介绍这座城市的历史与文化。", "gbk", "gb18030"),
        ("請介紹這座城市的歷史與文化，說明其主要景點。", "big5", "big5hkscs"),
        ("Cette ville a été fondée il y a très longtemps à l’étranger.", "cp1252", "cp1252"),
        ("Этот город был основан очень давно.", "cp1251", "cp1251"),
        ("この都市には長い歴史があり、博物館が有名です。", "cp932", "cp932"),
        ("이 도시는 오랜 역사를 가지고 있습니다.", "euc_kr", "euc_kr"),
    ],
)
def test_texts_in_other_encodings(tmp_path: Path, text: str, encoding: str, read_as: str) -> None:
    rows = [f"text,number\n{text},0\n", *(f"{text},{number}\n" for number in range(1, 40))]
    contents, found = ingest(tmp_path, "".join(rows).encode(encoding), "a.csv")
    assert {row["text"] for row in found} == {text}
    assert contents.encoding == read_as


def test_a_file_of_two_encodings_names_the_line(tmp_path: Path) -> None:
    lines = [f"第{number}座城市的历史\n" for number in range(100)]
    data = b"".join(
        line.encode("gb18030" if number != 70 else "utf-8") for number, line in enumerate(lines)
    )
    contents, rows = ingest(tmp_path, data, "a.txt")
    assert contents.encoding == "gb18030"
    assert "1 line is left out: 71." in str(load(contents.files[0]["problem"]))
    text = "".join(row["text"] for row in rows)
    assert [f"第{number}座" in text for number in (69, 70, 71)] == [True, False, True]
    alone = tmp_path / "alone"
    alone.mkdir()
    refused = refusal(alone, b"<p>" + data, "a.html")
    assert (refused.code, refused.data["line"]) == ("encoding", 71)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"instruction,output\na;b\nc;d\n", "Line 2 parts its columns by “;”"),
        (b"instruction^output\na^b\nc^d\n", "parted by “^”"),
        (b"a\x01b\n1\x012\n", "parted by “\\x01”"),
        (b"a,b\n1,2\n3,4,5\n6,7,8\n", "Line 3 has 3 fields"),
        (b'a,b\n1,2\n"open,4\n', "Line 3 is not valid CSV"),
    ],
)
def test_tables_with_a_wrong_sign(tmp_path: Path, data: bytes, words: str) -> None:
    refused = refusal(tmp_path, data, "a.csv")
    assert refused.code == "broken_csv"
    assert words in refused.message


def test_a_row_of_100_mb(tmp_path: Path) -> None:
    """Is named by its line, whatever the file is; of JSON lines the others are read."""
    long = "x" * 100 * 2**20
    rows = [{"text": "short"}, {"text": long}, {"text": "last"}]
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    contents, read = ingest(good, jsonl(rows), "a.jsonl")
    assert read == [{"text": "short"}, {"text": "last"}]
    assert contents.files[0]["rows"] == 2
    assert "row in line 2 is longer than 1 MB" in str(load(contents.files[0]["problem"]))
    refused = refusal(bad, jsonl(rows[1:2]), "a.jsonl")
    assert (refused.code, refused.data["line"]) == ("line_too_long", 1)
    refused = refusal(bad, json.dumps(rows).encode(), "a.json")
    assert (refused.code, refused.data["line"]) == ("line_too_long", 1)
    assert "Row 2, which begins in line 1, is longer than 1 MB." in refused.message
    assert refusal(bad, f"text,b\na,b\n{long},b\n".encode(), "a.csv").code == "line_too_long"
    query = "SELECT repeat('x', 100000000) AS text"
    parquet = samples.parquet(tmp_path, query)
    assert refusal(bad, parquet, "a.parquet").code in {"line_too_long", "parser_memory"}


def test_lines_that_cost_too_much_are_left_out(tmp_path: Path) -> None:
    """And named with their numbers; too many of them refuse the file."""
    deep = b"[" * 100 + b"]" * 100
    lines = [jsonl([{"text": "a"}]).strip(), deep, b"", b'{"text": "b"}', deep]
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    contents, rows = ingest(good, b"\n".join(lines), "a.jsonl")
    assert rows == [{"text": "a"}, {"text": "b"}]
    said = str(load(contents.files[0]["problem"]))
    assert "2 lines are left out: 2, 5." in said
    assert "nested deeper" in said
    packed = samples.zipped({"a.jsonl": b"\n".join(lines), "b.jsonl": jsonl([{"text": "c"}])})
    contents, rows = ingest(good, packed, "a.zip")
    assert [row["text"] for row in rows] == ["a", "b", "c"]
    assert [bool(file["problem"]) for file in contents.files] == [True, False]
    many = b"\n".join([*lines[:1], *[deep] * (LEFT_OUT_MOST + 1)])
    assert refusal(bad, many, "a.jsonl").code == "nesting"


LONG = "第%d座城市的历史与文化很长很长，请介绍一下它的景点。"


@pytest.mark.parametrize(
    ("name", "good", "bad", "words"),
    [
        ("a.jsonl", b'{"text": "%d"}', b'{"text": }', "Line 3, column 10 is not valid JSON"),
        ("a.json", b'{"text": "%d"}', b'{"text"', "is not valid JSON"),
        ("a.jsonl", '{"text": "一%d"}'.encode(), b'{"text": "\xff"}', "Line 3 is damaged"),
        ("a.csv", b'a,"text\n%d"', b"1,2,3", "Line 4 has 3 fields, the first line names 2"),
        ("a.tsv", f"a\t{LONG}".encode(), b"a\tcaf\xe9", "Line 3 is damaged or in another"),
        ("a.txt", LONG.encode(), b"\xff\xfe", "Line 3 is damaged or in another"),
        ("a.md", LONG.encode("gb18030"), "汉字汉字汉字".encode(), "Line 3 is damaged or"),
    ],
)
def test_broken_lines_are_left_out(
    tmp_path: Path, name: str, good: bytes, bad: bytes, words: str
) -> None:
    """And named, while most are good; one broken line more, and the file is refused."""
    head = {"a.csv": b"name,text", "a.tsv": b"name\ttext"}.get(name, good % 7000)
    lines = [head, good % 7001, bad, good % 7002, bad, good % 7003]
    contents, rows = ingest(tmp_path, b"\n".join(lines), name)
    said = str(load(contents.files[0]["problem"]))
    assert said.startswith("2 lines are left out: ")
    assert words in said
    kept = " ".join(str(row) for row in rows)
    assert all(str(number) in kept for number in (7001, 7002, 7003))
    if name.endswith((".jsonl", ".json", "csv", "tsv")):
        assert len(rows) == len(lines) - 2 - name.endswith(("csv", "tsv"))
    alone = tmp_path / "alone"
    alone.mkdir()
    refused = refusal(alone, b"\n".join([*lines, bad, bad]), name)
    assert words in refused.message
    assert refused.code in {"broken_json", "broken_csv", "encoding"}
    assert refused.data["line"]


def test_too_many_broken_lines_refuse_the_file(tmp_path: Path) -> None:
    """However many good ones there are; the first of them is named."""
    lines = [b'{"text": "a"}'] * 5000
    lines[7 : LEFT_OUT_MOST + 8] = [b"{"] * (LEFT_OUT_MOST + 1)
    refused = refusal(tmp_path, b"\n".join(lines), "a.jsonl")
    assert (refused.code, refused.data["line"]) == ("broken_json", 8)
    lines[7] = b'{"text": "b"}'
    contents, rows = ingest(tmp_path, b"\n".join(lines), "a.jsonl")
    assert len(rows) == 5000 - LEFT_OUT_MOST
    assert str(load(contents.files[0]["problem"])).startswith("1000 lines are left out: 9, 10,")


def test_broken_lines_are_not_kept_in_memory(tmp_path: Path) -> None:
    """Only what is said of them."""
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        for number in range(300):
            broken = b'{"a": "' + b"x" * (LIMIT // 2) + (b'"\n' if number % 3 else b'"}\n')
            file.write(b'{"a": 1}\n{"a": 2}\n' + broken)
    tracemalloc.start()
    try:
        left_out: list[BadFile] = []
        assert len(list(rows_read(path, "jsonl", limit=LIMIT, left_out=left_out))) == 700
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(left_out) == 200
    assert peak < 128 * LIMIT


def test_a_broken_line_within_a_quoted_cell(tmp_path: Path) -> None:
    """Takes its record with it, and no other."""
    contents, rows = ingest(tmp_path, b'a,b\n1,"x\n\xff\ny"\n2,z\n3,z\n', "a.csv")
    assert rows == [{"a": "2", "b": "z"}, {"a": "3", "b": "z"}]
    assert "1 line is left out: 3." in str(load(contents.files[0]["problem"]))
