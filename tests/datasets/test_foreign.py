"""Foreign formats: what becomes of them as rows, and how bad ones are refused."""

import bz2
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
import tracemalloc
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from common.phrases import load
from datasets.ingest import Contents, contents_ingest
from datasets.reading.indexed import IndexedReader
from datasets.reading.leaving import LEFT_OUT_MOST
from datasets.reading.refusals import BadFile
from datasets.reading.rows import COLUMNS_MAX, rows_read
from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl
from tests.services import ROOT

LIMIT = 1 << 20
OFFICE_LOCKED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1600)


def ingest(folder: Path, data: bytes, name: str) -> tuple[Contents, list[Any]]:
    """What the file holds and its rows; nothing else is left in the folder."""
    (folder / "original").write_bytes(data)
    contents = contents_ingest(folder, folder / "original", name, line_limit=LIMIT)
    left = {path.name for path in folder.iterdir()} - {"made.parquet"}
    assert left == {"original", "rows.jsonl", "rows.idx"}
    return contents, [value for _number, _line, value in IndexedReader(folder / "rows.jsonl").all()]


def refusal(folder: Path, data: bytes, name: str) -> BadFile:
    """Why the file is refused; nothing is left of it."""
    (folder / "original").write_bytes(data)
    with pytest.raises(BadFile) as refused:
        contents_ingest(folder, folder / "original", name, line_limit=LIMIT)
    assert {path.name for path in folder.iterdir()} - {"made.parquet"} == {"original"}
    return refused.value


def row(text: str, document: str, place: int, heading: str = "") -> dict[str, Any]:
    """A row of a document."""
    return {"text": text, "document": document, "place": place, "heading": heading}


def test_pdf(tmp_path: Path) -> None:
    """A row for each page with text, by its number; the name does not matter."""
    contents, rows = ingest(tmp_path, samples.pdf(["Page one.", "", "Page three."]), "book.data")
    assert rows == [row("Page one.", "book.data", 1), row("Page three.", "book.data", 3)]
    assert (contents.file_format, contents.columns[0]) == ("pdf", "text")


def test_docx(tmp_path: Path) -> None:
    """Sections under their headings, tables in lines."""
    contents, rows = ingest(tmp_path, samples.docx(), "a.docx")
    assert rows == [
        row("Handbook\n\nRead me first.", "a.docx", 1, "Handbook"),
        row("Tools\n\nsaw | 锯", "a.docx", 2, "Tools"),
        row("Care\n\nKeep dry.", "a.docx", 3, "Tools › Care"),
    ]
    assert contents.file_format == "docx"


def test_epub(tmp_path: Path) -> None:
    """Chapters as the book orders them."""
    _contents, rows = ingest(tmp_path, samples.epub(), "a.epub")
    assert rows == [
        row("第一章\n\n从前 有座山", "a.epub", 1, "第一章"),
        row("End\n\nAll is well.", "a.epub", 2, "End"),
    ]


def test_html(tmp_path: Path) -> None:
    """What a reader sees; GB18030 as well as UTF-8."""
    page = (
        "<html><head><title>no</title><style>no</style></head><body><h1>花园</h1><p>玫瑰<i>很</i>红"
        "<br>真的</p><script>no()</script><ul><li>one<li>two</ul><table><tr><td>a<td>b</table>"
        "<pre>x\n  y</pre></body></html>"
    )
    for encoding in ("utf-8", "gb18030"):
        contents, rows = ingest(tmp_path, page.encode(encoding), "a.html")
        assert contents.encoding == encoding
        text = "花园\n\n玫瑰很红\n真的\n\n- one\n\n- two\n\na | b\n\nx\n  y"
        assert rows == [row(text, "a.html", 1, "花园")]


def test_markdown(tmp_path: Path) -> None:
    """A number sign in a block of code is no heading."""
    text = "# A\n\nfirst\n\n## B\n\n```sh\n# not one\n\nls\n```\n\n# C\nlast\n"
    _contents, rows = ingest(tmp_path, text.encode(), "a.md")
    assert rows == [
        row("# A\n\nfirst", "a.md", 1, "A"),
        row("## B\n\n```sh\n# not one\n\nls\n```", "a.md", 2, "A › B"),
        row("# C\n\nlast", "a.md", 3, "C"),
    ]


def test_long_texts_become_sections(tmp_path: Path) -> None:
    """Of a page each, cut between sentences; nothing is lost."""
    sentence = "今天天气很好。我们去公园。"
    _contents, rows = ingest(tmp_path, (sentence * 2000).encode(), "a.txt")
    assert "".join(one["text"] for one in rows) == sentence * 2000
    assert max(len(one["text"]) for one in rows) <= 4000
    assert all(one["text"].endswith("。") for one in rows)
    paragraphs = "\n\n".join(f"Paragraph {number}. {'word ' * 50}" for number in range(100))
    _contents, rows = ingest(tmp_path, paragraphs.encode("utf-16"), "a.txt")
    assert len(rows) < 10
    assert all(one["text"].startswith("Paragraph") for one in rows)


def test_tables_in_columns(tmp_path: Path) -> None:
    """Nested columns become objects; what is no number in JSON becomes null."""
    wanted = {"output": "answer", "nested": {"x": 1, "y": [1, 2]}, "day": "2020-01-01"}
    for name, data in (
        ("a.parquet", samples.parquet(tmp_path)),
        ("a.arrow", samples.arrow(as_file=False)),
        ("a.data", samples.arrow(as_file=True)),
    ):
        contents, rows = ingest(tmp_path, data, name)
        assert contents.rows == 5
        assert rows[4] == {"instruction": "question 4", **wanted, "price": 1.5, "nothing": None}


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.pdf", samples.pdf(["secret"], locked=True), "encrypted"),
        ("a.pdf", samples.pdf(["", ""]), "scanned"),
        ("a.pdf", b"%PDF-1.4 and nothing", "damaged"),
        ("a.docx", samples.docx()[:5000], "damaged"),
        ("a.docx", samples.zipped({"[Content_Types].xml": "", "ppt/slides.xml": ""}), "office"),
        ("a.docx", samples.zipped({"[Content_Types].xml": "", "xl/workbook.xml": ""}), "damaged"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600, "office"),
        ("a.epub", samples.epub(locked=True), "encrypted"),
        ("a.epub", samples.zipped({"mimetype": "application/epub+zip"}), "damaged"),
        ("a.parquet", b"PAR1 and nothing PAR1", "damaged"),
        ("a.arrow", b"ARROW1\0\0" + b"\xff" * 40, "damaged"),
        ("a.html", b"<html><body><p> </p></body></html>", "empty"),
        ("a.txt", "naïve café".encode("latin-1"), "encoding"),
        ("a.zip", samples.zipped({}), "archive_empty"),
        ("a.zip", samples.zipped({"../a.jsonl": jsonl(GOOD)}), "path"),
        ("a.zip", samples.zipped({"/etc/a.jsonl": jsonl(GOOD)}), "path"),
        ("a.zip", samples.zipped({"C:\\a.jsonl": jsonl(GOOD)}), "path"),
        ("a.tar", samples.tarred({"b/../../a.jsonl": jsonl(GOOD)}), "path"),
        ("a.tar.gz", samples.tarred({"a.jsonl": jsonl(GOOD) * 99})[:-200], "damaged"),
        (
            "a.zip",
            samples.zipped({"a.png": b"\x89PNG", "b.7z": b"7z\xbc\xaf\x27\x1c"}),
            "archive_empty",
        ),
        ("a.zip", samples.zipped({"b.zip": samples.zipped({"a.jsonl": "{}"})}), "archive"),
        ("a.zip", samples.zipped({"a.jsonl": "{broken"}), "broken_json"),
        ("a.zip", samples.zipped({"a.jsonl": "{broken", "b.json": "[1]"}), "archive_empty"),
        (
            "a.zip",
            samples.zipped({"a.jsonl": jsonl(GOOD), "b.jsonl.gz": gzip.compress(jsonl(GOOD))[:-9]}),
            "damaged",
        ),
    ],
)
def test_refusals(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    """Each has a code and a sentence, and leaves nothing."""
    refused = refusal(tmp_path, data, name)
    assert refused.code == code
    assert str(tmp_path) not in refused.message


BOMB = b"0" * 300 * 2**20


@pytest.mark.parametrize("kind", ["docx", "epub", "zip", "gz", "xz", "bz2", "tar", "parts"])
def test_bombs(tmp_path: Path, settings, kind: str) -> None:
    """A few hundred KB that would become 300 MB and more."""
    settings.UPLOAD_MAX_BYTES = 100 * 2**20
    if kind in {"gz", "xz", "bz2"}:
        data = {"gz": gzip, "xz": lzma, "bz2": bz2}[kind].compress(BOMB)
        name = f"a.jsonl.{kind}"
    elif kind == "tar":
        data, name = samples.tarred({"a.jsonl": BOMB}), "a.tar.gz"
    elif kind == "parts":  # each alone would be none
        part = gzip.compress(BOMB[: 60 * 2**20])
        data, name = samples.zipped({"a.jsonl.gz": part, "b.jsonl.gz": part}), "a.zip"
    else:
        first = {"docx": "[Content_Types].xml", "epub": "mimetype", "zip": "a.jsonl"}[kind]
        parts = {first: "application/epub+zip", "word/document.xml": BOMB, "b.jsonl": BOMB}
        data, name = samples.zipped(parts), f"a.{kind}"
    assert len(data) < 2**20
    assert refusal(tmp_path, data, name).code == "bomb"


def test_a_table_that_becomes_too_much(tmp_path: Path, settings) -> None:
    """A Parquet file of the same words a million times: too long, or too much memory."""
    query = "SELECT repeat('x', 1000) AS text FROM range(300000)"
    data = samples.parquet(tmp_path, query)
    assert len(data) < 2**20
    assert refusal(tmp_path, data, "a.parquet").code == "parser_output"
    settings.PARSER_MEMORY_BYTES = 2**29
    query = "SELECT repeat('x', 1000000) || i AS text FROM range(600) rows(i)"
    data = samples.parquet(tmp_path, query)
    assert refusal(tmp_path, data, "a.parquet").code == "parser_memory"


def test_the_parser_is_bounded(tmp_path: Path) -> None:
    """To so much memory, and files of such a size."""
    program = (
        "import os\n"
        "from datasets.parsing.limits import confine\n"
        "confine(memory=2**29, seconds=5, size=1000)\n"
        "try:\n    bytearray(2**30)\n"
        "except MemoryError:\n    print('bounded')\n"
        f"file = os.open({str(tmp_path / 'x')!r}, os.O_CREAT | os.O_WRONLY)\n"
        "print(os.write(file, bytes(5000)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[:2] == ["bounded", "1000"]


def test_an_archive_of_tables(tmp_path: Path) -> None:
    """One version of all rows; what it left out is named, junk is not."""
    parts = {
        "data/one.jsonl": jsonl(GOOD[:3]),
        "data/two.json": json.dumps([{"output": "b", "instruction": "a", "system": "s"}]).encode(),
        "三.parquet": samples.parquet(tmp_path),
        "picture.png": b"\x89PNG....",
        "__MACOSX/data/._one.jsonl": b"junk",
        ".DS_Store": b"junk",
    }
    for name, data in (
        ("a.zip", samples.zipped(parts)),
        ("a.tgz", samples.tarred(parts, link="/etc/passwd")),
        ("a.tar", samples.tarred(parts, mode="w")),
        ("a.tar.xz", samples.tarred(parts, mode="w:xz")),
    ):
        contents, rows = ingest(tmp_path, data, name)
        assert rows[:3] == GOOD[:3]
        assert [row["instruction"] for row in rows[3:5]] == ["a", "question 0"]
        assert [(file["name"], file["kind"], file["rows"]) for file in contents.files] == [
            ("data/one.jsonl", "jsonl", 3),
            ("data/two.json", "json", 1),
            ("三.parquet", "parquet", 5),
            ("picture.png", "", 0),
        ]
        assert "image" in contents.files[-1]["problem"]


def test_an_archive_of_documents(tmp_path: Path) -> None:
    """Rows know their document; one that cannot be read is left out and named."""
    parts = {
        "a/report.pdf": samples.pdf(["In the report."]),
        "locked.pdf": samples.pdf(["x"], locked=True),
        "b/notes.txt": "Notes.",
    }
    contents, rows = ingest(tmp_path, samples.zipped(parts), "a.zip")
    assert rows == [row("In the report.", "a/report.pdf", 1), row("Notes.", "b/notes.txt", 1)]
    assert [file["rows"] for file in contents.files] == [1, 1, 0]
    assert "password" in contents.files[2]["problem"]


def test_a_compressed_file(tmp_path: Path) -> None:
    """Is read as the file in it."""
    contents, rows = ingest(tmp_path, gzip.compress(jsonl(GOOD)), "data.jsonl.gz")
    assert rows == GOOD
    assert contents.file_format == "jsonl"


@pytest.mark.parametrize("as_archive", [samples.zipped, samples.tarred])
def test_compressed_files_together(tmp_path: Path, as_archive) -> None:
    """Are read as the files in them; archives stay closed."""
    parts = {
        "data/train-0.jsonl.gz": gzip.compress(jsonl(GOOD[:3])),
        "data/train-1.json.XZ": lzma.compress(json.dumps(GOOD[3:5]).encode()),
        "data/train-2.jsonl.bz2": bz2.compress(jsonl(GOOD[5:])),
        "plain.jsonl.gz": jsonl(GOOD),
        "more.tar.gz": samples.tarred({"a.jsonl": jsonl(GOOD)}),
        "more.zip.gz": gzip.compress(samples.zipped({"a.jsonl": jsonl(GOOD)})),
    }
    contents, rows = ingest(tmp_path, as_archive(parts), "data")
    assert rows == GOOD
    assert [(file["name"], file["kind"], file["rows"]) for file in contents.files] == [
        ("data/train-0.jsonl", "jsonl", 3),
        ("data/train-1.json", "json", 2),
        ("data/train-2.jsonl", "jsonl", 25),
        ("plain.jsonl.gz", "", 0),
        ("more.tar.gz", "gzip", 0),
        ("more.zip", "zip", 0),
    ]


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Other columns than most, documents among tables, text cells among typed ones."""
    good = {f"{name}.jsonl": jsonl(GOOD) for name in "abc"}
    for name, data in (
        ("odd.jsonl", jsonl([{"messages": [{"role": "user", "content": "x"}]}])),
        ("README.md", b"# Read me"),
        ("odd.csv", b"instruction,output\na,b\n"),
    ):
        refused = refusal(tmp_path, samples.zipped({**good, name: data}), "a.zip")
        assert refused.code == "mixed"
        assert name in refused.message
        assert "a.jsonl" not in refused.message


BROKEN = {
    "line.jsonl": (b"{broken\n", "Line 1, column 2"),
    "array.json": (
        b'[{"instruction": "q", "output": "a"},\n{"instruction": }]',
        "Line 2, column 17",
    ),
    "table.csv": (b'instruction,output\nx,y\n"open,z\n', "Line 3 is not valid CSV"),
    "bytes.json": (b'[{"instruction": "\xff"}]', "is not UTF-8"),
    "empty.csv": (b"instruction,output\n", "holds no rows"),
    "part.parquet": (b"PAR1 and nothing PAR1", "damaged"),
    "book.xlsx": (samples.xlsx({"A": [["a", "a"], ["1", "2"]]}), "“A”: The first line names"),
}


def test_tables_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    """With the reason and its place; the others are read, whichever comes first."""
    good = {"0.jsonl": jsonl(GOOD[:2]), "z.jsonl": jsonl(GOOD[2:4])}
    parts = {name: data for name, (data, _words) in BROKEN.items()}
    contents, rows = ingest(tmp_path, samples.zipped(dict(sorted((good | parts).items()))), "a.zip")
    assert rows == GOOD[:4]
    assert (contents.rows, contents.file_format) == (4, "jsonl")
    said = {file["name"]: str(load(file["problem"])) for file in contents.files}
    assert [name for name, problem in said.items() if not problem] == ["0.jsonl", "z.jsonl"]
    for name, (_data, words) in BROKEN.items():
        assert words in said[name]
    alone = tmp_path / "alone"
    alone.mkdir()
    two = {name: parts[name] for name in ("line.jsonl", "table.csv")}
    refused = refusal(alone, samples.zipped(two), "a.zip")
    assert refused.code == "archive_empty"
    assert "“line.jsonl”: Line 1, column 2" in refused.message
    assert "“table.csv”: Line 3" in refused.message


def test_a_table_that_breaks_late_is_left_out_whole(tmp_path: Path) -> None:
    """Rows, columns and first rows of it are forgotten, behind a good table and before one."""
    late = [{"instruction": f"q{number}", "output": "a"} for number in range(5000)]
    broken = json.dumps([*late, {"odd": 1}]).encode()[:-2]
    parts = {"0.jsonl": jsonl(GOOD[:2]), "1.json": broken, "2.jsonl": jsonl(GOOD[2:4])}
    contents, rows = ingest(tmp_path, samples.zipped(parts), "a.zip")
    assert rows == GOOD[:4] == contents.sample
    assert [(file["name"], file["rows"]) for file in contents.files] == [
        ("0.jsonl", 2), ("2.jsonl", 2), ("1.json", 0),
    ]  # fmt: skip
    assert "odd" not in contents.columns
    parts = {"0.json": broken, "1.jsonl": jsonl(GOOD[:2])}
    again = tmp_path / "again"
    again.mkdir()
    contents, rows = ingest(again, samples.zipped(parts), "a.zip")
    assert (rows, contents.rows) == (GOOD[:2], 2)


def test_columns_are_counted_of_the_whole_archive(tmp_path: Path) -> None:
    """So many names and no more, however many files bring others: those that came first."""
    parts = {
        f"{file}.jsonl": jsonl(
            [{**GOOD[0], **{f"{file}-{n}": "" for n in range(150)}}] * (file + 1)
        )
        for file in range(4)
    }
    contents, rows = ingest(tmp_path, samples.zipped(parts), "a.zip")
    assert len(rows) == 10
    extra = [f"0-{n}" for n in range(150)] + [f"1-{n}" for n in range(COLUMNS_MAX - 153)]
    assert set(contents.columns) == {*GOOD[0], *extra}


def test_chinese_names_of_older_programs(tmp_path: Path) -> None:
    """Which write GBK and do not say so."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("xxxx.txt"), "words")
    data = file.getvalue().replace(b"xxxx.txt", "说明".encode("gb18030") + b".txt")
    _contents, rows = ingest(tmp_path, data, "a.zip")
    assert rows[0]["document"] == "说明.txt"


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


def test_nested_and_odd_types_of_parquet(tmp_path: Path) -> None:
    """Maps, decimals, bytes, times, lists of objects, and NaN deep inside."""
    query = (
        "SELECT 'q' AS instruction, [{'a': 1, 'b': [1.5, 'nan'::DOUBLE]}] AS nested,"
        " MAP {'k': {'v': 1}} AS keyed, 1.23::DECIMAL(38, 10) AS exact, 'ab'::BLOB AS raw,"
        " TIMESTAMPTZ '2024-01-01 00:00:00+00' AS moment, INTERVAL 1 DAY AS span,"
        " uuid() AS named, 2::UBIGINT ** 60 AS big, 'inf'::FLOAT AS endless, NULL AS nothing"
    )
    contents, rows = ingest(tmp_path, samples.parquet(tmp_path, query), "a.parquet")
    assert contents.rows == 1
    assert rows[0]["nested"] == [{"a": 1, "b": [1.5, None]}]
    assert rows[0]["keyed"] == {"k": {"v": 1}}
    assert rows[0]["endless"] is None


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


def test_pages_that_are_pictures_are_named(tmp_path: Path) -> None:
    """Beside those with text; empty ones are nothing to miss."""
    text, drawn = b"(PICTURE) Tj", b"0 0 9 9 re f"
    book = samples.pdf(["One.", "PICTURE", "", "Four."])
    contents, rows = ingest(tmp_path, book.replace(text, drawn), "a.pdf")
    assert [row["place"] for row in rows] == [1, 4]
    said = str(load(contents.files[0]["problem"]))
    assert said.startswith("1 of 4 pages holds pictures and no text and is left out: 2.")
    contents, rows = ingest(tmp_path, book, "a.pdf")
    assert ([row["place"] for row in rows], contents.files) == ([1, 2, 4], [])
