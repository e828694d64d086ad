"""Rows that hold one message each into conversations.

Memory is some 60 bytes a row: the rows lie in a file until it is known which belong together.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.recipes.columns import cell_of, refuse_no_column, text_of
from datasets.recipes.convert import SHAPES, from_turns
from datasets.recipes.duplicates import firsts_of
from datasets.recipes.moments import moment_of, seconds_of
from datasets.recipes.parameters import Refused, speakers_of
from datasets.recipes.rows import KEY_BYTES, ORIGIN, Row, Work
from datasets.recipes.spool import Shelf
from datasets.shapes.detect import role_usual
from datasets.shapes.mapping import Mapping as RowMapping
from datasets.shapes.turns import Example, Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MESSAGES_MAX = 5000  # of one conversation
BYTES_MAX = 8 * 2**20  # of its rows: all of them are in memory at once
NAMED, SIGNS = 8, 40  # speakers that a refusal names, and signs of each
COLUMNS = ("conversation", "role", "content", "order")


def group(rows: Iterator[Row], work: Work, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """Conversations in the order of their first rows, each with the number of its first message.

    Messages that do not end in one are dropped, each with its reason; `found` counts the others.
    All parts of a named conversation that silence parted have the same origin. DomainError when no
    row has a column, when nothing in it puts rows in order, or when speakers are unknown and one
    side never speaks.
    """
    with closing(Shelf(work.folder / "rows")) as shelf, closing(_Talks(work, parameters)) as talks:
        for row in rows:
            if talks.takes(row):
                shelf.add(row)
        firsts = talks.firsts()
        for places in talks.parts(firsts):
            found = (shelf.at(place) for place in places)
            if len(places) > MESSAGES_MAX or sum(map(shelf.size, places)) > BYTES_MAX:
                for row in found:
                    work.drop(row, "talk_too_long")
                continue
            first = firsts[places[0]] if parameters["conversation"] else places[0]
            origin = shelf.at(int(first)).origin
            for row in _conversation(found, talks, work):
                yield replace(row, origin=origin)


def grouped(_mapping: RowMapping, parameters: Mapping[str, Any]) -> RowMapping:
    """How rows are read once they are conversations."""
    return SHAPES[parameters["shape"]]


def group_check(given: Mapping[str, Any]) -> None:
    """`Refused` when a column is missing that is needed."""
    for name in ("role", "content"):
        if not given[name]:
            raise Refused(name, _("Name the column."))
    if not given["conversation"] and not given["silence"]:
        raise Refused(
            "conversation",
            _("Name the column, or the minutes of silence after which a conversation ends."),
        )
    if given["silence"] and not given["order"]:
        raise Refused("order", _("Silence is told by times: name the column that has them."))


class _Talks:
    """Which rows are messages, who speaks in them, and which of them make a conversation."""

    def __init__(self, work: Work, given: Mapping[str, Any]) -> None:
        self.given = given
        self._work = work
        self._speakers = speakers_of(given["roles"])
        self._path = work.folder / "keys"
        self._keys = self._path.open("wb", buffering=1 << 20)
        self._wholes, self._fractions = array("q"), array("d")
        self._read = False
        self._held: set[str] = set()  # columns that some row has
        self._sides: set[str] = set()
        self._unnamed: list[str] = []  # speakers of whom nothing is written
        self._unordered = ""  # what stands where a time or a number should

    def takes(self, row: Row) -> bool:
        """Whether the row is a message of a conversation; else it is dropped."""
        given = self.given
        cells = {name: cell_of(row.value, given[name]) for name in COLUMNS if given[name]}
        self._read = True
        self._held.update(name for name, cell in cells.items() if cell is not None)
        talk = text_of(cells.get("conversation")).strip()
        moment = moment_of(cells["order"]) if given["order"] else (0, 0.0)
        side, text = self.said(row)
        if given["conversation"] and not talk:
            reason = "no_conversation"
        elif side == "drop":
            reason = "speaker"
        elif not text.strip():
            reason = "empty"
        elif moment is None:
            reason = "no_order"
            self._unordered = self._unordered or text_of(cells["order"])[:SIGNS]
        else:
            key = f"{row.source} {talk}".encode("utf-8", "surrogatepass")
            self._keys.write(hashlib.blake2b(key, digest_size=KEY_BYTES).digest())
            self._wholes.append(moment[0])
            self._fractions.append(moment[1])
            self._sides.add(side)
            return True
        self._work.drop(row, reason)
        return False

    def said(self, row: Row) -> tuple[str, str]:
        """What is said, and by whom: `user`, `assistant`, `system`, or somebody to `drop`."""
        speaker = text_of(cell_of(row.value, self.given["role"])).strip()
        name = speaker.casefold()
        side = self._speakers.get(name) or role_usual(name)
        if not side and len(self._unnamed) < NAMED and speaker[:SIGNS] not in self._unnamed:
            self._unnamed.append(speaker[:SIGNS])
        return side or self.given["others"], text_of(cell_of(row.value, self.given["content"]))

    def firsts(self) -> "NDArray[np.int64]":
        """For each message the first one with the same conversation, when all were taken."""
        self._keys.close()
        for name in COLUMNS:
            if self._read and self.given[name] and name not in self._held:
                raise refuse_no_column(self.given[name])
        if self._unordered and not self._wholes:
            raise _refused(
                "no_order",
                _(
                    "“%(column)s” holds neither numbers nor times that can be read: “%(cell)s”."
                    " Times begin with the year, such as 2024-01-31 09:05. Name another column, or"
                    " none where the rows stand in their order."
                )
                % {"column": self.given["order"], "cell": self._unordered},
            )
        if self._unnamed and not {"user", "assistant"} <= self._sides:
            raise _refused(
                "one_side",
                _(
                    "Only one side speaks, or none: it is not known who these are: %(names)s. Write"
                    " who the assistant is, such as “%(name)s = assistant”, and who the user is."
                )
                % {"names": ", ".join(self._unnamed), "name": self._unnamed[0]},
            )
        return firsts_of(self._path)

    def parts(self, firsts: "NDArray[np.int64]") -> Iterator[list[int]]:
        """The places of the messages of each conversation, as they follow one another."""
        import numpy as np  # here, so that pages need not carry it

        wholes = np.frombuffer(self._wholes, dtype=np.int64)
        order = np.lexsort((np.frombuffer(self._fractions), wholes, firsts))  # stable
        begins = firsts[order][1:] != firsts[order][:-1]
        if silence := self.given["silence"]:
            seconds = seconds_of(wholes)[order]
            if len(seconds) and np.isnan(seconds).all():
                raise _refused(
                    "no_times",
                    _(
                        "“%(column)s” holds no times, and without them there is no silence. Leave"
                        " the minutes empty, or name a column of times."
                    )
                    % {"column": self.given["order"]},
                )
            begins |= np.diff(seconds) > 60 * silence
        start = 0
        for end in [*(np.flatnonzero(begins) + 1), len(order)]:
            if end > start:
                yield order[start:end].tolist()
            start = end

    def close(self) -> None:
        """The keys are not needed any more."""
        self._keys.close()
        self._path.unlink()


def _refused(code: str, message: str) -> DomainError:
    return DomainError(message, field="steps", code=code)


@dataclass
class _Turn:
    """What one side says in messages that follow each other."""

    role: str
    texts: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


def _conversation(rows: Iterable[Row], talks: _Talks, work: Work) -> Iterator[Row]:
    """The row of a conversation that begins with the user and ends with the assistant, if there is
    one in these messages.
    """
    system = _Turn("system")
    turns: list[_Turn] = []
    for row in rows:
        role, text = talks.said(row)
        if role == "system" and turns:
            work.drop(row, "system_inside")
            continue
        if role == "assistant" and not turns:
            work.drop(row, "assistant_first")
            continue
        if role != "system" and (not turns or turns[-1].role != role):
            turns.append(_Turn(role))
        turn = system if role == "system" else turns[-1]
        turn.texts.append(text)
        turn.rows.append(row)
    ends = turns[-1:] if turns and turns[-1].role == "user" else []
    turns = turns[: len(turns) - len(ends)]
    for turn in ends if turns else [system, *ends]:
        for row in turn.rows:
            work.drop(row, "unanswered")
    if not turns:
        return
    kept = [row for turn in (system, *turns) for row in turn.rows]
    example = Example(
        [Turn(turn.role, "\n".join(turn.texts)) for turn in turns],
        system="\n".join(system.texts),
    )
    made = from_turns(example, grouped(work.mapping, talks.given))
    work.outcome.found["messages"] += len(kept)
    for row in kept[1:]:
        work.join(row)
    yield replace(kept[0], value={**_common(kept, talks.given), **made})


def _common(rows: list[Row], given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that are equal in all rows, if they are to be kept."""
    if not given["keep"]:
        return {}
    used = {given["role"], given["content"], given["order"], ORIGIN}
    first, *others = [row.value for row in rows]
    return {
        name: cell
        for name, cell in first.items()
        if name not in used and all(name in one and one[name] == cell for one in others)
    }
