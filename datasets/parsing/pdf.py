"""PDF documents, a row for each page that has text."""

import re
from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from datasets.parsing.refusals import Partly, Refused
from datasets.parsing.sections import Rows

_HYPHEN = re.compile("[\x02\ufffe](?:\r?\n)?")  # PDFium's mark of a word parted at a line's end
_NAMED = 20  # pages that are named


def pdf_parse(source: Path, target: Path, name: str, _size: int) -> Partly | None:
    """Names the pages that hold pictures only; empty ones are nothing to miss.

    `Refused` when the file needs a password, is damaged or holds pictures of text only.
    """
    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD:
            raise Refused("encrypted") from error
        raise
    rows = Rows(target, name)
    pictures: list[int] = []
    for number in range(len(document)):
        page = document[number]
        text = page.get_textpage()
        words = _HYPHEN.sub("", text.get_text_bounded()).replace("\r\n", "\n")
        before = rows.count
        rows.write(words, number + 1)
        if rows.count == before and raw.FPDFPage_CountObjects(page):
            pictures.append(number + 1)
        text.close()
        page.close()
    rows.close()
    if not rows.count:
        raise Refused("scanned", pages=len(document))
    if not pictures:
        return None
    named = ", ".join(map(str, pictures[:_NAMED])) + (", …" if len(pictures) > _NAMED else "")
    return Partly(len(pictures), len(document), named)
