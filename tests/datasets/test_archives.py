"""Archives: their files become one version, and what of them is left out."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from backports import zstd

from common.phrases import load
from datasets.reading.rows import COLUMNS_MAX
from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.ingesting import ingest, refusal, row


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
        assert "picture" in contents.files[-1]["problem"]


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


@pytest.mark.parametrize("as_archive", [samples.zipped, samples.tarred])
def test_names_of_members(tmp_path: Path, as_archive) -> None:
    """Spaces of any script are kept; what cannot be named is left out, and the others are read."""
    good = ["客户\u3000问答.jsonl", "9.41\u202fAM.jsonl", "a\u00a0b.jsonl"]
    bad = ["a\u202elnosj.jsonl", "a\x07.jsonl", "长" * 250 + ".jsonl"]
    contents, rows = ingest(tmp_path, as_archive(dict.fromkeys(good + bad, jsonl(GOOD))), "a.zip")
    assert rows == GOOD * 3
    said = {file["name"]: str(load(file["problem"])) for file in contents.files}
    odd = "The name holds signs that cannot be shown. Rename it and pack it anew."
    assert said == dict.fromkeys(good, "") | {
        "a\\u202elnosj.jsonl": odd,
        "a\\x07.jsonl": odd,
        "长" * 249 + "…": "With its folders the name has more than 250 letters. Shorten it.",
    }


def test_members_that_cannot_be_opened_are_left_out(tmp_path: Path) -> None:
    """Damaged, locked, or cut within: each is named with why, and the others are read."""
    parts = {
        "good.jsonl": jsonl(GOOD),
        "bad.jsonl": jsonl(GOOD),
        "locked.jsonl": jsonl(GOOD),
        "cut.jsonl.gz": gzip.compress(jsonl(GOOD))[:-9],
    }
    data = samples.member_broken(samples.zipped(parts), "bad.jsonl")
    data = samples.member_locked(data, "locked.jsonl")
    contents, rows = ingest(tmp_path, data, "a.zip")
    assert rows == GOOD
    said = {file["name"]: str(load(file["problem"])) for file in contents.files}
    assert said.pop("good.jsonl") == ""
    assert said.pop("locked.jsonl") == "The file is locked with a password. Save it without one."
    assert {name: "is damaged" in problem for name, problem in said.items()} == {
        "bad.jsonl": True,
        "cut.jsonl.gz": True,
    }
    for name, code, spoil in (
        ("bad.jsonl", "damaged", samples.member_broken),
        ("locked.jsonl", "encrypted", samples.member_locked),
    ):
        alone = tmp_path / name
        alone.mkdir()
        data = spoil(samples.zipped({name: parts[name]}), name)
        refused = refusal(alone, data, "a.zip")
        assert (refused.code, refused.message[: len(name) + 2]) == (code, f"“{name}”")


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


def skipped(data: bytes) -> bytes:
    """A frame that readers of zstd pass over."""
    return b"\x50\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def test_zstd(tmp_path: Path) -> None:
    """Alone, in several frames, with one to skip, as tar, among other files; whatever the name."""
    whole = zstd.compress(jsonl(GOOD))
    frames = skipped(b"made by") + zstd.compress(jsonl(GOOD[:9])) + zstd.compress(jsonl(GOOD[9:]))
    table = "instruction,output\n" + "".join(f"q{n},a{n}\n" for n in range(9))
    for name, data in (
        ("a.jsonl.zst", whole),
        ("a.jsonl.zst", frames),
        ("a", whole),
        ("a.tar.zst", zstd.compress(samples.tarred({"a.jsonl": jsonl(GOOD)}, mode="w"))),
        ("a.zip", samples.zipped({"a.jsonl.zst": frames})),
    ):
        contents, rows = ingest(tmp_path, data, name)
        assert (rows, contents.file_format) == (GOOD, "jsonl")
    contents, rows = ingest(tmp_path, zstd.compress(table.encode()), "a.csv.zst")
    assert (len(rows), contents.file_format) == (9, "csv")


def test_zstd_that_cannot_be_opened(tmp_path: Path) -> None:
    """Cut, damaged, or far more than it looks: refused as gzip is."""
    whole = zstd.compress(jsonl(GOOD))
    bomb = zstd.compress(bytes(1 << 20)) * 5000
    for data, code in (
        (whole[:-9], "damaged"),
        (whole[:12] + b"\xff" * 40, "damaged"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "damaged"),
        (skipped(b"nothing behind it"), "empty"),
        (bomb, "bomb"),
    ):
        assert refusal(tmp_path, data, "a.jsonl.zst").code == code


def zipped_by_older_programs(name: str) -> bytes:
    """Which write GBK and do not say so."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("x" * len(name.encode("gbk"))), jsonl(GOOD))
    return file.getvalue().replace(b"x" * len(name.encode("gbk")), name.encode("gbk"))


@pytest.mark.parametrize("name", ["说明/客户問答.jsonl", "长" * 60 + ".jsonl"])
def test_chinese_names_of_older_programs(tmp_path: Path, name: str) -> None:
    """In zip and tar files of each form."""
    forms = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT) if "/" in name else (tarfile.GNU_FORMAT,)
    tars = [
        samples.tarred({name: jsonl(GOOD)}, mode=mode, encoding="gbk", form=form)
        for form in forms
        for mode in ("w", "w:gz")
    ]
    for data in [zipped_by_older_programs(name), *tars]:
        contents, rows = ingest(tmp_path, data, "a")
        assert rows == GOOD
        assert [file["name"] for file in contents.files] == [name]
