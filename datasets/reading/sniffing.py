"""What kind of text a file holds, by how it begins; its name counts where that decides nothing."""

import codecs
import csv
import io
import mimetypes
import re
from pathlib import Path

import orjson

from datasets.reading.refusals import BadFile
from datasets.reading.rows import DEPTH_MAX, WRAPPING, delimiter_of
from datasets.reading.sources import ENCODINGS, utf16_by_zeros
from datasets.reading.splitter import ArraySplitter

HEAD = 64 * 1024  # bytes that are looked at
_PROSE = frozenset({"text", "markdown", "html"})
_RECORDS = 3  # lines of a table at least, the names among them
_VALUE = r'\{\s*"(?:[^"\\]|\\.)*"\s*:\s*["\[{\-\dtfn]'  # how an object with a key begins
_OBJECT = re.compile(_VALUE, re.DOTALL)
_ARRAY = re.compile(r"\[\s*" + _VALUE, re.DOTALL)
_PAGE = re.compile(  # which never goes back into the comments before it
    r"\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*+<(?:!doctype\s+)?html[\s>]", re.IGNORECASE | re.DOTALL
)
_NAME = re.compile(r"[^\W\d](?:.*\S)?")  # of a column; prose has spaces behind its commas
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TYPES = mimetypes.MimeTypes()  # what the interpreter knows, whatever the machine does


def text_kind(head: bytes, filename: str, named: str) -> str:
    """`json`, `jsonl`, `csv`, `html`, or `text` where the first `HEAD` bytes are surely that.

    Empty where the name has to say it: `named` is the kind of its ending, empty for one that is not
    known. Prose has commas and tables need not be steady, so only a name that says nothing leaves
    room for `csv` and `text`.
    """
    text = _decoded(head)
    # What is cut does not count; nothing is left of a line longer than all of this.
    lines = text[: text.rfind("\n") + 1] if len(head) == HEAD else text
    found = _objects(text.lstrip(), lines.lstrip())
    # Prose may begin with an example of JSON.
    example = named in _PROSE and found == "json" and _breaks_off(text, cut=len(head) == HEAD)
    if found and not example:
        return found
    if named in {"", "csv", "text", "markdown"} and _PAGE.match(text):
        return "html"
    if named or not text or _CONTROL.search(text) or _names_other(filename):
        return ""
    return "csv" if _is_table(lines, cut=lines != text) else "text"


def _decoded(head: bytes) -> str:
    """The characters that are whole; empty where it is no text."""
    marked = [encoding for mark, encoding in _MARKS if head.startswith(mark)]
    if not marked and b"\0" in head:
        try:
            marked = [utf16_by_zeros(head)]
        except BadFile:
            return ""
    # Which of several it is does not matter here: in all of them the signs of JSON are the same.
    for encoding in marked or ("utf-8-sig", *ENCODINGS):
        try:
            return codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeError:
            continue
    return ""


def _objects(text: str, lines: str) -> str:
    """Whether the text is JSON of objects: an array, one that wraps the array, or lines of which
    most and the first are whole.
    """
    if _ARRAY.match(text):
        return "json"
    if not _OBJECT.match(text):
        return ""
    wrapping = WRAPPING.match(text[:HEAD].encode("utf-8", "ignore"))
    found = [_is_object(line) for line in lines.split("\n") if line.strip()]
    if wrapping and (len(found) < 2 or not found[0]):
        return "json"  # the whole file tells whether it is lines after all
    return "jsonl" if not found or (found[0] and sum(found) * 2 > len(found)) else ""


def _breaks_off(text: str, *, cut: bool) -> bool:
    """Whether an array that begins the text ends before it, or does not go on after an object."""
    if not _ARRAY.match(text.lstrip()):
        return False
    data = text.encode("utf-8", "replace")
    try:
        found = [*ArraySplitter(limit=len(data), depth_limit=DEPTH_MAX).feed(data)]
    except BadFile:
        return True
    return not (found[0].data.rstrip().endswith(b"}") if found else cut)


def _is_object(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _names_other(filename: str) -> bool:
    """Whether the ending is known for what is no text: programs, pictures, sound, fonts."""
    found = _TYPES.types_map[True].get(Path(filename).suffix.lower(), "")
    return found == "application/octet-stream" or (
        found.startswith(("image/", "audio/", "video/", "font/")) and not found.endswith("+xml")
    )


def _is_table(lines: str, *, cut: bool) -> bool:
    """Whether one sign parts all lines alike, and the first of them into names."""
    try:
        records = [*filter(None, csv.reader(io.StringIO(lines), delimiter=delimiter_of(lines)))]
    except csv.Error:
        return False
    if cut:
        del records[-1:]  # its quotation may end after this
    if len(records) < _RECORDS or len({len(record) for record in records}) > 1:
        return False
    names = records[0]
    return 1 < len(names) == len(set(names)) and all(_NAME.fullmatch(name) for name in names)
