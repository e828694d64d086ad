"""Files are known by what they hold, whatever they are called."""

import json
from pathlib import Path

import pytest

from common.phrases import load
from datasets.reading.kinds import kind_of
from datasets.reading.sniffing import HEAD
from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.ingesting import ingest, refusal, row

ROWS = '{"instruction": "问题", "output": "答案"}\n' * 3
LONG = '{"a": "' + "x" * 2 * HEAD + '"}\n'
TABLE = "name,text\na,b\nc,d\n"
PAGE = '<?xml version="1.0"?>\n<!-- made -->\n<!DOCTYPE html>\n<html><p>words</html>'


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.txt", ROWS, "jsonl"),
        ("a.csv", ROWS, "jsonl"),
        ("a", ROWS[: ROWS.index("\n")], "jsonl"),
        ("a.txt", ROWS + "broken\n", "jsonl"),
        ("a.txt", LONG * 2, "jsonl"),
        ("a.txt", ROWS + LONG, "jsonl"),
        ("a.txt", ' [ {"a": 1},\n2]', "json"),
        ("a.csv", '{"data": [{"a": 1}]}', "json"),
        ("a", '{\n  "data": [\n    {"a": 1}\n  ]\n}\n', "json"),
        ("a.txt", '{"data": [' + LONG.strip() + "]}", "json"),
        ("a.txt", PAGE, "html"),
        ("a.csv", "\n<HTML lang='en'>", "html"),
        ("page", "<!doctype html><p>words", "html"),
        ("a", TABLE, "csv"),
        ("a.data", TABLE.replace(",", "\t"), "csv"),
        ("a.data", "a;b\n" + '1,5;"x\ny"\n' * HEAD, "csv"),
        ("LICENSE", "Everybody may use this.\n", "text"),
        ("a.py", "import os\n\nprint(1, 2)\n", "text"),
        ("a.md", ' [ {"a": "]} x"},\n{"a": [1]}]\n', "json"),
        ("a.txt", '[{"a": 1}, {"a": "' + "x" * 2 * HEAD, "json"),
        ("a.txt", "[" + LONG.strip() + "]", "json"),
        # What stays what its name says.
        ("a.md", '[{"role": "user"}] is how a conversation begins.\n\nMore words.\n', "markdown"),
        ("a.md", '[{"role": "user"}, …] is how a conversation begins.\n', "markdown"),
        ("a.md", '[{"role": "user"}\nis how a conversation begins.\n', "markdown"),
        ("a.html", '[{"a": 1}] <p>words', "html"),
        ("a.txt", '[{"a": 1}]\n[{"a": 2}]\n', "text"),
        ("a.csv", TABLE, "csv"),
        ("a.tsv", 'text\n{"a": 1}\n{"a": 2}\n', "csv"),
        ("a.txt", TABLE, "text"),
        ("a.md", TABLE, "markdown"),
        ("a.md", '# Rows\n\n{"a": 1}\n', "markdown"),
        ("a.md", '{"a": 1} is a row.\nMore words.\n', "markdown"),
        ("a.txt", '{"a": 1}\nfirst\nsecond\n', "text"),
        ("a.txt", "[1, 2]\n", "text"),
        ("a.txt", "[note] words\n", "text"),
        ("a.txt", "A page begins with <html>.\n", "text"),
        ("a.txt", "<!-- a -->" * 5000, "text"),
        ("a.html", "words", "html"),
        # Prose of which every line has a comma, and what has no names.
        ("a", "Roses are red, I think\nViolets are blue, I think\nSo am I, too\n", "text"),
        ("a", "Dear reader,\nthank you,\nfarewell,\n", "text"),
        ("a", "1,2\n3,4\n5,6\n", "text"),
        ("a", "a,b\n1,2\n", "text"),
        ("a", "a,b\n1,2\n3,4,5\n", "text"),
    ],
)
def test_texts_are_told_apart(tmp_path: Path, name: str, text: str, kind: str) -> None:
    path = tmp_path / "file"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
        path.write_text(text, encoding=encoding)
        assert kind_of(path, name) == kind


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.pdf", PAGE.encode(), "damaged"),
        ("a.parquet", b"a,b\n1,2\n3,4\n", "damaged"),
        ("a.xlsx", ROWS.encode(), "damaged"),
        ("a.png", b"words of a text\n", "format"),
        ("a.data", b"words\x01\x02\n", "format"),
        ("a", b"\x00words\x00", "format"),
        ("a", b"naive caf\xe9", "encoding"),
        ("a.jsonl", PAGE.encode(), "broken_json"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    assert refusal(tmp_path, data, name).code == code


@pytest.mark.parametrize("name", ["rows.txt", "rows.csv", "rows.md", "rows", "rows.data"])
def test_rows_under_any_name(tmp_path: Path, name: str) -> None:
    """Come back as they were, from lines and from an array."""
    for data, kind in ((jsonl(GOOD), "jsonl"), (json.dumps(GOOD, indent=1).encode(), "json")):
        contents, rows = ingest(tmp_path, data, name)
        assert (rows, contents.file_format) == (GOOD, kind)


def test_a_table_without_an_ending(tmp_path: Path) -> None:
    contents, rows = ingest(tmp_path, "问题\t答案\na, b\tc\n\nd\te\n".encode("gb18030"), "table")
    assert rows == [{"问题": "a, b", "答案": "c"}, {"问题": "d", "答案": "e"}]
    assert (contents.file_format, contents.encoding) == ("csv", "gb18030")


def test_texts_of_no_known_kind_in_archives(tmp_path: Path) -> None:
    """Are read among documents, and left out and named among tables."""
    notes = {"LICENSE": "Free."}
    tables = {"LICENSE": b"Free.", "a.jsonl": jsonl(GOOD[:2]), "b.txt": jsonl(GOOD[2:4])}
    contents, rows = ingest(tmp_path, samples.zipped(tables), "a.zip")
    assert rows == GOOD[:4]
    said = {file["name"]: str(load(file["problem"])) for file in contents.files}
    assert (said["a.jsonl"], said["b.txt"]) == ("", "")
    assert "It is a document, and most of the rest are tables" in said["LICENSE"]
    many = {**notes, "README": "Read.", "a.jsonl": jsonl(GOOD)}
    contents, rows = ingest(tmp_path, samples.zipped(many), "a.zip")
    assert (rows, [file["rows"] for file in contents.files]) == (GOOD, [len(GOOD), 0, 0])
    _contents, rows = ingest(tmp_path, samples.zipped({**notes, "a.txt": "Words."}), "a.zip")
    assert rows == [row("Free.", "LICENSE", 1), row("Words.", "a.txt", 1)]
    contents, rows = ingest(tmp_path, samples.zipped({**tables, "b.txt": "Words."}), "a.zip")
    assert (rows, [file["rows"] for file in contents.files]) == (GOOD[:2], [2, 0, 0])


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07", "rar"),
    ],
)
def test_archives_that_cannot_be_opened(tmp_path: Path, data: bytes, kind: str) -> None:
    """Are named, with what to do, alone and among others."""
    words = f"the kind {kind}, which cannot be opened. Unpack it and upload what is in it"
    refused = refusal(tmp_path, data, "a.jsonl")
    assert refused.code == "binary"
    assert words in refused.message
    contents, rows = ingest(tmp_path, samples.zipped({"a": data, "b.jsonl": jsonl(GOOD)}), "a.zip")
    assert rows == GOOD
    assert words in str(load(contents.files[1]["problem"]))
