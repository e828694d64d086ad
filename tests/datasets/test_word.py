"""Word documents: the text of all that Word can wrap text in, and what is named instead."""

import io
from pathlib import Path

import pytest
from docx import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from common.phrases import load
from tests.datasets.ingesting import ingest

SPACES = (
    f"{nsdecls('w', 'm')} xmlns:v='urn:schemas-microsoft-com:vml'"
    " xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006'"
)


def run(text: str, tag: str = "w:t") -> str:
    """A run of a paragraph."""
    return f"<w:r><{tag} xml:space='preserve'>{text}</{tag}></w:r>"


def paragraph(inner: str, style: str = "") -> str:
    """A paragraph, if wanted of a style."""
    look = f"<w:pPr><w:pStyle w:val='{style}'/></w:pPr>" if style else ""
    return f"<w:p>{look}{inner}</w:p>"


def built(*blocks: str, notes: str = "", header: str = "") -> bytes:
    """A document of these blocks of XML."""
    document = Document()
    body = document.element.body
    for block in blocks:
        found = parse_xml(block.replace(">", f" {SPACES}>", 1))
        body.insert(len(body) - 1, found)
    for kind in ("footnote", "endnote") if notes else ():
        xml = f"<w:{kind}s {SPACES}>{notes.replace('NOTE', kind)}</w:{kind}s>"
        part = Part(PackURI(f"/word/{kind}s.xml"), "application/xml", xml.encode())
        document.part.relate_to(part, getattr(RELATIONSHIP_TYPE, f"{kind.upper()}S"))
    if header:
        document.sections[0].header.paragraphs[0].text = header
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def read(folder: Path, data: bytes) -> tuple[str, str]:
    """All text of it, and what is said to be left out."""
    contents, rows = ingest(folder, data, "a.docx")
    said = str(load(contents.files[0]["problem"])) if contents.files else ""
    return "\n\n".join(row["text"] for row in rows), said


CHANGED = (
    run("kept ")
    + f"<w:ins w:id='1'>{run('put in')}</w:ins>"
    + f"<w:del w:id='2'>{run('taken out', 'w:delText')}</w:del>"
    + f"<w:moveFrom w:id='3'>{run('gone')}</w:moveFrom>"
    + f"<w:moveTo w:id='4'>{run(' come')}</w:moveTo>"
)
CONTROL = "<w:sdt><w:sdtPr/><w:sdtContent>{}</w:sdtContent></w:sdt>"
FIELD = (
    "<w:r><w:fldChar w:fldCharType='begin'/></w:r>"
    + run(" REF x ", "w:instrText")
    + "<w:r><w:fldChar w:fldCharType='separate'/></w:r>"
    + run("shown")
    + "<w:r><w:fldChar w:fldCharType='end'/></w:r>"
)
BOX = "<w:txbxContent><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:txbxContent>"


@pytest.mark.parametrize(
    ("block", "text"),
    [
        pytest.param(paragraph(CHANGED), "kept put in come", id="changes"),
        pytest.param(
            CONTROL.format(paragraph(run("Head"), "Heading1") + paragraph(run("in it"))),
            "Head\n\nin it",
            id="control-of-blocks",
        ),
        pytest.param(
            paragraph(run("a ") + CONTROL.format(run("chosen"))), "a chosen", id="control-in-line"
        ),
        pytest.param(
            paragraph(
                f"<w:smartTag w:element='x'>{run('smart')}</w:smartTag>"
                f"<w:customXml w:element='x'>{run(' custom')}</w:customXml>"
                f"<w:hyperlink w:anchor='x'>{run(' link')}</w:hyperlink>"
            ),
            "smart custom link",
            id="marks",
        ),
        pytest.param(
            paragraph(FIELD + f"<w:fldSimple w:instr='DATE'>{run(' today')}</w:fldSimple>"),
            "shown today",
            id="fields",
        ),
        pytest.param(
            paragraph(
                "<w:r><w:ruby><w:rt><w:r><w:t>hàn</w:t></w:r></w:rt>"
                "<w:rubyBase><w:r><w:t>汉</w:t></w:r></w:rubyBase></w:ruby></w:r>" + run("字")
            ),
            "汉字",
            id="ruby",
        ),
        pytest.param(
            paragraph(
                run("beside")
                + "<w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing>"
                + BOX.format("boxed")
                + "</w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox>"
                + BOX.format("boxed")
                + "</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
            ),
            "beside\n\nboxed",
            id="text-box",
        ),
        pytest.param(
            "<w:tbl>"
            "<w:tr><w:tc><w:tcPr><w:vMerge w:val='restart'/></w:tcPr><w:p><w:r><w:t>both</w:t>"
            "</w:r></w:p></w:tc>"
            + CONTROL.format(f"<w:tc>{paragraph(CONTROL.format(run('one')))}</w:tc>")
            + "</w:tr>"
            + CONTROL.format(
                "<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc>"
                f"<w:tc><w:tbl><w:tr><w:tc>{paragraph(run('inner'))}</w:tc></w:tr></w:tbl><w:p/>"
                "</w:tc></w:tr>"
            )
            + "<w:tr><w:trPr><w:del w:id='9'/></w:trPr><w:tc><w:p><w:r><w:t>cut</w:t></w:r></w:p>"
            "</w:tc></w:tr></w:tbl>",
            "both | one\nboth | inner",
            id="table",
        ),
    ],
)
def test_text_is_found(tmp_path: Path, block: str, text: str) -> None:
    """However Word wraps it."""
    assert read(tmp_path, built(block)) == (text, "")


def test_notes_come_behind_their_paragraph(tmp_path: Path) -> None:
    """Footnotes and endnotes; the lines that part them are none."""
    marks = "".join(f"<w:r><w:{kind}Reference w:id='7'/></w:r>" for kind in ("footnote", "endnote"))
    notes = (
        f"<w:NOTE w:id='-1'>{paragraph('<w:r><w:separator/></w:r>')}</w:NOTE>"
        f"<w:NOTE w:id='7'>{paragraph(run('In a NOTE.'))}</w:NOTE>"
    )
    data = built(paragraph(run("Said.") + marks), paragraph(run("Next.")), notes=notes)
    text = "Said.\n\nIn a footnote.\n\nIn a endnote.\n\nNext."
    assert read(tmp_path, data) == (text, "")


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    """Formulas, and words in headers; the number of a page is none."""
    formula = f"<m:oMath><m:r><m:t>E=mc</m:t></m:r></m:oMath>{run(' holds.')}"
    text, said = read(tmp_path, built(paragraph(formula), header="Company secret"))
    assert text == "holds."
    assert said == (
        "1 formula is left out: “E=mc”. Write it as text where it is to be learnt. Words in headers"
        " and footers are left out, such as “Company secret”. Write what is to be learnt into the"
        " text."
    )
    assert read(tmp_path, built(paragraph(run("plain")), header="7"))[1] == ""
