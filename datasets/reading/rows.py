"""Rows of a UTF-8 file with the lines they come from, one at a time."""

import contextlib
import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from common.phrases import gettext as _
from datasets.reading.leaving import leave_out, leave_out_wide, refuse_mostly_broken
from datasets.reading.refusals import BadFile, empty_file
from datasets.reading.sources import is_decoded, not_decoded
from datasets.reading.splitter import ArraySplitter, broken_json, too_deep, too_long
from datasets.shapes.detect import NAMES

PIECE = 256 * 1024
DEPTH_MAX = 64  # deeper data is no training example, and costs parsers their stack
VALUES_MAX = 200_000  # in one row; every value costs some 60 bytes once it is parsed
COLUMNS_MAX = 200
SIGNS = ("\t", ";", "|", ",")  # between columns; text has the first ones least
_OTHER_SIGNS = ("^", "~", "\x01", "\x1f", "¦", "‖", "、")  # that people and programs use, too
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ZERO = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")  # not behind a backslash of its own
_BRACKET = re.compile(rb"[\[\]{}]")
# What stands before the rows of `{"data": [{…}, …]}`.
WRAPPING = re.compile(rb'\s*\{\s*"((?:[^"\\]|\\.){1,200})"\s*:\s*(?=\[\s*\{)')

Progress = Callable[[int], None]  # called with the bytes read so far


@dataclass(frozen=True, slots=True)
class Row:
    """One value of the file and the line, from 1, in which it begins."""

    line: int
    value: Any


def rows_read(
    path: Path,
    file_format: str,
    *,
    limit: int,
    progress: Progress = lambda _done: None,
    left_out: list[BadFile] | None = None,
) -> Iterator[Row]:
    """Rows of a `json`, `jsonl` or `csv` file in UTF-8.

    `limit` is the most bytes of one row. `BadFile` names line and column of what cannot be read.
    Lines of `jsonl` that cannot be read, and records of `csv` that have too many fields or bytes of
    another encoding, go to `left_out` where it is given, and the others are read: there it is sure
    where the next row begins. See `leaving` for how many.
    """
    with path.open("rb") as file:
        if file_format == "csv":
            yield from _csv_rows(file, limit, progress, left_out)
        elif file_format == "json" or _first_sign(file) == b"[":
            yield from _array_rows(file, limit, progress)
        else:
            yield from _line_rows(file, limit, progress, left_out)


def json_kind(path: Path, named: str) -> str:
    """`json` or `jsonl` by what the file holds: people name files of lines `.json`, too."""
    with path.open("rb") as file:
        sign = _first_sign(file)
        if sign == b"{" and named == "json" and _is_wrapped(file):
            return "json"
    return {b"[": "json", b"{": "jsonl"}.get(sign, named)


def _is_wrapped(file: BinaryIO) -> bool:
    """Whether the file is one object with one key that holds the rows: not JSON lines, and not a
    conversation.
    """
    head = file.read(PIECE)
    found = WRAPPING.match(head)
    if not found or found[1].decode("utf-8", "replace").lower() in NAMES["messages"]:
        return False
    first, end, rest = head.lstrip().partition(b"\n")
    if not end and len(head) == PIECE:
        return not _others_follow(file, head)
    try:
        return len(orjson.loads(first)) == 1 and not rest.strip()
    except orjson.JSONDecodeError:  # an object over several lines
        return True


def _others_follow(file: BinaryIO, line: bytes) -> bool:
    """Whether an object ends with the line of which this is the beginning, and another value comes
    after it: within an object or a list there would be one of three signs. However long the line
    is, little of it is in memory.
    """
    last = line.rstrip()[-1:]
    while not line.endswith(b"\n") and (line := file.readline(PIECE)):
        last = line.rstrip()[-1:] or last
    while (rest := file.read(PIECE)) and rest.isspace():
        pass
    return last == b"}" and rest.lstrip()[:1] not in {b"", b",", b"]", b"}"}


def _first_sign(file: BinaryIO) -> bytes:
    while piece := file.read(PIECE):
        if stripped := piece.lstrip():
            file.seek(0)
            return stripped[:1]
    raise empty_file()


def _array_rows(file: BinaryIO, limit: int, progress: Progress) -> Iterator[Row]:
    piece = file.read(PIECE)
    wrapping = WRAPPING.match(piece)
    splitter = ArraySplitter(limit=limit, depth_limit=DEPTH_MAX, after=b"}" if wrapping else b"")
    if wrapping:  # spaces keep the places of what comes after
        piece = re.sub(rb"[^\n]", b" ", wrapping[0]) + piece[wrapping.end() :]
    done = 0
    while piece:
        for element in splitter.feed(piece):
            yield Row(element.line, parsed(element.data, element.line, element.column))
        done += len(piece)
        progress(done)
        piece = file.read(PIECE)
    splitter.close()


def _line_rows(
    file: BinaryIO, limit: int, progress: Progress, left_out: list[BadFile] | None
) -> Iterator[Row]:
    number = done = rows = 0
    while line := file.readline(limit + 2):
        number += 1
        done += len(line)
        try:
            if len(line.rstrip(b"\r\n")) > limit:
                raise too_long(number, limit)
            row = Row(number, parsed(line.rstrip(), number, 1)) if line.strip() else None
        except BadFile as refused:
            wrong = refused.code == "broken_json" and not is_decoded(line)
            leave_out(left_out, not_decoded(number) if wrong else refused)
            while not line.endswith(b"\n") and (line := file.readline(PIECE)):
                done += len(line)
        else:
            if row:
                rows += 1
                yield row
        progress(done)
    refuse_mostly_broken(left_out, rows)


def parsed(data: bytes, line: int, column: int) -> Any:
    """The value of one piece of JSON that begins at this place, without zero characters.

    Names and labels of rows come into the database, and PostgreSQL takes no zero in a text.
    """
    _refuse_costly(data, line)
    try:
        return orjson.loads(_ZERO.sub(rb"\1", data) if b"\\u0000" in data else data)
    except orjson.JSONDecodeError as error:
        reason = error.msg.split(": line ")[0]
        at = error.colno + (column - 1 if error.lineno == 1 else 0)
        raise broken_json(reason, line + error.lineno - 1, at) from error


def _refuse_costly(data: bytes, line: int) -> None:
    """Refuses what is small as text and huge once it is parsed."""
    brackets = data.count(b"[") + data.count(b"{")
    if brackets > DEPTH_MAX:
        depth = 0
        for bracket in _BRACKET.finditer(_STRING.sub(b"", data)):
            depth += 1 if bracket.group() in b"[{" else -1
            if depth > DEPTH_MAX:
                raise too_deep(line, DEPTH_MAX)
    if data.count(b",") > VALUES_MAX and _STRING.sub(b"", data).count(b",") > VALUES_MAX:
        raise BadFile(
            _(
                "The row in line %(line)s holds more than %(limit)s values. Split it or leave it"
                " out."
            )
            % {"line": line, "limit": VALUES_MAX},
            code="too_many_values",
            line=line,
        )


class _Lines:
    """Lines of text for the CSV reader, which itself would read a record of any length."""

    def __init__(self, file: BinaryIO, limit: int, progress: Progress) -> None:
        self._file = file
        self._limit = limit
        self._progress = progress
        self._done = 0
        self.number = 0
        self.record = 0  # bytes since the last record began; the reader's caller sets it to 0
        self.record_line = 1
        self.wrong_line = 0  # of the record, with bytes that are no UTF-8

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._limit + 2)
        if not line:
            raise StopIteration
        self.number += 1
        self.record += len(line)
        if self.record > self._limit:
            raise too_long(self.record_line, self._limit)
        self._done += len(line)
        self._progress(self._done)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            self.wrong_line = self.number
            return line.decode("utf-8", "replace")

    def begin(self) -> None:
        """A record ended; the next line begins another."""
        self.record = self.wrong_line = 0
        self.record_line = self.number + 1


def _csv_rows(
    file: BinaryIO, limit: int, progress: Progress, left_out: list[BadFile] | None
) -> Iterator[Row]:
    csv.field_size_limit(limit)
    head = file.read(PIECE)
    delimiter = delimiter_of(head.decode("utf-8", "ignore"))
    _refuse_other_sign(head, delimiter)
    file.seek(0)
    lines = _Lines(file, limit, progress)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows = wide = 0
    try:
        header = _header(next(reader, []))
        if lines.wrong_line:
            raise not_decoded(lines.wrong_line)
        lines.begin()
        while True:
            line = lines.record_line
            record = next(reader, None)
            if record is None:
                break
            wrong_line = lines.wrong_line
            lines.begin()
            if wrong_line:
                leave_out(left_out, not_decoded(wrong_line))
            elif len(record) > len(header):
                refused = _too_wide(header, record, line)
                leave_out_wide(left_out, refused, fields=len(record), after=wide)
                wide = line
            elif record:
                rows, wide = rows + 1, 0
                values: list[str | None] = [*record, *([None] * (len(header) - len(record)))]
                yield Row(line, dict(zip(header, values, strict=True)))
    except csv.Error as error:
        raise BadFile(
            _(
                "Line %(line)s is not valid CSV: %(reason)s. Close its quotation marks, and write"
                " one within a text twice."
            )
            % {"line": lines.record_line, "reason": error},
            code="broken_csv",
            line=lines.record_line,
        ) from error
    refuse_mostly_broken(left_out, rows)


def delimiter_of(text: str) -> str:
    """The sign between columns: the one that parts the first lines alike, and into the most."""
    lines = text.splitlines(keepends=True)
    best, best_fit = ",", (0.0, 0)
    for sign in SIGNS:
        with contextlib.suppress(csv.Error):
            # The last line may have been cut.
            widths = [len(record) for record in csv.reader(lines[:-1] or lines, delimiter=sign)]
            if widths and widths[0] > 1:
                fit = (widths.count(widths[0]) / len(widths), widths[0])
                if fit > best_fit:
                    best, best_fit = sign, fit
    return best


def _refuse_other_sign(head: bytes, delimiter: str) -> None:
    """`BadFile` when the first line's columns are parted by another sign than the lines after it,
    or by one that is none of `SIGNS`.
    """
    lines = [line for line in head.decode("utf-8", "ignore").splitlines()[:21] if line.strip()]
    if len(lines) < 2 or any('"' in line for line in lines):
        return
    first, rest = lines[0], lines[1:]
    for sign in (*SIGNS, *_OTHER_SIGNS):
        wide = min(line.count(sign) for line in rest)
        if not wide or any(line.count(delimiter) for line in rest):
            continue
        if sign in SIGNS and sign != delimiter and delimiter in first:
            raise BadFile(
                _(
                    "Line 2 parts its columns by “%(sign)s”, the first line by “%(first)s”. Save"
                    " the table with one sign for all lines."
                )
                % {"sign": _shown(sign), "first": _shown(delimiter)},
                code="broken_csv",
                line=2,
            )
        if sign in _OTHER_SIGNS and first.count(sign) == wide:
            raise BadFile(
                _(
                    "The columns are parted by “%(sign)s”. Save the table with commas, semicolons,"
                    " tabs or bars between them."
                )
                % {"sign": _shown(sign)},
                code="broken_csv",
                line=1,
            )


def _shown(sign: str) -> str:
    return sign if sign.isprintable() else repr(sign).strip("'")


def _header(names: list[str]) -> list[str]:
    header = [name.strip().lstrip("\ufeff") for name in names]
    if not header:
        raise empty_file()
    if len(header) > COLUMNS_MAX:
        raise BadFile(
            _(
                "The first line names %(count)s columns; at most %(limit)s are read. Leave out"
                " those that no training needs."
            )
            % {"count": len(header), "limit": COLUMNS_MAX},
            code="broken_csv",
            line=1,
        )
    for position, name in enumerate(header, start=1):
        if not name or name in header[: position - 1]:
            raise BadFile(
                _("Column %(position)s in the first line has no name. Write one there.")
                % {"position": position}
                if not name
                else _("The first line names the column “%(name)s” twice. Rename one of them.")
                % {"name": name},
                code="broken_csv",
                line=1,
            )
    return header


def _too_wide(header: list[str], record: list[str], line: int) -> BadFile:
    return BadFile(
        _(
            "Line %(line)s has %(found)s fields, the first line names %(wanted)s columns. Name all"
            " columns there, or put texts that hold the sign between columns in quotation marks."
        )
        % {"line": line, "found": len(record), "wanted": len(header)},
        code="broken_csv",
        line=line,
    )
