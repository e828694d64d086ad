"""From an uploaded file, or an archive of files, to rows as JSON lines with an index.

Knows nothing of the database, so that it can run in a process of its own and be killed at any
moment: what it writes becomes visible by one rename at its end.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datasets.fitting import Entry, LeftOut, Source, entry
from datasets.preparing import (
    Progress,
    lines_left_out,
    members_prepare,
    no_file_left,
    no_sheet_left,
    refuse_without_objects,
    sheets_prepare,
    source_prepare,
)
from datasets.reading.foreign import foreign_parse
from datasets.reading.indexed import IndexedReader, IndexedWriter, index_of
from datasets.reading.kinds import ARCHIVES, BOOKS, kind_of
from datasets.reading.refusals import BadFile
from datasets.reading.rows import COLUMNS_MAX, rows_read
from datasets.shapes.detect import SAMPLE

ROWS = "rows.jsonl"
_WORK = ".work"


def no_progress(_phase: str, _share: float) -> None:
    """For short files."""


@dataclass(frozen=True)
class Contents:
    """What a file holds, whatever its rows mean."""

    rows: int
    columns: list[str]
    encoding: str  # of the text; empty for other files and when several differ
    sample: list[Any]
    file_format: str
    # Of an archive, or a file of which something is left out: each file's name, kind, number of
    # rows, and the problem that left out some of it, or all.
    files: list[Entry] = field(default_factory=list)


def contents_ingest(
    directory: Path,
    original: Path,
    filename: str,
    *,
    line_limit: int,
    progress: Progress = no_progress,
) -> Contents:
    """Writes `rows.jsonl` with its index from the uploaded file. `BadFile` says what is wrong.

    Of an archive, files that cannot be read, or do not fit most of the others, are left out and
    named. Either both files are there in the end or `rows.jsonl` is not.
    """
    work = directory / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        kind = kind_of(original, filename)
        if kind in ARCHIVES:
            contents = _archive(work, original, filename, kind, line_limit, progress)
        elif kind in BOOKS:
            contents = _book(work, original, filename, line_limit, progress)
        else:
            source = source_prepare(work, "0", original, filename, kind, progress)
            contents = _single(work, source, line_limit, progress)
        index_of(work / ROWS).replace(index_of(directory / ROWS))
        (work / ROWS).replace(directory / ROWS)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return contents


def contents_of(
    directory: Path,
    columns: list[str],
    encoding: str,
    file_format: str,
    files: list[Entry],
) -> Contents:
    """What was ingested before, with the first rows read again."""
    reader = IndexedReader(directory / ROWS)
    sample = [line.value for line in reader.page(0, SAMPLE)]
    return Contents(reader.count, columns, encoding, sample, file_format, files)


def _book(
    work: Path, original: Path, filename: str, line_limit: int, progress: Progress
) -> Contents:
    """The rows of a workbook's sheets."""
    sheets, left_out = sheets_prepare(work, "0", original, filename, line_limit, progress)
    if len(sheets) + len(left_out) == 1:
        return _single(work, sheets[0], line_limit, progress)
    return _several(work, sheets, left_out, no_sheet_left, line_limit, progress)


def _archive(
    work: Path, original: Path, filename: str, kind: str, line_limit: int, progress: Progress
) -> Contents:
    """The rows of all files of an archive that can be read; the others are named."""
    folder = work / "members"
    folder.mkdir()
    foreign_parse(kind, original, folder, filename, waiting=lambda: progress("reading", 0))
    sources, left_out = members_prepare(work, folder, line_limit, progress)
    return _several(work, sources, left_out, no_file_left, line_limit, progress)


def _single(work: Path, source: Source, line_limit: int, progress: Progress) -> Contents:
    """All rows of one file. `BadFile` when it cannot be read."""
    found = _Found()
    with IndexedWriter(work / ROWS) as writer:
        found.take(writer, source, line_limit, partial(_tell, progress, 0, _size([source])))
    refuse_without_objects(found.rows, found.columns)
    files = found.files if found.files[0]["problem"] else []
    return found.contents(source.kind, source.encoding, files)


def _several(
    work: Path,
    sources: list[Source],
    left_out: list[LeftOut],
    nothing_left: Callable[[list[LeftOut]], BadFile],
    line_limit: int,
    progress: Progress,
) -> Contents:
    """All rows of all files, one after the other. Files that turn out to be broken on the way are
    left out with all of their rows; the refusal that `nothing_left` gives when all of them are.
    """
    found, whole, broken = _Found(), list[Source](), list[LeftOut]()
    total, passed = _size(sources), 0
    with IndexedWriter(work / ROWS) as writer:
        for source in sources:
            mark = writer.mark()
            try:
                found.take(writer, source, line_limit, partial(_tell, progress, passed, total))
                whole.append(source)
            except BadFile as refused:
                writer.back(mark)
                broken.append(LeftOut(source.name, source.kind, refused.bare()))
            passed += source.path.stat().st_size
    if not whole:
        raise nothing_left(broken + left_out)
    refuse_without_objects(found.rows, found.columns)
    return found.contents(
        _common([source.kind for source in whole]) or whole[0].read_as,
        _common([source.encoding for source in whole]),
        found.files + [one.entry for one in broken + left_out],
    )


class _Found:
    """What the files read so far hold."""

    def __init__(self) -> None:
        self.rows = 0
        self.columns = Counter[str]()
        self.files: list[Entry] = []
        self._sample: list[Any] = []

    def take(
        self, writer: IndexedWriter, source: Source, limit: int, progress: Callable[[int], None]
    ) -> None:
        """Writes the rows of one more file. After a `BadFile` nothing of it counts here."""
        before, columns = writer.count, self.columns.copy()
        sample: list[Any] = []
        lines: list[BadFile] = []
        wanted = SAMPLE - len(self._sample)
        read_as = source.read_as
        for row in rows_read(source.path, read_as, limit=limit, progress=progress, left_out=lines):
            writer.write(row.value, row.line)
            if isinstance(row.value, dict):
                _count_columns(columns, row.value)
            if len(sample) < wanted:
                sample.append(row.value)
        rows = writer.count - before
        self.rows += rows
        self.columns = columns
        self._sample += sample
        problem = lines_left_out(lines) or source.problem
        self.files.append(entry(source.name, source.kind, rows=rows, problem=problem))

    def contents(self, kind: str, encoding: str, files: list[Entry]) -> Contents:
        """All of it."""
        names = [name for name, _count in self.columns.most_common()]
        return Contents(self.rows, names, encoding, self._sample, kind, files)


def _size(sources: list[Source]) -> int:
    return max(sum(source.path.stat().st_size for source in sources), 1)


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress("reading", (before + done) / total)


def _common(values: list[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""


def _count_columns(columns: Counter[str], row: dict[str, Any]) -> None:
    for name in row:
        if name in columns or len(columns) < COLUMNS_MAX:
            columns[name] += 1
