"""Which of several files belong together: those whose rows can be trained on as one table.

The most of what there is goes on; every other file is left out with what is different about it.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.phrases import dump
from common.phrases import gettext as _
from datasets.reading.refusals import BadFile
from datasets.shapes.mapping import Mapping

_NAMED = 5  # columns that a reason names
_LETTERS = 40  # of such a name
Entry = dict[str, Any]  # see `entry`


@dataclass(frozen=True)
class Source:
    """A file made ready to be read: rows in UTF-8."""

    name: str
    path: Path
    kind: str  # of the file as it came; of a sheet csv, as which it is read
    read_as: str  # json, jsonl or csv
    encoding: str
    problem: str = ""  # what of it is left out
    named: bool = True  # whether its name has the ending of a kind


@dataclass(frozen=True)
class LeftOut:
    """One of several files that cannot be read."""

    name: str
    kind: str
    refused: BadFile

    @property
    def entry(self) -> Entry:
        """What is kept of it."""
        return entry(self.name, self.kind, problem=self.refused.message)


def entry(name: str, kind: str, *, rows: int = 0, problem: str = "") -> Entry:
    """What is kept of a file: name, kind, number of rows, and why some or all of it is left out."""
    return {"name": name, "kind": kind, "rows": rows, "problem": dump(problem)}


@dataclass(frozen=True)
class Look:
    """What the first rows of a file look like. Without a `shape` no format was recognised."""

    is_document: bool = False
    from_csv: bool = False
    columns: frozenset[str] = frozenset()
    shape: str = ""
    needed: frozenset[str] = frozenset()  # columns of the shape
    same: tuple[Any, ...] = ()  # alike in files that are read alike

    def fits(self, most: "Look") -> bool:
        """Whether rows that look so can stand among those that most rows look like.

        Columns that a format may have and need not are no difference, nor is their order. Where no
        format was recognised, a file may have some columns more or less than the others.
        """
        if self.same == most.same:
            return True
        if self.is_document or most.is_document or self.from_csv != most.from_csv:
            return False
        if most.shape:
            return not self.shape and most.needed <= self.columns
        return self.columns <= most.columns or most.columns <= self.columns


def look_of(columns: Collection[str], mapping: Mapping) -> Look:
    """The look of a table with these columns, read so; a mapping without a shape reads nothing."""
    needed = mapping.needed if mapping.shape else {}
    read = (mapping.shape, *sorted(needed.items()), *sorted(mapping.tags.items()))
    return Look(
        from_csv=mapping.from_csv,
        columns=frozenset(columns),
        shape=mapping.shape,
        needed=frozenset(needed.values()),
        same=(mapping.from_csv, *(read if mapping.shape else sorted(columns))),
    )


def fitting_part(looks: list[tuple[Source, Look]]) -> tuple[list[Source], list[LeftOut]]:
    """The files that fit those with the most bytes, and the others with what differs.

    A file whose name has no known ending, such as a licence, has no say in it beside others.
    """
    if not looks:
        return [], []
    voting = [one for one in looks if one[0].named] or looks
    sizes = Counter[tuple[Any, ...]]()
    for source, look in voting:
        sizes[look.same] += source.path.stat().st_size
    most = sizes.most_common(1)[0][0]
    alike = [one for one in voting if one[1].same == most]
    model, usual = max(alike, key=lambda one: one[0].path.stat().st_size)
    return [source for source, look in looks if look.fits(usual)], [
        LeftOut(source.name, source.kind, BadFile(_why(look, usual, model.name), code="mixed"))
        for source, look in looks
        if not look.fits(usual)
    ]


def _why(look: Look, usual: Look, name: str) -> str:
    """What is different about a file, and what to do. `name` is that of one of the others."""
    if usual.is_document:
        words = _(
            "It is a table, and most of the rest are documents, such as “%(name)s”. Upload it as a"
            " dataset of its own."
        )
    elif look.is_document:
        words = _(
            "It is a document, and most of the rest are tables, such as “%(name)s”. Upload it as a"
            " dataset of its own."
        )
    elif look.from_csv != usual.from_csv:
        words = _(
            "All values are texts in one of it and “%(name)s”, and numbers, lists and texts in the"
            " other. Save both as the same kind of file, or upload it as a dataset of its own."
        )
    else:
        missing = (usual.needed or usual.columns) - look.columns
        more = look.columns - usual.columns
        if not missing:
            words = _(
                "Its columns hold other things than those of “%(name)s”: other formats or names of"
                " roles. Upload it as a dataset of its own."
            )
        elif not more:
            words = _(
                "It lacks columns of “%(name)s”: %(missing)s. Add them, or upload it as a dataset"
                " of its own."
            )
        else:
            words = _(
                "Its columns are not those of “%(name)s”: it has %(more)s instead of %(missing)s."
                " Name them alike, or upload it as a dataset of its own."
            )
        return words % {"name": name, "missing": _listed(missing), "more": _listed(more)}
    return words % {"name": name}


def _listed(names: Collection[str]) -> str:
    shown = [name if len(name) <= _LETTERS else f"{name[:_LETTERS]}…" for name in sorted(names)]
    return ", ".join(shown[:_NAMED]) + (", …" if len(shown) > _NAMED else "")
