"""HTML as headings and paragraphs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from datasets.parsing.sections import Block, sections_write

_HIDDEN = {"script", "style", "template", "noscript", "head", "svg", "math", "iframe", "object"}
_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        """
    address article aside blockquote body caption dd details div dl dt figcaption figure footer
    form header hr li main nav ol p pre section summary table tr ul
        """,
    )
)
_CELLS = {"td", "th"}
_LEVELS = {f"h{level}": level for level in range(1, 7)}
_SPACE = re.compile(r"[ \t\r\f\n\u00a0]+")


def html_parse(source: Path, target: Path, name: str, _size: int) -> None:
    """A page in UTF-8; scripts, styles and what else is not shown are left out."""
    sections_write(html_blocks(source.read_bytes()), target, name)


def html_blocks(data: bytes) -> Iterator[Block]:
    """Headings and paragraphs of a page in UTF-8. Rows of tables have ` | ` between cells."""
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True)
    parser.feed(data)
    root = parser.close()
    if root is None:
        return
    held: list[str] = []
    kept = 0  # how deep we are in elements whose white space counts
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        tag = element.tag if isinstance(element.tag, str) else ""
        begins = event == "start"
        if tag in _HIDDEN:
            if begins:
                walk.skip_subtree()
            else:
                _hold(held, element.tail, kept)
            continue
        if tag in _LEVELS or tag in _BLOCKS:
            level = 0 if begins else _LEVELS.get(tag, 0)
            if text := _text(held):
                yield level, text
            held = []
        if tag == "pre":
            kept += 1 if begins else -1
        if begins:
            held.append({"li": "- ", "br": "\n"}.get(tag, ""))
            _hold(held, element.text, kept)
        else:
            if tag in _CELLS:
                held.append(" | ")
            _hold(held, element.tail, kept)
    if text := _text(held):
        yield 0, text


def _hold(held: list[str], text: Any, kept: int) -> None:
    if text:
        held.append(text if kept else _SPACE.sub(" ", text))


def _text(held: list[str]) -> str:
    text = "".join(held).strip("\n ").removesuffix(" |")
    return "" if text.strip() in {"", "-"} else text
