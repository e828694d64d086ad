"""PDF documents, a row for each page that has text."""

import contextlib
import ctypes
import re
from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from datasets.parsing.pdf_contents import cut_among, damaged_among
from datasets.parsing.refusals import Partly, Refused
from datasets.parsing.sections import Rows

_HYPHEN = re.compile("[\x02\ufffe](?:\r?\n)?")  # PDFium's mark of a word parted at a line's end
_LOOKED_INTO = 1 << 25  # bytes of a document whose pages with text are looked into for damage
_NAMED = 20  # pages that are named


def pdf_parse(source: Path, target: Path, name: str, _size: int) -> list[Partly]:
    """Names the pages that are damaged, those of big documents only where nothing of them is left,
    or hold pictures only; empty ones are nothing to miss.

    `Refused` when the file needs a password, or no page of it has text that can be read.
    """
    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD:
            raise Refused("encrypted") from error
        raise
    rows = Rows(target, name)
    unread = _unread(document, rows, looks_into=source.stat().st_size <= _LOOKED_INTO)
    rows.close()
    if not rows.count:
        damaged = unread["damaged_pages"]
        code = "no_whole_page" if damaged else "scanned"
        raise Refused(code, pages=len(document), places=_named(damaged))
    return [
        Partly(code, {"count": len(pages), "pages": len(document), "places": _named(pages)})
        for code, pages in unread.items()
        if pages
    ]


def _unread(
    document: pypdfium2.PdfDocument, rows: Rows, *, looks_into: bool
) -> dict[str, list[int]]:
    """Writes a row for each page with text; pages that lack something, by what they lack.

    What damage hides beside text is found where it `looks_into` the descriptions of pages.
    """
    unread: dict[str, list[int]] = {"pictures": [], "damaged_pages": [], "cut_pages": []}
    read, bare = list[int](), list[int]()
    for number in range(1, len(document) + 1):
        before = rows.count
        try:
            text, shows = _page(document, number)
        except pypdfium2.PdfiumError:
            unread["damaged_pages"].append(number)
            continue
        rows.write(text, number)
        if rows.count > before:
            read.append(number)
        else:
            (unread["pictures"] if shows else bare).append(number)
    unread["damaged_pages"] = sorted(unread["damaged_pages"] + damaged_among(document, bare))
    if looks_into:
        unread["cut_pages"] = cut_among(document, read)
    return unread


def _page(document: pypdfium2.PdfDocument, number: int) -> tuple[str, bool]:
    """The text of a page, by its number from 1, and whether it shows anything else."""
    with contextlib.closing(document[number - 1]) as page:
        with contextlib.closing(page.get_textpage()) as text:
            words = _HYPHEN.sub("", text.get_text_bounded()).replace("\r\n", "\n")
        count = raw.FPDFPage_CountObjects(page)
        return words, any(
            _is_seen(raw.FPDFPage_GetObject(page, place), words) for place in range(count)
        )


def _is_seen(drawn: raw.FPDF_PAGEOBJECT, words: str) -> bool:
    """Whether something on a page is more than its words, spaces, or white on white."""
    kind = raw.FPDFPageObj_GetType(drawn)
    if kind == raw.FPDF_PAGEOBJ_TEXT:
        return not words  # signs whose letters nobody knows
    if kind != raw.FPDF_PAGEOBJ_PATH:
        return True
    filled, stroked = ctypes.c_int(), ctypes.c_int()
    raw.FPDFPath_GetDrawMode(drawn, filled, stroked)
    color = [ctypes.c_uint() for _part in "RGBA"]
    is_known = raw.FPDFPageObj_GetFillColor(drawn, *color)
    is_white = is_known and all(part.value == 255 for part in color[:3])
    return bool(stroked.value) or bool(filled.value and not is_white)


def _named(pages: list[int]) -> str:
    return ", ".join(map(str, pages[:_NAMED])) + (", …" if len(pages) > _NAMED else "")
