"""Files as rows: every format and encoding, every refusal with its place, in bounded memory."""

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DomainError
from datasets.reading.indexed import PREVIEW_MAX, IndexedReader, IndexedWriter
from datasets.reading.kinds import kind_of
from datasets.reading.refusals import BadFile
from datasets.reading.rows import PIECE, json_kind, rows_read
from datasets.reading.sources import encoding_of, transcode
from datasets.reading.splitter import ArraySplitter

LIMIT = 1 << 20
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.lists(values, max_size=8), st.integers(1, 7), st.sampled_from([None, 1, "\t"]))
def test_an_array_is_cut_as_its_parser_would(rows, size, indent) -> None:
    """Whatever is in the array and wherever the file is cut into pieces."""
    data = json.dumps(rows, indent=indent).encode()
    splitter = ArraySplitter(limit=LIMIT, depth_limit=64)
    found = []
    for start in range(0, len(data), size):
        found += list(splitter.feed(data[start : start + size]))
    splitter.close()
    assert [json.loads(element.data) for element in found] == rows
    lines = data.decode().splitlines() or [""]
    for element in found:
        first = element.data.splitlines()[0]
        assert lines[element.line - 1].encode()[element.column - 1 :].startswith(first)


@given(st.binary(max_size=60), st.integers(1, 9))
def test_any_bytes_end_in_rows_or_a_refusal(data, size) -> None:
    """The splitter never fails in another way, and never depends on how the file was cut."""

    def outcome(step: int) -> object:
        splitter = ArraySplitter(limit=40, depth_limit=5)
        found = []
        try:
            for start in range(0, len(data), step):
                found += list(splitter.feed(data[start : start + step]))
            splitter.close()
        except DomainError as refused:
            return refused.code
        return found

    assert outcome(size) == outcome(len(data) or 1)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('[{"a": 1},\n{"a": }]', 2, 7),
        ('[{"a": 1}\n{"a": 2}]', 2, 1),
        ('[{"a": 1},]', 1, 11),
        ('[,{"a": 1}]', 1, 2),
        ('[{"a": 1}] x', 1, 12),
        ('\n {"a": 1}', 2, 2),
        ("[}", 1, 2),
    ],
)
def test_broken_json_is_told_with_its_place(tmp_path: Path, text: str, line: int, column: int):
    """Line and column are where a person finds it."""
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(BadFile) as refused:
        list(rows_read(path, "json", limit=LIMIT))
    assert (refused.value.data["line"], refused.value.data["column"]) == (line, column)
    assert refused.value.code == "broken_json"


def test_a_broken_line_is_told(tmp_path: Path) -> None:
    """Of JSONL, too."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2\n')
    with pytest.raises(BadFile) as refused:
        list(rows_read(path, "jsonl", limit=LIMIT))
    assert refused.value.data["line"] == 3


def test_zero_characters_are_left_out(tmp_path: Path) -> None:
    """In names and texts, single and in a row; a text that only looks so stays."""
    wanted = {"role": "us\0er\0\0", "te\0xt": r"a \u0000 \\u0000", "n": ["\0"]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(wanted) + "\n")
    [row] = rows_read(path, "jsonl", limit=1000)
    assert row.value == {"role": "user", "text": wanted["te\0xt"], "n": [""]}


def test_an_array_that_ends_early(tmp_path: Path) -> None:
    """A file that was cut off says where it ends."""
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1},\n{"a": 2}')
    with pytest.raises(BadFile, match="line 2"):
        list(rows_read(path, "json", limit=LIMIT))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"data": [{"a": 1}, {"a": 2}]}', [1, 1]),
        ('\n{\n  "rows of \\" mine": [\n    {"a": 1},\n    {"a": 2}\n  ]\n}\n', [4, 5]),
        ('{"data": [\n{"a": 1},{\n"a": 2}]\n}', [2, 2]),
    ],
)
def test_rows_within_one_object(tmp_path: Path, text: str, lines: list[int]) -> None:
    """Of one key are read as if they stood alone, with their places."""
    path = tmp_path / "a.json"
    path.write_text(text)
    assert json_kind(path, "json") == "json"
    rows = list(rows_read(path, "json", limit=LIMIT))
    assert [row.value for row in rows] == [{"a": 1}, {"a": 2}]
    assert [row.line for row in rows] == lines


@pytest.mark.parametrize(
    "text",
    [
        '{"data": [{"a": 1}]}\n{"data": [{"a": 2}]}\n',
        '{"data": [{"a": 1}], "id": 1}\n',
        '{"messages": [{"role": "user", "content": "q"}]}',
        '{"data": [1, 2]}',
    ],
)
def test_rows_that_hold_lists_stay_rows(tmp_path: Path, text: str) -> None:
    """Lines whose rows have a list, and a conversation."""
    path = tmp_path / "a.json"
    path.write_text(text)
    assert json_kind(path, "json") == "jsonl"
    rows = list(rows_read(path, "jsonl", limit=LIMIT))
    assert [row.value for row in rows] == [json.loads(line) for line in text.splitlines()]


LONG = '{"data": [' + ", ".join([f'{{"a": "{"x" * 1000}"}}'] * 600) + "]"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (LONG + "}\n" + '{"data": [{"a": 1}]}\n', "jsonl"),
        (LONG + ', "id": 1} \n\n' + '{"data": [], "id": 2}', "jsonl"),
        (LONG + "}" + "\n" * 2 * PIECE + "[1]", "jsonl"),
        (LONG + "}", "json"),
        (LONG + "}" + " \n" * PIECE, "json"),
        (LONG + "\n}\n", "json"),
        (LONG[:-1] + '\n, {"a": 1}]}', "json"),
        (LONG[:-1] + ',\n{"a": 1}]}', "json"),
        (LONG[:-1] + "\n]\n}", "json"),
        (LONG[:-2] + "\n}]\n}", "json"),
    ],
)
def test_a_first_line_longer_than_what_is_read_at_once(
    tmp_path: Path, text: str, kind: str
) -> None:
    """Is one row of several, or what holds all rows, by what comes after it."""
    path = tmp_path / "a.json"
    path.write_text(text)
    assert len(text.partition("\n")[0]) > 2 * PIECE
    assert json_kind(path, "json") == kind
    rows = [row.value for row in rows_read(path, kind, limit=LIMIT)]
    lines = [json.loads(line) for line in text.split("\n") if line] if kind == "jsonl" else []
    assert rows == (lines or json.loads(text)["data"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"data": [\n{"a": 1}]', "line 2 without “}”"),
        ('{"data": [\n{"a": 1}], "more": 1}', "Line 2, column 10 is not valid JSON"),
        ('{"data": [\n{"a": 1}]}}', "Line 2, column 11 is not valid JSON"),
        ('{"data": [\n{"a": }]}', "Line 2, column 7 is not valid JSON"),
    ],
)
def test_an_object_of_rows_that_is_broken(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert json_kind(path, "json") == "json"
    with pytest.raises(BadFile, match=words):
        list(rows_read(path, "json", limit=LIMIT))


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv"])
def test_a_row_without_end_is_refused_early(tmp_path: Path, kind: str) -> None:
    """A line of gigabytes is never in memory: after the limit nothing more is read."""
    start = {"json": b'[{"a": "', "jsonl": b'{"a": "', "csv": b'a\n"'}[kind]
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(2 << 30)  # a sparse file of 2 GB
    read = 0

    def progress(done: int) -> None:
        nonlocal read
        read = done

    with pytest.raises(BadFile) as refused:
        list(rows_read(path, kind, limit=LIMIT, progress=progress))
    assert refused.value.code == "line_too_long"
    assert read <= 3 * LIMIT


def test_small_bombs(tmp_path: Path) -> None:
    """Deep nesting and swarms of values are refused before they are parsed."""
    path = tmp_path / "bomb.jsonl"
    path.write_text('{"a": ' + "[" * 5000 + "]" * 5000 + "}")
    with pytest.raises(BadFile) as refused:
        list(rows_read(path, "jsonl", limit=LIMIT))
    assert refused.value.code == "nesting"
    path.write_text('{"a": [' + "1," * 300_000 + "1]}")
    with pytest.raises(BadFile) as refused:
        list(rows_read(path, "jsonl", limit=LIMIT))
    assert refused.value.code == "too_many_values"


def test_csv(tmp_path: Path) -> None:
    """Quoted line breaks keep their line; short records lack columns; three delimiters."""
    path = tmp_path / "a.csv"
    path.write_text('a;b\n1;"x\ny"\n"2;2"\n')
    rows = list(rows_read(path, "csv", limit=LIMIT))
    assert [(row.line, row.value) for row in rows] == [
        (2, {"a": "1", "b": "x\ny"}),
        (4, {"a": "2;2", "b": None}),
    ]


@pytest.mark.parametrize(
    ("text", "line"), [("a,a\n", 1), ("a,\n", 1), ("a,b\n1,2,3\n", 2), ('a,b\n1,2\n1,"x', 3)]
)
def test_broken_csv(tmp_path: Path, text: str, line: int) -> None:
    """Names that are missing or twice, too many fields, a quotation that does not end."""
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BadFile) as refused:
        list(rows_read(path, "csv", limit=LIMIT))
    assert refused.value.data["line"] == line


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_encodings_are_found_and_read(tmp_path: Path, encoding: str) -> None:
    """Chinese in all the encodings that its editors write."""
    text = '{"问题": "今天的天气怎么样?我想去公园散步。", "回答": "晴,很适合散步。"}\n' * 3
    path, target = tmp_path / "a", tmp_path / "b"
    path.write_bytes(text.encode(encoding))
    transcode(path, encoding_of(path), target)
    assert target.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ('{"a": "很多很多很多很多很多很多的字"}\n'.encode() + b'{"a": "\xff"}', 2),
        (b'{"a": "caf\xe9 au lait"}', 1),
        (b'{"a": 1}\n\x80\x81', 2),
    ],
)
def test_undecodable_bytes_are_told(tmp_path: Path, data: bytes, line: int) -> None:
    """Damaged UTF-8 is not read as another encoding."""
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(BadFile) as refused:
        encoding_of(path)
    assert refused.value.code == "encoding"
    assert refused.value.data["line"] == line


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.JSONL", b'{"a": 1}', "jsonl"),
        ("a.tsv", b"a\tb", "csv"),
        ("a.txt", b"words", "text"),
        ("anything", b"%PDF-1.7", "pdf"),
        ("a.csv", b"PAR1", "parquet"),
        ("a.json", b"PK\x03\x04" + b"x" * 100, "zip"),
        ("a", b"\x1f\x8b\x08", "gzip"),
    ],
)
def test_kinds(tmp_path: Path, name: str, head: bytes, kind: str) -> None:
    """By the contents where these say it, else by the name's ending."""
    path = tmp_path / "file"
    path.write_bytes(head)
    assert kind_of(path, name) == kind


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("name, first\tage\nA, B\t5\n", {"name, first": "A, B", "age": "5"}),
        ("a;b\n1,5;2,5\n", {"a": "1,5", "b": "2,5"}),
        ("a|b\n1|2\n", {"a": "1", "b": "2"}),
        ('a,b\n"x;y;z\n;",2\n', {"a": "x;y;z\n;", "b": "2"}),
        ("a\nx;y\n", {"a": "x;y"}),
    ],
)
def test_delimiters(tmp_path: Path, text: str, row: dict[str, str]) -> None:
    """The sign that parts all lines alike, not the most frequent one of the first line."""
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert [one.value for one in rows_read(path, "csv", limit=LIMIT)] == [row]


def test_pages_by_index(tmp_path: Path) -> None:
    """Any page, lines of the file, and a search that tells how far it looked."""
    path = tmp_path / "rows.jsonl"
    with IndexedWriter(path) as writer:
        for number in range(5000):
            writer.write(
                {"name": f"Row {number}", "say": "天" if number == 4321 else "x"}, number + 2
            )
    reader = IndexedReader(path)
    assert reader.count == 5000
    page = reader.page(4990, 20)
    assert [line.value["name"] for line in page][-1] == "Row 4999"
    assert page[0].source_line == 4992
    found = reader.search("天", start=0, count=5, seconds=5)
    assert [line.number for line in found.lines] == [4321]
    assert found.looked == 5000
    assert [line.number for line in reader.search("row 7", start=71, count=3, seconds=5).lines] == [
        71,
        72,
        73,
    ]
    assert reader.search("name", start=0, count=5, seconds=5).lines == []  # a column, not a value
    assert reader.search("x", start=0, count=5, seconds=-1).looked < 5001


@pytest.mark.parametrize("words", ["needle", "NADEL mit Größe", "天地"])
def test_a_search_in_lines_longer_than_a_block(tmp_path: Path, words: str) -> None:
    """Wherever the words stand in the line, and whatever stands around it."""
    path = tmp_path / "rows.jsonl"
    size = 3 * 2**20
    places = [0, 2**20 - 20, 2**20 - 4100, 2 * 2**20 - 4090, size - 100]
    with IndexedWriter(path) as writer:
        for number, place in enumerate(places):
            writer.write({"say": f"short {number}"}, 2 * number + 1)
            writer.write({"say": "é" * (place // 2) + words + "x" * (size - place)}, 2 * number + 2)
        writer.write({"say": f"and {words}"}, 99)
    reader = IndexedReader(path)
    found = reader.search(words.upper(), start=0, count=20, seconds=60)
    assert [line.number for line in found.lines] == [1, 3, 5, 7, 9, 10]
    assert found.looked == reader.count
    assert reader.search("no such words", start=0, count=20, seconds=60).lines == []
    again = reader.search("short", start=3, count=20, seconds=60)
    assert [line.number for line in again.lines] == [4, 6, 8]


def test_memory_of_a_search_and_a_page_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with IndexedWriter(path) as writer:
        writer.write({"say": "long " * (3 * 2**20)}, 1)
        for number in range(100):
            writer.write({"say": "x" * (PREVIEW_MAX - 100)}, number + 2)
    reader = IndexedReader(path)
    tracemalloc.start()
    try:
        found = reader.search("long", start=0, count=20, seconds=60)
        many = reader.search("xxx", start=0, count=100, seconds=60)
        page = reader.page(0, 100)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [line.number for line in found.lines] == [0]
    assert 1 < len(many.lines) < 100
    assert many.looked == len(many.lines) + 1
    assert 1 < len(page) < 100
    assert peak < 16 * 2**20
    rest = reader.page(len(page), 100)
    assert rest[0].number == len(page)
