"""Files with other columns than others, and columns that change within a file: what goes on, and
what is said of the rest.
"""

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from common.phrases import load
from datasets import services
from datasets.ingest import Contents
from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.ingesting import ingest, refusal


def said(contents: Contents) -> dict[str, str]:
    """What is said of each file that was left out."""
    return {file["name"]: str(load(file["problem"])) for file in contents.files if file["problem"]}


def csv(columns: str, rows: int) -> bytes:
    cells = ",".join(f"{name} %d" for name in columns.split(","))
    return "\n".join([columns, *(cells.replace("%d", str(n)) for n in range(rows))]).encode()


@pytest.mark.parametrize(
    ("odd", "data", "words"),
    [
        ("odd.csv", b"question,answer,source\n1,2,3\n",
         "not those of “b.csv”: it has answer, question, source instead of instruction, output."),
        ("odd.csv", b"instruction,n\n1,2\n", "it has n instead of output."),
        ("odd.csv", b"instruction\n1\n", "It lacks columns of “b.csv”: output. Add them,"),
        ("odd.jsonl", jsonl([{"messages": [{"role": "user", "content": "x"}]}]), "numbers, lists"),
        ("README.md", b"# Read me", "It is a document, and most of the rest are tables"),
    ],
)  # fmt: skip
def test_most_of_a_folder_goes_on(tmp_path: Path, odd: str, data: bytes, words: str) -> None:
    parts = {
        odd: data,
        "b.csv": csv("instruction,output", 20),
        "a.csv": csv("output,instruction", 9),
    }
    contents, rows = ingest(tmp_path, samples.zipped(parts), "a.zip")
    assert (contents.rows, len(rows)) == (29, 29)
    assert list(said(contents)) == [odd]
    assert words in said(contents)[odd]
    assert "dataset of its own." in said(contents)[odd]


def test_the_biggest_group_counts_and_not_the_first(tmp_path: Path) -> None:
    """Nor the one of most files."""
    parts = {
        "0.csv": csv("term,meaning,source", 1),
        "1.csv": csv("term,meaning,source", 1),
        "train.csv": csv("instruction,output", 200),
    }
    contents, rows = ingest(tmp_path, samples.zipped(parts), "a.zip")
    assert len(rows) == 200
    assert list(said(contents)) == ["0.csv", "1.csv"]


def test_documents_go_on_without_the_table_among_them(tmp_path: Path) -> None:
    parts = {"a.txt": "Words. " * 100, "b.md": "# More", "index.csv": "name,place\na,b\nc,d\n"}
    contents, rows = ingest(tmp_path, samples.zipped(parts), "a.zip")
    assert [row["document"] for row in rows] == ["a.txt", "b.md"]
    assert "It is a table" in said(contents)["index.csv"]


def test_other_names_of_roles_do_not_fit(tmp_path: Path) -> None:
    """Though the columns are the same."""
    turns = [("user", "Who?"), ("assistant", "A model.")]
    usual = [{"messages": [{"role": role, "content": text} for role, text in turns]}] * 9
    other = [{"messages": [{"from": role, "value": text} for role, text in turns]}]
    packed = samples.zipped({"a.jsonl": jsonl(other), "b.jsonl": jsonl(usual)})
    contents, rows = ingest(tmp_path, packed, "a.zip")
    assert rows == usual
    assert "names of roles" in said(contents)["a.jsonl"]


def test_parts_with_added_columns_fit(tmp_path: Path) -> None:
    """Of Parquet and other tables whose columns nobody has named yet, and of known formats."""
    for first, further in (
        ("'q' || i AS q, 'a' AS a", "'q' || i AS q, 'a' AS a, 's' AS since, 'o' AS origin"),
        ("'x' AS x, 'y' AS y, 'z' AS z", "'x' AS x, 'y' AS y, 'z' AS z, 'w' AS w"),
        ("'i' AS instruction, 'o' AS output", "'i' AS instruction, 'o' AS output, 1 AS n"),
    ):
        for sizes in ((9, 3), (3, 30)):
            parts = {
                f"part-{number}.parquet": samples.parquet(tmp_path, f"SELECT {columns} {rows}")
                for number, (columns, rows) in enumerate(
                    zip(
                        (first, further),
                        (f"FROM range({size}) t(i)" for size in sizes),
                        strict=True,
                    )
                )
            }
            contents, rows = ingest(tmp_path, samples.zipped(parts), "a.zip")
            assert len(rows) == sum(sizes)
            assert not said(contents)
            assert set(rows[-1]) == set(contents.columns) > set(rows[0])


def test_sheets_that_do_not_fit_say_what_differs(tmp_path: Path) -> None:
    table = [["instruction", "output"], *(["q", "a"] for _n in range(9))]
    other = [["who", "what"], ["x", "y"]]
    contents, rows = ingest(tmp_path, samples.xlsx({"S": other, "T": table}), "a.xlsx")
    assert len(rows) == 9
    assert "it has what, who instead of instruction, output." in said(contents)["S"]


def test_a_table_that_gets_wider_half_way(tmp_path: Path) -> None:
    """However many rows follow: they are named together, and those before and behind are read."""
    lines = ["a,b"] + ["1,2"] * 3000 + ["1,2,3"] * 5000 + ["3,4"] + ["5,6,7,8"] * 2 + ["9,9,9"]
    contents, rows = ingest(tmp_path, "\n".join(lines).encode(), "a.csv")
    assert len(rows) == 3001
    words = said(contents)["a.csv"]
    assert words.startswith("5003 lines are left out: 3002–8001, 8003–8004, 8005. Line 3002 has 3")
    alone = tmp_path / "alone"
    alone.mkdir()
    refused = refusal(alone, "\n".join(["a,b"] + ["1,2"] * 3 + ["1,2,3"] * 28).encode(), "a.csv")
    assert (refused.code, refused.data["line"]) == ("broken_csv", 5)


def test_keys_that_change_half_way(people) -> None:
    """Each row says in which line it is, what it lacks and what it has; the others are learnt."""
    old = [{"instruction": f"Q {n}?", "output": f"A {n}."} for n in range(30)]
    new = [{"question": f"Q {n}?", "answer": f"A {n}."} for n in range(20)]
    half = [{"question": "Q?", "output": "A."}]
    upload = SimpleUploadedFile("a.jsonl", jsonl(old + new + half))
    made = services.dataset_create(
        project=people.team, created_by=people.member, name="a", upload=upload
    )
    version = made.versions.get()
    assert (version.state, version.rows, version.dropped) == ("ready", 31, 20)
    found = version.report["findings"]
    assert [(one["line"], one["code"]) for one in found] == [
        *((line, "missing") for line in range(31, 51)),
        (51, "other_columns"),
    ]
    assert found[0]["detail"] == {"column": "output"}
    assert found[-1]["detail"] == {"column": "instruction", "columns": "question, output"}


def test_columns_that_begin_half_way_are_empty_before(people) -> None:
    rows = [*GOOD[:20], *({**row, "system": "Be short."} for row in GOOD[:20])]
    upload = SimpleUploadedFile("a.json", json.dumps(rows).encode())
    made = services.dataset_create(
        project=people.team, created_by=people.member, name="a", upload=upload
    )
    version = made.versions.get()
    assert version.rows == 40
    assert "system" in version.file_columns
    trained = [json.loads(line) for line in version.train_path.read_text().splitlines()]
    assert {row["system"] for row in trained} == {"", "Be short."}
