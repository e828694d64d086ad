"""What kind of file came: by its first bytes, and by its name where these leave a choice."""

import re
from pathlib import Path

from django.utils.translation import gettext_noop

from common.phrases import gettext as _
from datasets.reading.refusals import BadFile, empty_file
from datasets.reading.sniffing import HEAD, text_kind

ROWS = frozenset({"json", "jsonl", "csv"})
COLUMNS = frozenset({"parquet", "arrow"})
BOOKS = frozenset({"sheets"})
DOCUMENTS = frozenset({"text", "markdown", "html", "pdf", "docx", "epub"})
ARCHIVES = frozenset({"zip", "tar", "gzip", "bzip2", "xz", "zstd"})
TEXTS = ROWS | {"text", "markdown", "html"}
_LOOSE = TEXTS - {"json", "jsonl"}  # names that many files of rows have; JSON has a reader for both
LINES = frozenset({"jsonl", "csv", "text", "markdown"})  # of which one can be left out
KINDS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".xlsx": "sheets",
    ".xlsm": "sheets",
    ".xls": "sheets",
    ".ods": "sheets",
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".epub": "epub",
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "gzip",
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zst": "zstd",
}
_TAIL = 64 * 1024
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "zip"),
    (rb"\x1f\x8b", "gzip"),
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "bzip2"),
    (rb"\xfd7zXZ\x00", "xz"),
    (rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", "zstd"),  # some begin with a frame to skip
    (rb"[\x00-\xff]{257}ustar", "tar"),
    (rb"PAR1", "parquet"),
    (rb"ARROW1\x00\x00", "arrow"),
    (rb"\xff\xff\xff\xff[\x00-\xff]{2}\x00\x00", "arrow"),
    (rb"\s*%PDF-", "pdf"),
)
# What is not taken: said by its name, so that nobody wonders what is wrong with it.
_PACKED: tuple[tuple[bytes, str], ...] = (
    (rb"7z\xbc\xaf\x27\x1c", "7z"),
    (rb"Rar!\x1a\x07", "rar"),
    (rb"\x04\x22\x4d\x18", "lz4"),
)
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (rb"SQLite format 3\x00", "SQLite"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", gettext_noop("picture")),
    (rb"\x7fELF|MZ[\x00-\xff]{2}\x00", gettext_noop("program")),
)
# Documents whose text lies in their own markup, or in a program's own form.
_MARKED_UP = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\\rtf\d")
_OPEN_DOCUMENT = b"application/vnd.oasis.opendocument."
_LISTED = rb"PK\x01\x02[\x00-\xff]{42}"  # before a name in a zip file's list
_OPEN_PARTS = tuple(
    re.compile(_LISTED + name) for name in (rb"META-INF/manifest\.xml", rb"content\.xml")
)
_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def named_kind(filename: str) -> str:
    """The kind that the ending of a name stands for; empty for another ending, or none."""
    return KINDS.get(Path(filename).suffix.lower(), "")


def kind_of(path: Path, filename: str) -> str:
    """One of the values of `KINDS`. `BadFile` for an empty file and for any other kind."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.strip():
        raise empty_file()
    named = named_kind(filename)
    found = next((kind for magic, kind in _MAGIC if re.match(magic, head)), "")
    if found == "zip":
        return _zipped(path, head, named)
    if found:
        return found
    if head.startswith(_OFFICE) and named in BOOKS:
        return named  # an old one, or one with a password, which its reader finds
    _refuse(head)
    if (not named or named in _LOOSE) and (found := text_kind(head, filename, named)):
        return found
    if named in TEXTS or named == "arrow":
        return named
    if named:
        raise BadFile(
            _("“%(name)s” is not what its name says: its contents are no %(kind)s file.")
            % {"name": filename, "kind": named},
            code="damaged",
        )
    raise BadFile(
        _(
            "“%(name)s” is of no kind that can be read. Convert it to JSONL, CSV, XLSX, Parquet,"
            " text, Markdown, HTML, PDF, DOCX or EPUB."
        )
        % {"name": filename},
        code="format",
    )


def _zipped(path: Path, head: bytes, named: str) -> str:
    """Books, sheets and Word documents are zip files; the names of their parts give them away."""
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first == b"mimetype":
        if head[38:].startswith(b"application/epub+zip"):
            return "epub"
        if head[38:].startswith(_OPEN_DOCUMENT + b"spreadsheet"):
            return "sheets"
        if head[38:].startswith(_OPEN_DOCUMENT):
            raise _document_refused("OpenDocument")
    if first == b"[Content_Types].xml" or first.startswith((b"_rels/", b"docProps/")):
        return "sheets" if b"xl/workbook" in _names(path) else "docx"
    if first.startswith(b"word/"):
        return "docx"
    if first.startswith(b"xl/"):
        return "sheets"
    if named in {"docx", "epub", *BOOKS}:
        return named
    names = _names(path)
    if all(part.search(names) for part in _OPEN_PARTS):  # packed anew, in another order
        raise _document_refused("OpenDocument")
    return "zip"


def _names(path: Path) -> bytes:
    """The last names in a zip file's list, which stands at its end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return file.read()


def _document_refused(kind: str) -> BadFile:
    return BadFile(
        _(
            "This is a document of the kind %(kind)s, which cannot be read. Save it as DOCX or PDF"
            " and upload that."
        )
        % {"kind": kind},
        code="office",
    )


def _refuse(head: bytes) -> None:
    if head.startswith(_OFFICE):
        raise BadFile(
            _(
                "This is an Office file with a password or of an old kind (.doc, .xls, .ppt). Save"
                " it as DOCX or XLSX, slides as PDF, without a password."
            ),
            code="office",
        )
    if _MARKED_UP.match(head):
        raise _document_refused("RTF")
    for magic, name in _PACKED:
        if re.match(magic, head):
            raise BadFile(
                _(
                    "This is a file of the kind %(kind)s, which cannot be opened. Unpack it and"
                    " upload what is in it; several files also as zip or tar.gz."
                )
                % {"kind": name},
                code="binary",
            )
    for magic, name in _REFUSED:
        if re.match(magic, head):
            raise BadFile(
                _(
                    "This is a file of the kind %(kind)s, which cannot be read. Convert it to"
                    " JSONL, CSV, XLSX, Parquet, text, PDF or DOCX; archives to zip or tar.gz."
                )
                % {"kind": _(name)},
                code="binary",
            )
