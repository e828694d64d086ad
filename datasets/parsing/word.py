"""Word documents: headings, paragraphs and tables in their order."""

import re
from collections.abc import Iterator
from pathlib import Path

from docx import Document
from docx.table import Table
from docx.text.paragraph import Paragraph

from datasets.parsing.packed import packed_open
from datasets.parsing.refusals import Refused
from datasets.parsing.sections import HEADINGS, Block, sections_write

_HEADING = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)


def docx_parse(source: Path, target: Path, name: str, _size: int) -> None:
    """`Refused` when the file is another kind of Office file or its parts are missing."""
    with packed_open(source) as packed:
        if "word/document.xml" not in packed.namelist():
            raise Refused("office")
    with source.open("rb") as file:
        document = Document(file)
    sections_write(_blocks(document.iter_inner_content()), target, name)


def _blocks(contents: Iterator[Paragraph | Table]) -> Iterator[Block]:
    for one in contents:
        if isinstance(one, Table):
            yield 0, "\n".join(_lines(one))
        elif one.text.strip():
            yield _level(one), one.text


def _level(paragraph: Paragraph) -> int:
    style = paragraph.style
    name = (style.name if style else "") or ""
    if name.lower() == "title":
        return 1
    found = _HEADING.match(name)
    return min(max(int(found.group(1)), 1), HEADINGS) if found else 0


def _lines(table: Table) -> Iterator[str]:
    """Rows with ` | ` between cells; cells that were joined are written once."""
    for row in table.rows:
        cells: dict[int, str] = {}
        for cell in row.cells:
            cells.setdefault(id(cell._tc), " ".join(cell.text.split()))
        if any(cells.values()):
            yield " | ".join(cells.values())
