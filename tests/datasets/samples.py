"""Small real files of foreign formats."""

import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import openpyxl
from arro3.io import write_ipc, write_ipc_stream
from docx import Document


def pdf(pages: Sequence[str | bytes], *, locked: bool = False) -> bytes:
    """A PDF with a line of text on each page, or what draws it, packed; locked ones ask for a
    password.
    """
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        if isinstance(text, bytes):
            drawn, how = text.decode("latin-1"), "/Filter /FlateDecode "
        else:
            drawn, how = (f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""), ""
        look = "/MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
        objects += [
            f"<< /Type /Page /Parent 2 0 R {look} /Contents {5 + 2 * number} 0 R >>",
            f"<< {how}/Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        ]
    lock = ""
    if locked:
        keys = f"/O <{'11' * 32}> /U <{'22' * 32}>"
        objects.append(f"<< /Filter /Standard /V 1 /R 2 {keys} /P -4 >>")
        lock = f"/Encrypt {len(objects)} 0 R /ID [<{'33' * 16}> <{'33' * 16}>]"
    text, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(f"{len(text):010} 00000 n \n")
        text += f"{number} 0 obj\n{one}\nendobj\n"
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{''.join(places)}"
    ends = f"trailer << /Size {len(objects) + 1} /Root 1 0 R {lock} >>\nstartxref\n{len(text)}\n"
    return (text + table + ends + "%%EOF").encode("latin-1")


def page_broken(book: bytes, number: int) -> bytes:
    """The PDF made by `pdf` with other bytes where it describes a page, from 1."""
    start = book.index(f"\n{2 + 2 * number} 0 obj\n".encode()) + len(str(2 + 2 * number)) + 8
    end = book.index(b"endobj", start)
    return book[:start] + b"\xfe" * (end - start) + book[end:]


def docx() -> bytes:
    """A title, a paragraph, a table and two levels of headings."""
    document = Document()
    document.add_heading("Handbook", 0)
    document.add_paragraph("Read me first.")
    document.add_heading("Tools", 1)
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "saw", "锯"
    document.add_heading("Care", 2)
    document.add_paragraph("Keep dry.")
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


CHAPTER = (
    '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>'
    "<title>x</title></head><body><h1>第一章</h1><p>从前&nbsp;有<b>座</b>山</p></body></html>"
)


def epub(*, locked: bool = False) -> bytes:
    """Two chapters; the second file is read first."""
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": (
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="text/book.opf"/></rootfiles></container>'
        ),
        "text/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
        '<item id="end" href="the%20end.xhtml"/><item id="one" href="one.xhtml"/></manifest>'
        '<spine><itemref idref="one"/><itemref idref="end"/></spine></package>',
        "text/one.xhtml": CHAPTER,
        "text/the end.xhtml": "<html><body><h1>End</h1><p>All is well.</p></body></html>",
    }
    if locked:
        parts["META-INF/encryption.xml"] = (
            '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData>'
            '<e:CipherReference URI="text/one.xhtml"/></e:EncryptedData></encryption>'
        )
    return zipped(parts)


def zipped(parts: dict[str, str | bytes]) -> bytes:
    """A zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, kind)
    return file.getvalue()


def member_broken(archive: bytes, name: str) -> bytes:
    """The zip file with a wrong byte in one of its files."""
    start = archive.index(name.encode()) + len(name.encode()) + 3
    return archive[:start] + bytes([archive[start] ^ 0xFF]) + archive[start + 1 :]


def member_locked(archive: bytes, name: str) -> bytes:
    """The zip file in which one of its files says that it needs a password."""
    told = bytearray(archive)
    told[archive.index(name.encode()) - 24] |= 1
    told[archive.rindex(name.encode()) - 38] |= 1
    return bytes(told)


def tarred(
    parts: dict[str, bytes],
    *,
    mode: str = "w:gz",
    link: str = "",
    encoding: str = "utf-8",
    form: int = tarfile.DEFAULT_FORMAT,
) -> bytes:
    """A tar file, if wanted with a link that leads out of it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, encoding=encoding, format=form) as archive:
        for name, data in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo("link.jsonl")
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
    return file.getvalue()


QUERY = """
SELECT 'question ' || i AS instruction, 'answer' AS output, {'x': 1, 'y': [1, 2]} AS nested,
    DATE '2020-01-01' AS day, 1.5::DECIMAL(10, 2) AS price, 'NaN'::DOUBLE AS nothing
FROM range(5) rows(i)
"""


def parquet(folder: Path, query: str = QUERY) -> bytes:
    """A table with nested columns."""
    path = folder / "made.parquet"
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


def arrow(*, as_file: bool, query: str = QUERY, **how: str) -> bytes:
    """The same table as a stream, or as a file with a list of its parts at the end."""
    target = io.BytesIO()
    (write_ipc if as_file else write_ipc_stream)(duckdb.sql(query), target, **how)
    return target.getvalue()


def xlsx(sheets: dict[str, list[list[object]]], *, hidden: tuple[str, ...] = ()) -> bytes:
    """A workbook as openpyxl writes it."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        if name in hidden:
            sheet.sheet_state = "hidden"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def odf(kind: str, *, first: str = "mimetype") -> bytes:
    """An OpenDocument of a kind; packed anew, its parts may come in another order."""
    parts: dict[str, str | bytes] = {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": "<office:document-content><text:p>words</text:p></office:document-content>",
        "META-INF/manifest.xml": "<manifest:manifest/>",
    }
    return zipped({first: parts.pop(first)} | parts)


def ods(rows: list[list[str]]) -> bytes:
    """An OpenDocument sheet of texts."""
    table = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p>'
            "</table:table-cell>"
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {names}><office:body>'
        f'<office:spreadsheet><table:table table:name="Sheet1">{table}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    entry = (
        '<?xml version="1.0"?><manifest:manifest xmlns:manifest='
        '"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry '
        f'manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    )
    return zipped({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": entry})
