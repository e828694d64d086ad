"""Documents in pieces: cut where a heading, a paragraph or a sentence ends."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.recipes.rows import Row, Work

_HEADING = re.compile(
    r"(#{1,6})[ \t]+(\S.{0,200}?)[ \t#]*"
    r"|(第[0-9零一二三四五六七八九十百]{1,5}[章节篇部卷])[ 　]?(.{0,60})"
)
_FENCE = ("```", "~~~")
_PARAGRAPH = re.compile(r"(?<=\n)[ \t]*\n+")
_SENTENCE = re.compile("[。！？；…]+[”’」』）\"')]*|[.!?]+[\"')\\]]*(?=\\s)|\n+")
_SECTION = " › "
WIDEST = 16  # characters that a token is taken to have at most


@dataclass(frozen=True)
class Size:
    """How long pieces may be, and how that is measured."""

    most: int
    overlap: int
    of: Callable[[str], int]


def chunk(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """The pieces of each row's text; those without text are dropped as `empty`.

    Other columns come with each piece; cut at headings it has their names in a column `section`.
    DomainError when rows are no plain texts, or tokens cannot be counted here.
    """
    if work.mapping.shape != "text":
        raise DomainError(
            _("Only plain texts are cut into pieces. Convert the rows into texts first."),
            field="steps",
            code="no_texts",
        )
    column, by = work.mapping.columns["prompt"], parameters["by"]
    size = Size(parameters["size"], parameters["overlap"], _measure(parameters["unit"], work))
    for row in rows:
        text = row.value.get(column) if isinstance(row.value, dict) else None
        found = list(pieces(text, by, size)) if isinstance(text, str) else []
        if not found:
            work.drop(row, "empty")
        work.outcome.changed += len(found) > 1
        for number, (section, piece) in enumerate(found, start=1 if len(found) > 1 else 0):
            value = {**row.value, column: piece}
            if by == "headings":
                value["section"] = section
            yield work.made(row, value, number)


def pieces(text: str, by: str, size: Size) -> Iterator[tuple[str, str]]:
    """Pieces of at most so much, each with the headings above it, the outermost first.

    A paragraph or a sentence is cut only when it is too long by itself. A piece begins with the
    end of the one before it, as long as the overlap says; never across a heading.
    """
    for section, body in sections(text) if by == "headings" else [("", text)]:
        units = [
            small
            for unit in _split(body, _SENTENCE if by == "sentences" else _PARAGRAPH)
            for small in _small(unit, size)
        ]
        for piece in _packed(units, size):
            if piece.strip():
                yield section, piece.strip()


def sections(text: str) -> Iterator[tuple[str, str]]:
    """Each heading with what stands below it, up to the next one; none within fenced code."""
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fenced = False
    for line in text.splitlines(keepends=True):
        fenced ^= line.lstrip().startswith(_FENCE)
        match = None if fenced else _HEADING.fullmatch(line.rstrip())
        if match is not None:
            if "".join(lines).strip():
                yield _SECTION.join(name for _level, name in path), "".join(lines)
            level = len(match[1]) if match[1] else 1
            name = match[2] or f"{match[3]} {match[4]}".strip()
            path = [*(one for one in path if one[0] < level), (level, name)]
            lines = []
        lines.append(line)
    if "".join(lines).strip():
        yield _SECTION.join(name for _level, name in path), "".join(lines)


def _split(text: str, ends: re.Pattern[str]) -> Iterator[str]:
    """The text in parts that end where the pattern does; together they are the text."""
    start = 0
    for match in ends.finditer(text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]


def _small(unit: str, size: Size) -> Iterator[str]:
    """The unit, or when it is too long its sentences, or parts of them cut at words.

    Parts leave room for an overlap.
    """
    if _fits(unit, size):
        yield unit
        return
    part = replace(size, most=size.most - size.overlap)
    for sentence in _split(unit, _SENTENCE):
        start = 0
        while not _fits(window := sentence[start : start + size.most * WIDEST + 1], size):
            end = _cut(window[:-1], part)
            yield window[:end]
            start += end
        yield window


def _fits(text: str, size: Size) -> bool:
    """Whether the text is short enough; what is far too long is not even measured."""
    return len(text) <= size.most * WIDEST and size.of(text) <= size.most


def _cut(text: str, size: Size) -> int:
    """Where to cut a text that is too long: after a word, if there is one in the second half."""
    end = max(len(text) * size.most // size.of(text), 1)
    while end > 1 and size.of(text[:end]) > size.most:
        end = end * 9 // 10
    word = text.rfind(" ", end // 2, end)
    return word + 1 if word > 0 else end


def _packed(units: list[str], size: Size) -> Iterator[str]:
    """Units one after another as long as they fit."""
    held: list[str] = []
    length = 0
    for unit in units:
        more = size.of(unit)
        if held and length + more > size.most:
            yield "".join(held)
            kept = _tail("".join(held), min(size.overlap, size.most - more), size)
            held, length = ([kept], size.of(kept)) if kept else ([], 0)
        held.append(unit)
        length += more
    if held:
        yield "".join(held)


def _tail(text: str, most: int, size: Size) -> str:
    """The end of the text, of at most so much: whole sentences, or else words."""
    if most <= 0:
        return ""
    kept = ""
    for sentence in reversed(list(_split(text, _SENTENCE))):
        if size.of(sentence + kept) > most:
            break
        kept = sentence + kept
    if kept.strip():
        return kept
    start = max(len(text) - max(len(text) * most // max(size.of(text), 1), 1), 0)
    while start < len(text) and size.of(text[start:]) > most:
        start += max((len(text) - start) // 10, 1)
    word = text.find(" ", start)
    return text[word + 1 :] if 0 <= word < len(text) - 1 else text[start:]


def _measure(unit: str, work: Work) -> Callable[[str], int]:
    if unit == "characters":
        return len
    if work.tokenizer is None:
        raise DomainError(
            _("There is no tokenizer here to count tokens with. Count characters."),
            field="steps",
            code="no_tokenizer",
        )
    return _tokens(work.tokenizer)


@lru_cache(maxsize=1)
def _tokens(directory: Path) -> Callable[[str], int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
