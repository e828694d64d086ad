"""What the parser of foreign formats tells by codes, in words."""

from typing import Any

from common.phrases import gettext as _
from common.phrases import ngettext
from datasets.reading.refusals import BadFile, NotRead

_NOT_THE_FILE = {"parser_stopped", "parser_disk"}  # codes that say nothing about it


def refusal_told(refused: dict[str, Any]) -> BadFile:
    """Why a file is not taken: a `code` and its `values`."""
    code, values = refused["code"], refused["values"]
    if "reason" in values:  # as libraries end it, or not
        values = {**values, "reason": str(values["reason"]).rstrip(".")}
    refusal = NotRead if code in _NOT_THE_FILE else BadFile
    sentences = _of_files() | _of_archives() | _of_parsers()
    return refusal(sentences[code] % values, code=code)


def left_out_told(partly: list[dict[str, Any]]) -> str:
    """What of a document is left out: several codes with their values; empty for none."""
    said = ""
    for one in partly:
        reason = _left_out(one["code"], one["values"])
        said = _("%(said)s %(reason)s") % {"said": said, "reason": reason} if said else reason
    return said


def _of_files() -> dict[str, str]:
    return {
        "damaged": _(
            "The file is damaged or not what its name says: %(reason)s. Copy or save it anew, then"
            " upload it again."
        ),
        "encrypted": _("The file is locked with a password. Save it without one."),
        "scanned": _(
            "No page of the document has text (pages: %(pages)s). Run a text recognition (OCR) over"
            " it first."
        ),
        "no_whole_page": _(
            "No page of the document has text that can be read (pages: %(pages)s, damaged:"
            " %(places)s). Save it anew from the program that made it."
        ),
        "office": _("This Office file is no Word document and no sheet. Save slides as PDF."),
        "no_sheets": _("The workbook has no sheet with rows below a line of names."),
    }


def _of_archives() -> dict[str, str]:
    return {
        "bomb": _("Unpacked, the file would have more than %(limit)s MB. Unpack and upload parts."),
        "too_many_files": _("The archive holds more than %(limit)s files. Upload it in parts."),
        "path": _(
            "The archive names a file “%(name)s”, which would lie outside of it. Pack it anew"
            " without “..” and whole paths."
        ),
        "long_name": _("With its folders the name has more than %(limit)s letters. Shorten it."),
        "odd_name": _("The name holds signs that cannot be shown. Rename it and pack it anew."),
    }


def _of_parsers() -> dict[str, str]:
    return {
        "parser_memory": _("Reading the file takes more memory than it may. Split it."),
        "parser_time": _(
            "Reading the file took more than %(seconds)s seconds of processor time. Split it."
        ),
        "parser_stopped": _(
            "Reading the file was stopped from outside: the machine is short of time or memory."
            " Upload it again when less goes on, or split it."
        ),
        "parser_output": _("The file would become far more than it is. Convert it to JSONL."),
        "parser_disk": _("The disk is full. Ask an operator for room, then try again."),
        "parser_crash": _("The file makes its reader fail: it is damaged. Save it anew."),
    }


def _left_out(code: str, values: dict[str, Any]) -> str:
    count = values.get("count", 1)
    sentences = {
        "pictures": ngettext(
            "%(count)s of %(pages)s pages holds pictures and no text and is left out: %(places)s."
            " Run a text recognition (OCR) over it first.",
            "%(count)s of %(pages)s pages hold pictures and no text and are left out: %(places)s."
            " Run a text recognition (OCR) over them first.",
            count,
        ),
        "damaged_pages": ngettext(
            "%(count)s of %(pages)s pages is damaged and left out: %(places)s. Save the document"
            " anew from the program that made it.",
            "%(count)s of %(pages)s pages are damaged and left out: %(places)s. Save the document"
            " anew from the program that made it.",
            count,
        ),
        "cut_pages": ngettext(
            "%(count)s of %(pages)s pages is damaged and read only in part: %(places)s. Save the"
            " document anew from the program that made it.",
            "%(count)s of %(pages)s pages are damaged and read only in part: %(places)s. Save the"
            " document anew from the program that made it.",
            count,
        ),
        "formulas": ngettext(
            "%(count)s formula is left out: “%(first)s”. Write it as text where it is to be"
            " learnt.",
            "%(count)s formulas are left out, the first of them “%(first)s”. Write them as text"
            " where they are to be learnt.",
            count,
        ),
        "headers": _(
            "Words in headers and footers are left out, such as “%(first)s”. Write what is to be"
            " learnt into the text."
        ),
    }
    return sentences[code] % values
