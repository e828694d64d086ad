"""Workbooks (XLSX, XLS, ODS): each sheet becomes a CSV file in a folder."""

import csv
import datetime
import json
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import python_calamine as calamine

from datasets.parsing.archives import MEMBERS
from datasets.parsing.packed import packed_open
from datasets.parsing.refusals import Refused

SHEETS_MAX = 500
_SEARCHED = 50  # rows at the top among which the line of names is looked for


def sheets_open(source: Path, target: Path, _name: str, _size: int) -> None:
    """All visible sheets with rows. Formulas give the values that were stored with them."""
    if zipfile.is_zipfile(source):
        packed_open(source).close()
    try:
        book = calamine.load_workbook(str(source))
    except calamine.PasswordError as error:
        raise Refused("encrypted") from error
    sheets = [
        one.name
        for one in book.sheets_metadata
        if one.typ == calamine.SheetTypeEnum.WorkSheet
        and one.visible == calamine.SheetVisibleEnum.Visible
    ]
    if len(sheets) > SHEETS_MAX:
        raise Refused("too_many_files", limit=SHEETS_MAX)
    written = 0
    with (target / MEMBERS).open("w", encoding="utf-8") as members:
        for name in sheets:
            if _write(_rows(book, name), target / str(written)):
                members.write(json.dumps({"name": name, "file": str(written)}) + "\n")
                written += 1
    if not written:
        raise Refused("no_sheets")


def _rows(book: Any, name: str) -> Iterator[list[str]]:
    for row in book.get_sheet_by_name(name).iter_rows():
        yield [_text(cell) for cell in row]


def _write(rows: Iterator[list[str]], target: Path) -> int:
    """The rows below the line of names, and how many they are; columns without a cell are left
    out at the right, and rows without one everywhere.
    """
    top = [row for row in islice(rows, _SEARCHED) if any(row)]
    widest = max((_filled(row) for row in top), default=0)
    # Titles above a table fill a cell or two of its width.
    begins = next((n for n, row in enumerate(top) if 2 * _filled(row) > widest), len(top))
    if begins == len(top):
        return 0
    width = max(place for row in top[begins:] for place, cell in enumerate(row, 1) if cell)
    count = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for source in (top[begins:], rows):
            for row in source:
                if any(row):
                    writer.writerow(row[: max(width, _width(row))])
                    count += 1
    return count - 1


def _filled(row: list[str]) -> int:
    return sum(1 for cell in row if cell)


def _width(row: list[str]) -> int:
    return max((place for place, cell in enumerate(row, 1) if cell), default=0)


def _text(cell: Any) -> str:
    """A cell as a table in text has it."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        return cell.isoformat().removesuffix("T00:00:00").replace("T", " ")
    return str(cell).replace("\r\n", "\n")
