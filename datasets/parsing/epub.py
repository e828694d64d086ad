"""Books: the chapters in the order in which they are read."""

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from datasets.parsing.markup import html_blocks
from datasets.parsing.packed import packed_open
from datasets.parsing.refusals import Refused
from datasets.parsing.sections import Block, sections_write

_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_PACKAGE = "{http://www.idpf.org/2007/opf}"
_LOCKED = "{http://www.w3.org/2001/04/xmlenc#}CipherReference"


def epub_parse(source: Path, target: Path, name: str, _size: int) -> None:
    """The texts of the spine. `Refused` when a chapter is locked or the book has none."""
    with packed_open(source) as book:
        chapters = list(_chapters(book))
        names = set(book.namelist())
        if "META-INF/encryption.xml" in names:
            locked = {
                unquote(one.get("URI", ""))
                for one in _xml(book, "META-INF/encryption.xml").iter(_LOCKED)
            }
            if locked & set(chapters):
                raise Refused("encrypted")
        found = [chapter for chapter in chapters if chapter in names]
        if not found:
            raise Refused("damaged", reason="no chapters")
        sections_write(_blocks(book, found), target, name)


def _chapters(book: zipfile.ZipFile) -> Iterator[str]:
    """Names of the chapters' files, in order."""
    root = _xml(book, "META-INF/container.xml").find(f".//{_CONTAINER}rootfile")
    if root is None:
        raise Refused("damaged", reason="META-INF/container.xml names no book")
    package = root.get("full-path", "")
    described = _xml(book, package)
    files = {
        item.get("id"): unquote(item.get("href", "")) for item in described.iter(f"{_PACKAGE}item")
    }
    for reference in described.iter(f"{_PACKAGE}itemref"):
        if href := files.get(reference.get("idref")):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(package), href))


def _xml(book: zipfile.ZipFile, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(book.read(name), parser)
    except KeyError as error:
        raise Refused("damaged", reason=f"{name} is missing") from error


def _blocks(book: zipfile.ZipFile, chapters: list[str]) -> Iterator[Block]:
    for chapter in chapters:
        data = book.read(chapter)
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            data = data.decode("utf-16", "replace").encode("utf-8", "replace")
        yield from html_blocks(data)
