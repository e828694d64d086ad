"""A JSON array cut into its elements, piece by piece, holding one element at a time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from common.phrases import gettext as _
from datasets.reading.refusals import BadFile, empty_file

# Everything up to the next bracket, or to a string whose end has not come yet; whole strings are
# passed over by the expression itself, which makes this several times faster than a loop.
_INSIDE = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_BETWEEN = re.compile(rb'(?:[^"\[\]{},]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_IN_STRING = re.compile(rb'["\\]')
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Element:
    """The bytes of one element, and where they begin; both counted from 1."""

    line: int
    column: int
    data: bytes


class ArraySplitter:
    """Fed with pieces of a file that holds one JSON array, gives its elements as bytes.

    It only finds where elements begin and end; whether they are good JSON is for their parser.
    Memory is bounded by `limit`, the most bytes of one element, and the pieces fed. `after` is the
    sign that must follow the array.
    """

    def __init__(self, *, limit: int, depth_limit: int, after: bytes = b"") -> None:
        self._after = after
        self._limit = limit
        self._depth_limit = depth_limit
        self._buffer = bytearray()
        self._scanned = 0  # bytes of the buffer that were looked at
        self._in_string = False
        self._depth = 0
        self._opened = False
        self._closed = False
        self._count = 0
        self._mark = 0  # a place in the buffer, and the line and column of it
        self._line = 1
        self._column = 1

    def feed(self, piece: bytes) -> Iterator[Element]:
        """Elements that are complete with this piece. `BadFile` when this is no array."""
        self._buffer += piece
        if not self._opened and not self._open():
            return
        if self._closed:
            self._only_space()
            return
        yield from self._elements()
        if len(self._buffer) > self._limit:
            raise too_long(self._line, self._limit, row=self._count + 1)

    def close(self) -> None:
        """Says that the file ended; `BadFile` when the array did not."""
        if not self._opened:
            raise empty_file()
        if not self._closed or self._after:
            line, _column = self._place(len(self._buffer))
            raise BadFile(
                _(
                    "The array is not closed: the file ends in line %(line)s without “%(sign)s”."
                    " Add it, or give the whole file if this is a part."
                )
                % {"line": line, "sign": self._after.decode() if self._closed else "]"},
                code="broken_json",
                line=line,
            )

    def _open(self) -> bool:
        """Whether the opening bracket was found."""
        start = len(self._buffer) - len(self._buffer.lstrip(_SPACE))
        if start == len(self._buffer):
            self._drop(start)
            return False
        if self._buffer[start : start + 1] != b"[":
            self._drop(start)
            raise self._wrong(0, _("a JSON file must hold an array of objects: “[” expected"))
        self._drop(start + 1)
        self._opened = True
        return True

    def _elements(self) -> Iterator[Element]:
        buffer = self._buffer
        start, position = 0, self._scanned
        while True:
            if self._in_string:
                position = self._skip_string(position)
                if self._in_string:
                    break
                continue
            passed = (_INSIDE if self._depth else _BETWEEN).match(buffer, position)
            assert passed is not None  # it may match nothing, but it matches
            position = passed.end() + 1
            if position > len(buffer):
                position = len(buffer)
                break
            sign = buffer[position - 1]
            if sign == 0x22:  # a quotation mark
                self._in_string = True
            elif sign in b"[{":
                self._deeper(position - 1)
            elif self._depth:
                self._depth -= 1
            else:
                yield from self._ended(start, position - 1, sign)
                start = position
                if self._closed:
                    break
        self._drop(start)
        self._scanned = position - start
        if self._closed:
            self._only_space()

    def _skip_string(self, position: int) -> int:
        """The position after the string's end, or where to look on with the next piece."""
        while True:
            found = _IN_STRING.search(self._buffer, position)
            if found is None:
                return len(self._buffer)
            if found.group() == b'"':
                self._in_string = False
                return found.end()
            if found.end() == len(self._buffer):
                return found.start()
            position = found.end() + 1

    def _deeper(self, position: int) -> None:
        self._depth += 1
        if self._depth > self._depth_limit:
            raise too_deep(self._place(position)[0], self._depth_limit)

    def _ended(self, start: int, end: int, sign: int) -> Iterator[Element]:
        """The element between two commas or the brackets."""
        if sign == 0x7D:
            raise self._wrong(end, _("“}” without “{”"))
        data = bytes(self._buffer[start:end])
        stripped = data.strip(_SPACE)
        if stripped:
            before = len(data) - len(data.lstrip(_SPACE))
            line, column = self._place(start + before)
            if len(stripped) > self._limit:
                raise too_long(line, self._limit, row=self._count + 1)
            self._count += 1
            yield Element(line, column, stripped)
        elif sign == 0x2C or self._count:
            raise self._wrong(end, _("a value is missing before this sign"))
        self._closed = sign == 0x5D

    def _only_space(self) -> None:
        rest = self._buffer.lstrip(_SPACE)
        if rest and rest[:1] == self._after:
            rest, self._after = rest[1:].lstrip(_SPACE), b""
        if rest:
            raise self._wrong(len(self._buffer) - len(rest), _("something follows the array"))
        self._drop(len(self._buffer))

    def _place(self, position: int) -> tuple[int, int]:
        """Line and column of a place behind the mark; moves the mark there."""
        newlines = self._buffer.count(b"\n", self._mark, position)
        if newlines:
            self._line += newlines
            self._column = position - self._buffer.rindex(b"\n", self._mark, position)
        else:
            self._column += position - self._mark
        self._mark = position
        return self._line, self._column

    def _drop(self, count: int) -> None:
        """Forgets bytes before the mark and up to `count`."""
        if count > self._mark:
            self._place(count)
        del self._buffer[:count]
        self._mark -= count

    def _wrong(self, position: int, reason: str) -> BadFile:
        line, column = self._place(position)
        return broken_json(reason, line, column)


def broken_json(reason: str, line: int, column: int) -> BadFile:
    """The refusal of broken JSON; line and column are counted from 1."""
    return BadFile(
        _(
            "Line %(line)s, column %(column)s is not valid JSON: %(reason)s. Put names and texts in"
            " double quotes, a comma between two of them and none behind the last."
        )
        % {"line": line, "column": column, "reason": _of_json().get(reason, reason)},
        code="broken_json",
        line=line,
        column=column,
    )


def _of_json() -> dict[str, str]:
    """What orjson says that people meet."""
    return {
        "unexpected end of data": _("unexpected end of data"),
        "unexpected content after document": _("unexpected content after document"),
        "unexpected control character in string": _("unexpected control character in string"),
        "trailing comma is not allowed": _("trailing comma is not allowed"),
        "invalid escaped sequence in string": _("invalid escaped sequence in string"),
        "unexpected character, expected a JSON value": _(
            "unexpected character, expected a JSON value"
        ),
        "unexpected character, expected a string key": _(
            "unexpected character, expected a string key"
        ),
        "unexpected character, expected ':' after key": _(
            "unexpected character, expected ':' after key"
        ),
        "unexpected character, expected ',' or '}'": _("unexpected character, expected ',' or '}'"),
        "unexpected character, expected ',' or ']'": _("unexpected character, expected ',' or ']'"),
    }


def too_long(line: int, limit: int, *, row: int | None = None) -> BadFile:
    """The refusal of a row longer than `limit` bytes; of an array's, its number says which."""
    said = (
        _("The row in line %(line)s is longer than %(limit)s MB. Split it or leave it out.")
        if row is None
        else _(
            "Row %(row)s, which begins in line %(line)s, is longer than %(limit)s MB. Split it or"
            " leave it out."
        )
    )
    values = {"row": row, "line": line, "limit": max(limit >> 20, 1)}
    return BadFile(said % values, code="line_too_long", line=line)


def too_deep(line: int, limit: int) -> BadFile:
    """The refusal of JSON nested deeper than `limit`."""
    return BadFile(
        _("Line %(line)s is nested deeper than %(limit)s levels. Write what is inside as text.")
        % {"line": line, "limit": limit},
        code="nesting",
        line=line,
    )
