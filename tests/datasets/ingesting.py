"""What becomes of a file, for the tests of readers."""

from pathlib import Path
from typing import Any

import pytest

from datasets.ingest import Contents, contents_ingest
from datasets.reading.indexed import IndexedReader
from datasets.reading.refusals import BadFile

LIMIT = 1 << 20


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
