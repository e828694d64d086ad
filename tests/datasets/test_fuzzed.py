"""A fuzzer on the readers: whatever a file holds, its rows are read or a sentence refuses it."""

import io
import random
import shutil
import tempfile
import zlib
from functools import cache
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.ingest import contents_ingest
from datasets.reading.indexed import IndexedReader
from datasets.reading.kinds import KINDS
from datasets.reading.refusals import BadFile
from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl

LIMIT = 1 << 20
NAMES = sorted({kind: ending for ending, kind in KINDS.items()}.values())
# What readers trip over: signs of formats, broken characters, sizes that are too big.
DICTIONARY = [
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\n", b'"', b"'", b",", b";", b"\t",
    b"{", b"}", b"[", b"]", b"\\u0000", b"\\ud800", b"NaN", b"1e999", b"-", b"null", b"PK\x03\x04",
    b"PAR1", b"ARROW1\x00\x00", b"%PDF-", b"\x1f\x8b", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;",
    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", "汉".encode(),
    "汉".encode("gbk"),
    b"../../x", b"[" * 200, b'{"a":' * 100, b" " * 5000,
]  # fmt: skip


def read(data: bytes, name: str) -> int:
    """How many rows the file gives; its refusal is an answer as good. Nothing else may happen."""
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "original").write_bytes(data)
        try:
            contents = contents_ingest(folder, folder / "original", name, line_limit=LIMIT)
        except BadFile as refused:
            assert refused.code
            assert str(folder) not in refused.message
            assert {path.name for path in folder.iterdir()} == {"original"}
            return 0
        rows = sum(1 for _row in IndexedReader(folder / "rows.jsonl").all())
        assert rows == contents.rows > 0
        assert (folder / "rows.jsonl").stat().st_size < 100 * len(data) + 2**20
        return rows
    finally:
        shutil.rmtree(folder)


@cache
def seeds() -> dict[str, bytes]:
    """A good file of each kind."""
    folder = Path(tempfile.mkdtemp())
    try:
        parquet = samples.parquet(folder)
    finally:
        shutil.rmtree(folder)
    return {
        "a.jsonl": jsonl(GOOD[:3]),
        "a.json": b'[{"instruction": "q", "output": "\\u6c49", "n": [1, {"a": null}]}]',
        "a.csv": 'instruction,output\n"q ""x""\ny",a\n问,答\n'.encode(),
        "a.parquet": parquet,
        "a.arrow": samples.arrow(as_file=True),
        "a.xlsx": samples.xlsx({"A": [["a", "b"], [1, "x"]], "B": [["a", "b"], ["y", 2.5]]}),
        "a.ods": samples.ods([["a"], ["b"]]),
        "a.pdf": samples.pdf(["Page one.", zlib.compress(b"q Q"), b"\xfe", ""]),
        "a.docx": samples.docx(),
        "a.epub": samples.epub(),
        "a.html": b"<html><body><h1>A</h1><p>b<table><tr><td>c</table></body></html>",
        "a.md": b"# A\n\ntext\n\n```\ncode\n```\n",
        "a.zip": samples.zipped({"x.jsonl": jsonl(GOOD[:2]), "y.jsonl": jsonl(GOOD[2:3])}),
        "a.tgz": samples.tarred({"x.jsonl": jsonl(GOOD[:2])}),
        "a.jsonl.zst": zstd.compress(jsonl(GOOD[:3])),
    }


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with a few pieces changed, cut, doubled, moved or replaced by what readers fear."""
    found = bytearray(data)
    for _time in range(chance.randint(1, 6)):
        place = chance.randrange(len(found) + 1)
        span = chance.choice((1, 1, 2, 8, 64, 512))
        match chance.randrange(6):
            case 0:
                found[place : place + span] = chance.randbytes(span)
            case 1:
                del found[place : place + span]
            case 2:
                found[place:place] = chance.choice(DICTIONARY)
            case 3:
                found[place : place + span] = chance.choice(DICTIONARY)
            case 4:
                found[place:place] = found[place : place + span] * chance.randint(1, 20)
            case _:
                del found[place:]
    return bytes(found)


ROW_NAMES = ("a.jsonl", "a.json", "a.csv")  # read without a child process, so often


@pytest.mark.parametrize("name", ROW_NAMES)
def test_changed_tables_of_text(name: str) -> None:
    for seed in range(400):
        read(mutated(seeds()[name], random.Random(f"{name} {seed}")), name)


@pytest.mark.parametrize("name", [name for name in seeds() if name not in ROW_NAMES])
def test_changed_foreign_files(name: str) -> None:
    """Each in a process of its own, so fewer."""
    assert read(seeds()[name], name)
    for seed in range(6):
        read(mutated(seeds()[name], random.Random(f"{name} {seed}")), name)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode())),
    st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a"]),
)
def test_anything_at_all(data: bytes, name: str) -> None:
    read(data, name)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.sampled_from(list(seeds())), st.sampled_from(NAMES))
def test_anything_after_a_good_beginning(data: bytes, seed: str, ending: str) -> None:
    """Also under the name of another kind."""
    read(seeds()[seed][:64] + data, f"a{ending}")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), min_size=1, max_size=5))
def test_cells_come_back_as_they_were(cells: list[list[str]]) -> None:
    """What a CSV writer writes in UTF-8 is what is read."""
    import csv

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([["first", "second"], *cells])
    data = file.getvalue().encode("utf-8", "ignore")
    if b"\x00" in data:
        return
    assert read(data, "a.csv") == len(cells)
