"""Foreign formats: what becomes of them as rows, and how bad ones are refused."""

import bz2
import gzip
import io
import lzma
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_ipc, write_ipc_stream

from common.phrases import load
from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.ingesting import ingest, refusal, row
from tests.services import ROOT


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
        ("a.feather", samples.arrow(as_file=True, compression="lz4")),
        ("a.arrow", samples.arrow(as_file=False, compression="zstd")),
    ):
        contents, rows = ingest(tmp_path, data, name)
        assert contents.rows == 5
        assert rows[4] == {"instruction": "question 4", **wanted, "price": 1.5, "nothing": None}


@pytest.mark.parametrize("written", [write_ipc, write_ipc_stream])
def test_newer_columns_of_arrow(tmp_path: Path, written) -> None:
    """Texts as views, as newer programs write them, of any length and none."""
    texts = ["short", None, "", "long enough to lie in a buffer of its own " * 9, "汉字"]
    data = [None if text is None else text.encode() for text in texts]
    columns = {
        "text": Array(texts, DataType.string_view()),
        "raw": Array(data, DataType.binary_view()),
        "large": Array(texts, DataType.large_utf8()),
    }
    file = io.BytesIO()
    written(Table.from_pydict(columns), file)
    _contents, rows = ingest(tmp_path, file.getvalue(), "a.arrow")
    assert [row["text"] for row in rows] == [row["large"] for row in rows] == texts


RTF = b"{\\rtf1\\ansi\\deff0 {\\fonttbl{\\f0 Arial;}}\\f0 words\\par}"


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
        ("a.ppt", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600, "office"),
        ("a.rtf", RTF, "office"),
        ("notes.txt", RTF, "office"),
        ("a.odt", samples.odf("text"), "office"),
        ("a.odp", samples.odf("presentation"), "office"),
        ("a", samples.odf("text", first="content.xml"), "office"),
        ("a.zip", samples.zipped({"a.rtf": RTF}), "office"),
        ("a.zip", samples.zipped({"a.odt": samples.odf("text")}), "office"),
        ("a.epub", samples.epub(locked=True), "encrypted"),
        ("a.epub", samples.zipped({"mimetype": "application/epub+zip"}), "damaged"),
        ("a.parquet", b"PAR1 and nothing PAR1", "damaged"),
        ("a.arrow", b"ARROW1\0\0" + b"\xff" * 40, "damaged"),
        ("a.arrow", samples.arrow(as_file=True)[:-20], "damaged"),
        ("a.arrow", samples.arrow(as_file=False)[:60], "damaged"),
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


def test_damaged_pages_are_named(tmp_path: Path) -> None:
    """Beside pictures; the others are read. Without any that can be read all is refused."""
    book = samples.pdf(["One.", "Two.", "PICTURE", "Four."])
    book = samples.page_broken(book, 2).replace(b"(PICTURE) Tj", b"0 0 9 9 re f")
    contents, rows = ingest(tmp_path, book, "a.pdf")
    assert [row["place"] for row in rows] == [1, 4]
    said = str(load(contents.files[0]["problem"]))
    assert "1 of 4 pages is damaged and left out: 2. Save the document anew" in said
    assert "1 of 4 pages holds pictures and no text and is left out: 3." in said
    alone = tmp_path / "alone"
    alone.mkdir()
    book = samples.page_broken(samples.page_broken(samples.pdf(["One.", "Two."]), 1), 2)
    assert "(pages: 2, damaged: 1, 2)" in refusal(alone, book, "a.pdf").message


def test_damaged_pages_are_told_from_empty_ones(tmp_path: Path) -> None:
    """Which describe nothing, only how to draw, spaces, or white on white."""
    drawn = zlib.compress(b"BT /F1 12 Tf 72 720 Td (Gone.) Tj ET")
    damaged = [
        drawn[:12] + b"\xff" * 9 + drawn[21:],
        drawn[: len(drawn) // 2],
        b"\xfe" * 50,
        zlib.compress(random.Random(1).randbytes(500)),
        zlib.compress(b"no words of the language"),
    ]
    empty = [
        "",
        b"",
        zlib.compress(b" \n"),
        zlib.compress(b"q\n1 0 0 1 0 0 cm\nQ\n"),
        zlib.compress(b"q\nQ\n")[:-4],
        zlib.compress(b"/P <</ActualText (\xfe\xff\x00\xa0)>> BDC EMC"),
        zlib.compress(b"BT /F1 12 Tf 72 720 Td (   ) Tj ET"),
        zlib.compress(b"1 1 1 rg 0 0 612 792 re f"),
    ]
    contents, rows = ingest(tmp_path, samples.pdf(["One.", *damaged, *empty]), "a.pdf")
    assert [row["place"] for row in rows] == [1]
    said = str(load(contents.files[0]["problem"]))
    assert said == (
        "5 of 14 pages are damaged and left out: 2, 3, 4, 5, 6. Save the document anew from the"
        " program that made it."
    )
    contents, _rows = ingest(tmp_path, samples.pdf(["One.", *empty]), "a.pdf")
    assert contents.files == []
    seen = [zlib.compress(b"0 0 9 9 re S"), zlib.compress(b"1 0 0 rg 0 0 9 9 re f")]
    contents, _rows = ingest(tmp_path, samples.pdf(["One.", *seen]), "a.pdf")
    assert "2 of 3 pages hold pictures" in str(load(contents.files[0]["problem"]))


def test_pages_that_are_damaged_in_part_are_named(tmp_path: Path) -> None:
    """What can be read of them is; whole pages with odd bytes where they may stand are whole."""
    said = b"BT /F1 12 Tf 72 720 Td (Here.) Tj ET "
    chance = random.Random(1)
    long = b"".join(b"BT 72 %d Td (%d) Tj ET " % (9, chance.randrange(10**9)) for _n in range(400))
    packed = zlib.compress(said + long)
    damaged = [
        packed[: len(packed) // 2],
        packed[:1500] + b"\xff" * 40 + packed[1540:],
        zlib.compress(said + chance.randbytes(300)),
        zlib.compress(said + b"BT (Gone. Tj ET"),
    ]
    whole = [
        packed,
        packed[:-4],
        zlib.compress(said + rb"BT (\) a \( (b) \\) Tj (\377) Tj <FEFF> Tj ET"),
        zlib.compress(said + b"BT (\xfe\xff\x00\xa0\x8f\x01) Tj ET % \xe6\xb1\x89\xff\xfe\n"),
        zlib.compress(said + b"BI /W 2 /H 2 /BPC 8 /CS /G ID \xfe\xfd(\xff\nEI Q"),
        zlib.compress(said + b"/\xcb\xce\xcc\xe5 <</A (\xff)>> BDC EMC"),
    ]
    contents, rows = ingest(tmp_path, samples.pdf([*damaged, *whole]), "a.pdf")
    assert [row["place"] for row in rows] == list(range(1, 11))
    assert all(row["text"].startswith("Here.") for row in rows)
    told = str(load(contents.files[0]["problem"]))
    assert told.startswith("4 of 10 pages are damaged and read only in part: 1, 2, 3, 4. Save")
