"""Documents as rows: one a page, or a section of up to `LONGEST` characters.

Each row holds its `text`, the `document` by name, its `place` in it from 1 (the page of a PDF, else
the section), and the `heading` it stands under, headings above it first.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

LONGEST = 4000  # characters of a section: about a page of a book, and within most cut-off lengths
HEADINGS = 6
_ENDS = re.compile(r"\n|[。！？；]|[.!?;]\s|\s")  # where a long paragraph may be parted
_WASTE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff\ud800-\udfff]")
Block = tuple[int, str]  # level of a heading from 1, 0 for a paragraph; the text


class Rows:
    """The file of rows of one document."""

    def __init__(self, target: Path, document: str) -> None:
        self._file = target.open("wb", buffering=1 << 20)
        self._document = document
        self.count = 0

    def write(self, text: str, place: int, heading: str = "") -> None:
        """One row; texts without a letter are left out."""
        text = _WASTE.sub("", text).strip()
        if not text:
            return
        row = {
            "text": text,
            "document": self._document,
            "place": place,
            "heading": _WASTE.sub("", heading),
        }
        self._file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        self.count += 1

    def close(self) -> None:
        """All is written."""
        self._file.close()


def sections_write(blocks: Iterable[Block], target: Path, document: str) -> int:
    """Writes headings and paragraphs as sections; how many there are."""
    rows = Rows(target, document)
    for place, (heading, text) in enumerate(_sections(blocks), start=1):
        rows.write(text, place, heading)
    rows.close()
    return rows.count


def _sections(blocks: Iterable[Block]) -> Iterator[tuple[str, str]]:
    """Path of headings and text. A section begins with its heading, which belongs to its text."""
    path: list[str] = []
    held: list[str] = []
    length = 0
    bare = True  # only headings are held
    for level, whole in blocks:
        if level:
            if not bare:
                yield " › ".join(filter(None, path)), "\n\n".join(held)
                held, length, bare = [], 0, True
            path = [*path[: level - 1], *[""] * (level - 1 - len(path)), _heading(whole)]
        for text in _pieces(whole):
            if held and length + len(text) > LONGEST:
                yield " › ".join(filter(None, path)), "\n\n".join(held)
                held, length = [], 0
            held.append(text)
            length += len(text) + 2
        bare = bare and bool(level)
    if held:
        yield " › ".join(filter(None, path)), "\n\n".join(held)


def _heading(text: str) -> str:
    return " ".join(text.lstrip("#").split())[:200]


def _pieces(text: str) -> Iterator[str]:
    """The text in parts of up to `LONGEST`, cut at the last end of a line, sentence or word."""
    start = 0
    while len(text) - start > LONGEST:
        ends = [one.end() for one in _ENDS.finditer(text, start + LONGEST // 2, start + LONGEST)]
        end = ends[-1] if ends else start + LONGEST
        yield text[start:end].rstrip()
        start = end
    if text[start:].strip():
        yield text[start:]
