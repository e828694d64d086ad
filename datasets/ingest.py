"""From an uploaded file, or an archive of files, to rows as JSON lines with an index.

Knows nothing of the database, so that it can run in a process of its own and be killed at any
moment: what it writes becomes visible by one rename at its end.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from common.phrases import dump, ngettext
from common.phrases import gettext as _
from datasets.parsing.archives import MEMBERS
from datasets.reading.foreign import foreign_parse
from datasets.reading.indexed import IndexedReader, IndexedWriter, index_of
from datasets.reading.kinds import ARCHIVES, BOOKS, DOCUMENTS, TEXTS, kind_of
from datasets.reading.kinds import ROWS as ROW_KINDS
from datasets.reading.refusals import BadFile
from datasets.reading.rows import COLUMNS_MAX, json_kind, rows_read
from datasets.reading.sources import encoding_of, transcode
from datasets.shapes.detect import SAMPLE, guess

ROWS = "rows.jsonl"
_WORK = ".work"
_NAMED = 5  # files that a refusal names
_LINES_NAMED = 20  # that are left out
Progress = Callable[[str, float], None]  # phase and share done, 0 to 1


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
    files: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Source:
    """A file made ready to be read: rows in UTF-8."""

    name: str
    path: Path
    kind: str  # of the file as it came; of a sheet csv, as which it is read
    read_as: str  # json, jsonl or csv
    encoding: str
    problem: str = ""  # what of it is left out


def contents_ingest(
    directory: Path,
    original: Path,
    filename: str,
    *,
    line_limit: int,
    progress: Progress = no_progress,
) -> Contents:
    """Writes `rows.jsonl` with its index from the uploaded file. `BadFile` says what is wrong.

    Of an archive, documents that cannot be read are left out and named; tables must all be whole
    and of one kind. Either both files are there in the end or `rows.jsonl` is not.
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
            source = _prepared(work, "0", original, filename, kind, progress)
            contents = _written(work, [source], line_limit, progress)
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
    files: list[dict[str, Any]],
) -> Contents:
    """What was ingested before, with the first rows read again."""
    reader = IndexedReader(directory / ROWS)
    sample = [line.value for line in reader.page(0, SAMPLE)]
    return Contents(reader.count, columns, encoding, sample, file_format, files)


def _prepared(
    work: Path, number: str, path: Path, name: str, kind: str, progress: Progress
) -> _Source:
    """The file as rows in UTF-8; foreign kinds are parsed in a process of their own."""
    encoding = ""
    if kind in TEXTS:
        encoding = encoding_of(path)
        if encoding != "utf-8":
            source, path = path, work / f"{number}.utf8"
            transcode(source, encoding, path)
    if kind in ROW_KINDS:
        read_as = kind if kind == "csv" else json_kind(path, kind)
        return _Source(name, path, read_as, read_as, encoding)
    target = work / f"{number}.rows"
    problem = foreign_parse(kind, path, target, name, waiting=lambda: progress("reading", 0))
    return _Source(name, target, kind, "jsonl", encoding, problem)


def _written(
    work: Path,
    sources: list[_Source],
    line_limit: int,
    progress: Progress,
    *,
    several: bool = False,
) -> Contents:
    """All rows of all files, one after the other."""
    total = max(sum(source.path.stat().st_size for source in sources), 1)
    columns: Counter[str] = Counter()
    sample: list[Any] = []
    files: list[dict[str, Any]] = []
    passed = 0
    with IndexedWriter(work / ROWS) as writer:
        for source in sources:
            first = writer.count
            left_out: list[BadFile] = []
            rows = rows_read(
                source.path,
                source.read_as,
                limit=line_limit,
                progress=partial(_tell, progress, passed, total),
                left_out=left_out,
            )
            for row in _named(rows, source.name) if several else rows:
                writer.write(row.value, row.line)
                if isinstance(row.value, dict):
                    _count_columns(columns, row.value)
                if len(sample) < SAMPLE:
                    sample.append(row.value)
            passed += source.path.stat().st_size
            if left_out and writer.count == first and not several:
                raise left_out[0]
            problem = _left_out(left_out) if left_out else source.problem
            files.append(
                _file(source.name, source.kind, rows=writer.count - first, problem=dump(problem))
            )
    _refuse_without_objects(writer.count, columns)
    return Contents(
        writer.count,
        [name for name, _count in columns.most_common()],
        _common([source.encoding for source in sources]),
        sample,
        _common([source.kind for source in sources]) or sources[0].read_as,
        files if several or any(file["problem"] for file in files) else [],
    )


def _left_out(lines: list[BadFile]) -> str:
    """Which lines are left out, and why the first of them is."""
    places = ", ".join(str(line.data["line"]) for line in lines[:_LINES_NAMED])
    return ngettext(
        "%(n)s row is left out, in line %(lines)s. %(first)s",
        "%(n)s rows are left out, in lines %(lines)s. %(first)s",
        len(lines),
    ) % {
        "n": len(lines),
        "lines": places + (", …" if len(lines) > _LINES_NAMED else ""),
        "first": lines[0].message,
    }


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress("reading", (before + done) / total)


def _common(values: list[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""


def _file(name: str, kind: str, *, rows: int = 0, problem: str = "") -> dict[str, Any]:
    return {"name": name, "kind": kind, "rows": rows, "problem": problem}


def _count_columns(columns: Counter[str], row: dict[str, Any]) -> None:
    for name in row:
        if name in columns or len(columns) < COLUMNS_MAX:
            columns[name] += 1


def _refuse_without_objects(rows: int, columns: Counter[str]) -> None:
    if not rows:
        raise BadFile(_("The file holds no rows."), code="empty")
    if not columns:
        raise BadFile(
            _("No row is an object with named columns, such as {“instruction”: …, “output”: …}."),
            code="no_columns",
        )


def _book(
    work: Path, original: Path, filename: str, line_limit: int, progress: Progress
) -> Contents:
    """The rows of a workbook's sheets."""
    sources, left_out = _sheets(work, "0", original, filename, line_limit, progress)
    several = len(sources) + len(left_out) > 1
    contents = _written(work, sources, line_limit, progress, several=several)
    contents.files.extend(left_out)
    return contents


def _sheets(
    work: Path, number: str, path: Path, name: str, line_limit: int, progress: Progress
) -> tuple[list[_Source], list[dict[str, Any]]]:
    """The sheets that fit the longest one, and those that do not, with the reason."""
    folder = work / f"{number}.sheets"
    folder.mkdir()
    foreign_parse("sheets", path, folder, name, waiting=lambda: progress("reading", 0))
    with (folder / MEMBERS).open(encoding="utf-8") as members:
        sheets = [
            _Source(member["name"], folder / member["file"], "csv", "csv", "")
            for member in map(json.loads, members)
        ]
    looks = {sheet.name: _look(sheet, line_limit) for sheet in sheets}
    longest = max(sheets, key=lambda sheet: sheet.path.stat().st_size)
    problem = _("Its columns are not those of “%(name)s”. Save it as a file of its own.") % {
        "name": longest.name
    }
    fitting = [sheet for sheet in sheets if looks[sheet.name] == looks[longest.name]]
    left_out = [
        _file(sheet.name, "csv", problem=dump(problem)) for sheet in sheets if sheet not in fitting
    ]
    return fitting, left_out


def _archive(
    work: Path, original: Path, filename: str, kind: str, line_limit: int, progress: Progress
) -> Contents:
    """The rows of all files of an archive that can be read; the others are named."""
    folder = work / "members"
    folder.mkdir()
    foreign_parse(kind, original, folder, filename, waiting=lambda: progress("reading", 0))
    sources: list[_Source] = []
    left_out: list[dict[str, Any]] = []
    with (folder / MEMBERS).open(encoding="utf-8") as members:
        for line in members:
            member = json.loads(line)
            name, path = member["name"], folder / member["file"]
            try:
                found, others = _member(work, path, name, line_limit, progress)
                sources += found
                left_out += others
            except _LeftOut as left:
                left_out.append(_file(name, left.kind, problem=dump(left.problem)))
            progress("reading", 0)
    if not sources:
        names = ", ".join(str(one["name"]) for one in left_out[:_NAMED]) or filename
        raise BadFile(
            _("Nothing in the archive can be read: %(names)s.") % {"names": names},
            code="archive_empty",
        )
    _refuse_mixed(sources, line_limit)
    contents = _written(work, sources, line_limit, progress, several=True)
    contents.files.extend(left_out)
    return contents


class _LeftOut(Exception):
    """A file of an archive that holds no rows for us, and why."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind
        self.problem = problem


def _member(
    work: Path, path: Path, name: str, line_limit: int, progress: Progress
) -> tuple[list[_Source], list[dict[str, Any]]]:
    """What a file of an archive holds, and what of it is left out. A table that cannot be read
    whole is refused with all of it: who trains on the rest would not know what is missing.
    """
    try:
        kind = kind_of(path, name)
    except BadFile as refused:
        raise _LeftOut("", refused.message) from refused
    if kind in ARCHIVES:
        raise _LeftOut(kind, _("Archives within archives are not opened."))
    try:
        if kind not in BOOKS:
            return [_prepared(work, path.name, path, name, kind, progress)], []
        sheets, left_out = _sheets(work, path.name, path, name, line_limit, progress)
    except BadFile as refused:
        if kind in DOCUMENTS:
            raise _LeftOut(kind, refused.message) from refused
        raise _of_file(refused, name) from refused
    return (
        [replace(sheet, name=f"{name} › {sheet.name}") for sheet in sheets],
        [{**one, "name": f"{name} › {one['name']}"} for one in left_out],
    )


def _named(rows: Iterator[Any], name: str) -> Iterator[Any]:
    try:
        yield from rows
    except BadFile as refused:
        raise _of_file(refused, name) from refused


def _of_file(refused: BadFile, name: str) -> BadFile:
    """The refusal with the name of the file in the archive."""
    named = BadFile(
        _("“%(name)s”: %(reason)s") % {"name": name, "reason": refused.message}, code=refused.code
    )
    named.data = refused.data
    return named


def _refuse_mixed(sources: list[_Source], line_limit: int) -> None:
    """`BadFile` names the files whose rows do not fit those of most."""
    looks = {source.name: _look(source, line_limit) for source in sources}
    usual = Counter(looks.values()).most_common(1)[0][0]
    others = [name for name, look in looks.items() if look != usual]
    if not others:
        return
    raise BadFile(
        _(
            "Not all files fit together: %(names)s (%(count)s of %(total)s) are documents among"
            " tables, or tables with other columns than most. Upload them apart."
        )
        % {
            "names": ", ".join(others[:_NAMED]),
            "count": len(others),
            "total": len(sources),
        },
        code="mixed",
    )


def _look(source: _Source, line_limit: int) -> tuple[Any, ...]:
    """What must be the same for rows to be trained on together: format, columns it needs, roles.

    Columns that a format may have and need not are no difference, nor is the order of columns.
    """
    if source.kind in DOCUMENTS:
        return ("document",)
    from_csv = source.read_as == "csv"
    read = rows_read(source.path, source.read_as, limit=line_limit, left_out=[])
    rows = _named(read, source.name)
    sample = [row.value for row, _number in zip(rows, range(SAMPLE), strict=False)]
    mapping = guess(sample, from_csv=from_csv).mapping
    if not mapping.shape:
        names = {name for row in sample if isinstance(row, dict) for name in row}
        return (from_csv, *sorted(names))
    needed = mapping.needed
    return (from_csv, mapping.shape, *sorted(needed.items()), *sorted(mapping.tags.items()))
