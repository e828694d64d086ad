"""Plain text and Markdown in UTF-8, read piece by piece."""

import re
from collections.abc import Iterator
from pathlib import Path

from datasets.parsing.sections import HEADINGS, LONGEST, Block, sections_write

_LINE = 64 * 1024  # bytes that are read at once; a longer line comes in pieces
_HEADING = re.compile(rf"#{{1,{HEADINGS}}}\s")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")


def text_parse(source: Path, target: Path, name: str, _size: int) -> None:
    """Paragraphs, parted by empty lines."""
    sections_write(_paragraphs(source, markdown=False), target, name)


def markdown_parse(source: Path, target: Path, name: str, _size: int) -> None:
    """Paragraphs under headings; the marks stay, for they are what a model is to write."""
    sections_write(_paragraphs(source, markdown=True), target, name)


def _paragraphs(source: Path, *, markdown: bool) -> Iterator[Block]:
    held: list[str] = []
    length = 0
    fence = ""
    with source.open(encoding="utf-8") as file:
        while line := file.readline(_LINE):
            if markdown:
                fence = _fenced(line, fence)
                if not fence and _HEADING.match(line):
                    if held:
                        yield 0, "".join(held)
                        held, length = [], 0
                    yield len(line) - len(line.lstrip("#")), line.strip()
                    continue
            if (not line.strip() and not fence) or length > LONGEST:
                if held:
                    yield 0, "".join(held).strip("\n")
                held, length = [], 0
            if line.strip() or fence:
                held.append(line)
                length += len(line)
    if held:
        yield 0, "".join(held).strip("\n")


def _fenced(line: str, fence: str) -> str:
    """The sign that ends the block of code that this line is in or opens; empty outside of one."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return found.group(1)
    return "" if found.group(1) == fence else fence
