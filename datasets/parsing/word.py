"""Word documents: headings, paragraphs and tables in their order, as they read with all changes
that were suggested taken.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from docx import Document
from docx.document import Document as DocumentType
from docx.opc.constants import RELATIONSHIP_TYPE as KINDS
from docx.oxml import parse_xml
from docx.oxml.ns import nsmap, qn
from lxml import etree

from datasets.parsing.packed import packed_open
from datasets.parsing.refusals import Partly, Refused
from datasets.parsing.sections import HEADINGS, Block, sections_write

_HEADING = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)
_SHOWN = 60  # letters of what is left out
_BOX, _FORMULA = qn("w:txbxContent"), qn("m:oMath")
# What holds paragraphs, runs, rows or cells and is none itself. Not what was deleted or moved away.
_AROUND = frozenset(
    f"{{{nsmap['w']}}}{name}"
    for name in re.findall(
        r"\w+",
        """
    sdt sdtContent ins moveTo smartTag customXml hyperlink fldSimple dir bdo r ruby rubyBase
        """,
    )
)
_DRAWN = frozenset({qn("w:drawing"), qn("w:pict"), qn("w:object")})
# The same for new programs, which comes first, and for old ones.
_TWICE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
_SIGNS = {
    qn("w:tab"): "\t",
    qn("w:ptab"): "\t",
    qn("w:cr"): "\n",
    qn("w:noBreakHyphen"): "-",
}
_NOTES = {
    qn("w:footnoteReference"): (KINDS.FOOTNOTES, qn("w:footnote")),
    qn("w:endnoteReference"): (KINDS.ENDNOTES, qn("w:endnote")),
}


def docx_parse(source: Path, target: Path, name: str, _size: int) -> list[Partly]:
    """Names formulas, and the words of headers and footers, which no section takes.

    `Refused` when the file is another kind of Office file or its parts are missing.
    """
    with packed_open(source) as packed:
        if "word/document.xml" not in packed.namelist():
            raise Refused("office")
    with source.open("rb") as file:
        document = Document(file)
    sections_write(_Reader(document).blocks(document.element.body), target, name)
    return list(_left_out(document))


def _left_out(document: DocumentType) -> Iterator[Partly]:
    if formulas := list(document.element.body.iter(_FORMULA)):
        first = "".join(formulas[0].itertext(qn("m:t")))
        yield Partly("formulas", {"count": len(formulas), "first": first[:_SHOWN]})
    for kind in (KINDS.HEADER, KINDS.FOOTER):
        for relation in document.part.rels.values():
            if relation.reltype == kind and not relation.is_external:
                words = "".join(parse_xml(relation.target_part.blob).itertext(qn("w:t")))
                if any(sign.isalpha() for sign in words):  # not the number of a page
                    yield Partly("headers", {"first": " ".join(words.split())[:_SHOWN]})
                    return


class _Reader:
    """The texts of one document."""

    def __init__(self, document: DocumentType) -> None:
        self._names = {style.style_id: style.name or "" for style in document.styles}
        self._notes = {
            (reference, note.get(qn("w:id"))): note
            for reference, (kind, tag) in _NOTES.items()
            for relation in document.part.rels.values()
            if relation.reltype == kind and not relation.is_external
            for note in parse_xml(relation.target_part.blob).iter(tag)
        }

    def blocks(self, container: etree._Element) -> Iterator[Block]:
        """Paragraphs and tables; text boxes and notes come behind what they hang on."""
        for one in _parts(container):
            if one.tag == qn("w:p"):
                text = "".join(_texts(one))
                if text.strip():
                    yield self._level(one), text
                yield from self._beside(one)
            elif one.tag == qn("w:tbl"):
                yield 0, "\n".join(self._lines(one))

    def _beside(self, paragraph: etree._Element) -> Iterator[Block]:
        for one in _parts(paragraph):
            if one.tag in _DRAWN:
                for box in _boxes(one):
                    yield from self.blocks(box)
            elif one.tag in _NOTES:
                note = self._notes.get((one.tag, one.get(qn("w:id"))))
                if note is not None:
                    yield from self.blocks(note)

    def _level(self, paragraph: etree._Element) -> int:
        style = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        name = self._names.get(style.get(qn("w:val"), ""), "") if style is not None else ""
        if name.lower() == "title":
            return 1
        found = _HEADING.match(name)
        return min(max(int(found.group(1)), 1), HEADINGS) if found else 0

    def _lines(self, table: etree._Element) -> Iterator[str]:
        """Rows with ` | ` between cells; one that is joined over rows is written in each."""
        above: dict[int, str] = {}
        for row in _parts(table):
            if row.tag != qn("w:tr") or row.find(f"{qn('w:trPr')}/{qn('w:del')}") is not None:
                continue
            cells: dict[int, str] = {}
            column = _number(row, "w:trPr/w:gridBefore", 0)
            for cell in _parts(row):
                if cell.tag == qn("w:tc"):
                    cells[column] = above.get(column, "") if _goes_on(cell) else self._cell(cell)
                    column += _number(cell, "w:tcPr/w:gridSpan", 1)
            above = cells
            if any(cells.values()):
                yield " | ".join(cells.values())

    def _cell(self, cell: etree._Element) -> str:
        return " ".join(" ".join(text.split()) for _level, text in self.blocks(cell)).strip()


def _parts(container: etree._Element) -> Iterator[etree._Element]:
    """What is in it, through everything that is only around something."""
    for one in _once(container):
        if one.tag in _AROUND or one.tag == _TWICE or container.tag == _TWICE:
            yield from _parts(one)
        else:
            yield one


def _texts(paragraph: etree._Element) -> Iterator[str]:
    for one in _parts(paragraph):
        if one.tag == qn("w:t"):
            yield one.text or ""
        elif one.tag == qn("w:br"):  # of a line, not of a page or column
            yield "\n" if one.get(qn("w:type"), "textWrapping") == "textWrapping" else ""
        else:
            yield _SIGNS.get(one.tag, "")


def _boxes(drawn: etree._Element) -> Iterator[etree._Element]:
    """The text boxes in a drawing."""
    if drawn.tag == _BOX:
        yield drawn
    else:
        for one in _once(drawn):
            yield from _boxes(one)


def _once(container: etree._Element) -> list[etree._Element]:
    return list(container)[: 1 if container.tag == _TWICE else None]


def _number(element: etree._Element, path: str, default: int) -> int:
    found = element.find("/".join(map(qn, path.split("/"))))
    told = found.get(qn("w:val"), "") if found is not None else ""
    return int(told) if told.isdecimal() and int(told) else default


def _goes_on(cell: etree._Element) -> bool:
    """Whether it is joined with the cell above."""
    found = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
    return found is not None and found.get(qn("w:val"), "continue") == "continue"
