"""Files made ready to be read as rows, and which of several belong together."""

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

from common.phrases import gettext as _
from common.phrases import ngettext
from datasets.fitting import LeftOut, Look, Source, fitting_part, look_of
from datasets.parsing.archives import MEMBERS
from datasets.reading.foreign import foreign_parse
from datasets.reading.kinds import ARCHIVES, BOOKS, DOCUMENTS, LINES, TEXTS, kind_of, named_kind
from datasets.reading.kinds import ROWS as ROW_KINDS
from datasets.reading.leaving import lines_of, place_of
from datasets.reading.refusals import BadFile, NotRead
from datasets.reading.rows import json_kind, rows_read
from datasets.reading.sources import (
    TWO_BYTES,
    encoding_of,
    lines_decoded,
    lines_transcode,
    transcode,
)
from datasets.reading.told import refusal_told
from datasets.shapes.detect import SAMPLE, guess

_REASONS = 3  # that a refusal gives
_LINES_NAMED = 20  # that are left out
Progress = Callable[[str, float], None]  # phase and share done, 0 to 1
Sorted = tuple[list[Source], list[LeftOut]]  # what can be read, and what cannot


def lines_left_out(lines: list[BadFile]) -> str:
    """Which lines are left out, and why the first of them is; empty when none is."""
    if not lines:
        return ""
    places = ", ".join(map(place_of, lines[:_LINES_NAMED]))
    count = sum(map(lines_of, lines))
    return ngettext(
        "%(n)s line is left out: %(lines)s. %(first)s",
        "%(n)s lines are left out: %(lines)s. %(first)s",
        count,
    ) % {
        "n": count,
        "lines": places + (", …" if len(lines) > _LINES_NAMED else ""),
        "first": lines[0].message,
    }


def source_prepare(
    work: Path, number: str, path: Path, name: str, kind: str, progress: Progress
) -> Source:
    """The file as rows in UTF-8; foreign kinds are parsed in a process of their own."""
    encoding = problem = ""
    if kind in TEXTS:
        by_lines = kind in LINES or (kind == "json" and json_kind(path, kind) == "jsonl")
        encoding = encoding_of(path, by_lines=by_lines)
        if encoding != "utf-8":
            source, path = path, work / f"{number}.utf8"
            by_lines = by_lines and encoding not in TWO_BYTES
            (lines_transcode if by_lines else transcode)(source, encoding, path)
    if kind in ROW_KINDS:
        read_as = kind if kind == "csv" else json_kind(path, kind)
        return Source(name, path, read_as, read_as, encoding, named=bool(named_kind(name)))
    if kind in LINES:
        source, path = path, work / f"{number}.lines"
        problem = lines_left_out(lines_decoded(source, path))
    target = work / f"{number}.rows"
    waiting = partial(progress, "reading", 0)
    problem = foreign_parse(kind, path, target, name, waiting=waiting) or problem
    return Source(name, target, kind, "jsonl", encoding, problem, bool(named_kind(name)))


def sheets_prepare(
    work: Path, number: str, path: Path, name: str, line_limit: int, progress: Progress
) -> Sorted:
    """The sheets that fit together, and those that do not or cannot be read. `BadFile` when there
    is none.
    """
    folder = work / f"{number}.sheets"
    folder.mkdir()
    foreign_parse("sheets", path, folder, name, waiting=lambda: progress("reading", 0))
    with (folder / MEMBERS).open(encoding="utf-8") as members:
        sheets = [
            Source(member["name"], folder / member["file"], "csv", "csv", "")
            for member in map(json.loads, members)
        ]
    looks, unread = _looks(sheets, line_limit)
    if not looks:
        raise no_sheet_left(unread)
    fitting, others = fitting_part(looks)
    return fitting, others + unread


def members_prepare(work: Path, folder: Path, line_limit: int, progress: Progress) -> Sorted:
    """What the unpacked files of an archive hold, and what does not fit or cannot be read.
    `NotRead` when that says nothing about the file.
    """
    sources: list[Source] = []
    left_out: list[LeftOut] = []
    with (folder / MEMBERS).open(encoding="utf-8") as members:
        for line in members:
            member = json.loads(line)
            if refused := member.get("refused"):
                left_out.append(LeftOut(member["name"], "", refusal_told(refused)))
                continue
            found, others = _member(
                work, folder / member["file"], member["name"], line_limit, progress
            )
            sources += found
            left_out += others
            progress("reading", 0)
    looks, unread = _looks(sources, line_limit)
    fitting, others = fitting_part(looks)
    return fitting, left_out + unread + others


def no_sheet_left(left_out: list[LeftOut]) -> BadFile:
    """The refusal of a workbook no sheet of which can be read, with the reasons of the first."""
    return _nothing_left(left_out, _("No sheet of the workbook can be read."), "no_sheets")


def no_file_left(left_out: list[LeftOut]) -> BadFile:
    """The refusal of an archive no file of which can be read, with the reasons of the first."""
    if not left_out:
        return BadFile(
            _("The archive holds no files. Pack the data into it, then upload it again."),
            code="archive_empty",
        )
    return _nothing_left(left_out, _("No file in the archive can be read."), "archive_empty")


def _nothing_left(left_out: list[LeftOut], said: str, code: str) -> BadFile:
    reasons = [
        _("“%(name)s”: %(reason)s") % {"name": one.name, "reason": one.refused.message}
        for one in left_out[:_REASONS]
    ]
    if len(left_out) == 1:
        refused = BadFile(reasons[0], code=left_out[0].refused.code)
        refused.data = left_out[0].refused.data
        return refused
    for reason in reasons:
        said = _("%(said)s %(reason)s") % {"said": said, "reason": reason}
    return BadFile(said, code=code)


def _member(work: Path, path: Path, name: str, line_limit: int, progress: Progress) -> Sorted:
    """What a file of an archive holds, and what of it is left out."""
    kind = ""
    try:
        kind = kind_of(path, name)
        if kind in ARCHIVES:
            raise BadFile(_("Archives within archives are not opened."), code="archive")
        if kind not in BOOKS:
            return [source_prepare(work, path.name, path, name, kind, progress)], []
        sheets, left_out = sheets_prepare(work, path.name, path, name, line_limit, progress)
    except NotRead:
        raise
    except BadFile as refused:
        return [], [LeftOut(name, kind, refused.bare())]
    return (
        [replace(sheet, name=f"{name} › {sheet.name}") for sheet in sheets],
        [replace(one, name=f"{name} › {one.name}") for one in left_out],
    )


def _looks(
    sources: list[Source], line_limit: int
) -> tuple[list[tuple[Source, Look]], list[LeftOut]]:
    """What must be the same of each source, and those that cannot be read."""
    looks: list[tuple[Source, Look]] = []
    left_out: list[LeftOut] = []
    for source in sources:
        try:
            looks.append((source, _look(source, line_limit)))
        except BadFile as refused:
            left_out.append(LeftOut(source.name, source.kind, refused.bare()))
    return looks, left_out


def _look(source: Source, line_limit: int) -> Look:
    """What its first rows look like. `BadFile` when they cannot be read, or there is none."""
    if source.kind in DOCUMENTS:
        return Look(is_document=True)
    from_csv = source.read_as == "csv"
    rows = rows_read(source.path, source.read_as, limit=line_limit, left_out=[])
    sample = [row.value for row, _number in zip(rows, range(SAMPLE), strict=False)]
    names = {name for row in sample if isinstance(row, dict) for name in row}
    refuse_without_objects(len(sample), names)
    return look_of(names, guess(sample, from_csv=from_csv).mapping)


def refuse_without_objects(rows: int, columns: Collection[str]) -> None:
    """`BadFile` when there is no row, or none with columns."""
    if not rows:
        raise BadFile(_("The file holds no rows. Upload the one with the data."), code="empty")
    if not columns:
        raise BadFile(
            _("No row is an object with named columns, such as {“instruction”: …, “output”: …}."),
            code="no_columns",
        )
