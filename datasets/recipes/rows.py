"""Rows on their way through a recipe, and the texts in them whatever their shape."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Mappings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.generation.asking import Asking
from datasets.recipes.likeness import Likeness, similarity
from datasets.shapes.mapping import Mapping

Change = Callable[[str], str]
_KEPT = frozenset({"tools", "kto_tag"})  # descriptions of functions, and marks: no texts of people
_NO_LETTERS = re.compile(r"[\W_]+")
_MARKS = {"true": True, "false": False}
KEY_BYTES = 16
JOINED = "joined"  # the reason of rows that end as a part of others, which is no loss
ORIGIN = "origin_id"  # the column by which rows that come of the same one are known
_ORIGIN = re.compile("[a-p]{16}")
_LETTERS = bytes.maketrans(b"0123456789abcdef", b"abcdefghijklmnop")


@dataclass(slots=True)
class Row:
    """A value, where it comes from, and the part it was put in by a split.

    `number` counts from 0 in the input; `source` is 0 for the version that the recipe runs on, and
    another number for each further one. Rows made of one have its number and differ by `piece`.
    `origin` is what rows that come of the same one share, see `origin_of`.
    """

    number: int
    value: Any
    part: str = ""
    source: int = 0
    piece: int = 0
    origin: str = ""

    @property
    def stored(self) -> Any:
        """The value as it is stored: with the origin, where that is known."""
        if self.origin and isinstance(self.value, dict):
            return {**self.value, ORIGIN: self.origin}
        return self.value

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells the row from all others."""
        return self.source, self.number, self.piece


@dataclass
class StepOutcome:
    """What a step did: rows in and out, rows changed, and counts by reason, kind and part."""

    kind: str
    rows_in: int = 0
    rows_out: int = 0
    changed: int = 0
    clusters: int = 0  # of rows that are alike, with two members or more
    dropped: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)  # what was masked, made, or not parted
    parts: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)  # clusters with their first rows

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "changed": self.changed,
            "clusters": self.clusters,
            "dropped": dict(self.dropped),
            "found": dict(self.found),
            "parts": dict(self.parts),
            "examples": self.examples,
        }


def nobody(_row: Row, _reason: str) -> None:
    """Nobody wants to know which rows are dropped."""


@dataclass(frozen=True)
class Input:
    """A further version that a step reads: how its rows are read, how many, and the rows."""

    mapping: Mapping
    rows: int
    values: Callable[[], Iterable[Any]]

    @property
    def plain(self) -> Mapping:
        """How rows are read that were `decoded`."""
        return plain(self.mapping)


@dataclass
class Work:
    """What a step works with: how rows are read, a folder of its own, the seed, its outcome, and
    further versions by their ids. `tokenizer` is the folder of the one to count tokens with,
    `asking` asks models, `likeness` tells how alike a new row is to the one that it was made of,
    `names` says whether all rows are to know their origin.
    """

    mapping: Mapping
    folder: Path
    seed: int
    outcome: StepOutcome
    dropped: Callable[[Row, str], None] = nobody
    inputs: Mappings[str, Input] = field(default_factory=dict)
    tokenizer: Path | None = None
    place: int = 0  # of the step in its recipe
    asking: Asking | None = None
    likeness: Likeness = similarity
    names: bool = False

    def made(self, row: Row, value: Any, number: int) -> Row:
        """A row made of another; `number` tells such rows from each other, 0 is the row itself."""
        piece = row.piece
        if number:
            what = b"%d.%d.%d" % (piece, self.place, number)
            piece = int.from_bytes(hashlib.blake2b(what, digest_size=6).digest(), "little") + 1
        return replace(row, value=value, piece=piece)

    def fits(self, made: Row, before: str, after: str, parameters: Mappings[str, Any]) -> bool:
        """Whether a new row is neither too close to its origin nor too far; else it is dropped."""
        alike = self.likeness(comparable(before), comparable(after))
        if alike > parameters["most_alike"]:
            self.drop(made, "too_close")
        elif alike < parameters["least_alike"]:
            self.drop(made, "too_far")
        else:
            return True
        return False

    def join(self, row: Row) -> None:
        """Notes a row that goes on as a part of another one."""
        self.dropped(row, JOINED)

    def drop(self, row: Row, reason: str) -> None:
        """Counts a row that ends here."""
        self.outcome.dropped[reason] += 1
        self.dropped(row, reason)


def plain(mapping: Mapping) -> Mapping:
    """How rows are read once `decoded` has parsed their cells."""
    return replace(mapping, from_csv=False)


def decoded(value: Any, mapping: Mapping) -> Any:
    """A row of CSV with lists, messages and marks as such; any other row as it is."""
    if not mapping.from_csv or not isinstance(value, dict):
        return value
    row = dict(value)
    keys = ["history", "messages", *(["chosen", "rejected"] if mapping.by_messages else [])]
    for key in keys:
        cell = row.get(mapping.columns.get(key, ""))
        if isinstance(cell, str):
            row[mapping.columns[key]] = _json(cell) if cell.strip() else None
    mark = row.get(mapping.columns.get("kto_tag", ""))
    if isinstance(mark, str):
        row[mapping.columns["kto_tag"]] = _MARKS.get(mark.strip().lower(), mark)
    return row


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def origin_of(row: Row, version: str, *, names: bool) -> str:
    """What the row shares with those that come of the same one, here or in an earlier run.

    That is what its column `origin_id` says. Where there is none it is empty or, with `names`, a
    key of its own, the same in each run on the version of this id; of letters, which nothing masks,
    and made of nothing that the row says, which later steps may mask. DomainError where `names`
    would overwrite a column of somebody's own.
    """
    cell = row.value.get(ORIGIN) if isinstance(row.value, dict) else None
    if names_origin(cell):
        return str(cell)
    if not names:
        return ""
    if cell not in (None, ""):
        raise DomainError(
            _(
                "Row %(number)s says something of its own in its column “%(column)s”, where this"
                " recipe would write which row each one comes of. Rename the column in the file,"
                " or leave it out by a recipe that converts the rows first."
            )
            % {"number": row.number + 1, "column": ORIGIN},
            code="column_taken",
        )
    key = hashlib.blake2b(f"{version} {row.number}".encode(), digest_size=8)
    return key.hexdigest().encode().translate(_LETTERS).decode()


def names_origin(cell: Any) -> bool:
    """Whether a cell of the column `origin_id` is a name that a recipe wrote."""
    return isinstance(cell, str) and _ORIGIN.fullmatch(cell) is not None


def texts_of(value: Any, mapping: Mapping) -> list[tuple[str, str]]:
    """The texts of a row with their roles (system, text, chosen, … or the file's own), in order."""
    found: list[tuple[str, str]] = []
    if not isinstance(value, dict):
        return found
    names = {"prompt": "text" if mapping.shape == "text" else "user", "query": "user"}
    names |= {"response": "assistant"}
    for key in ("system", "history", "prompt", "query", "messages", "response", *_CHOICES):
        cell = value.get(mapping.columns.get(key, ""))
        if key == "messages" and isinstance(cell, list):
            for message in cell:
                found += _said(message, mapping, "")
        elif key in _CHOICES and isinstance(cell, dict):
            found += _said(cell, mapping, key)
        elif key == "history" and isinstance(cell, list):
            for pair in cell:
                if isinstance(pair, list):
                    sides = zip(("user", "assistant"), pair, strict=False)
                    found += [(role, text) for role, text in sides if isinstance(text, str)]
        elif isinstance(cell, str) and cell:
            found.append((names.get(key, key), cell))
    return found


_CHOICES = ("chosen", "rejected")


def _said(message: Any, mapping: Mapping, role: str) -> list[tuple[str, str]]:
    if not isinstance(message, dict):
        return []
    name = message.get(mapping.tags["role_tag"])
    role = role or mapping.role(name) or str(name)
    content = message.get(mapping.tags["content_tag"])
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [one.get("text") for one in parts if isinstance(one, dict)]
    found = [(role, text) for text in texts if isinstance(text, str)]
    if message.get("tool_calls"):
        found.append(("function", orjson.dumps(message["tool_calls"]).decode()))
    return found


def texts_change(
    value: Any, mapping: Mapping, change: Change, *, everywhere: bool = False
) -> dict[str, Any] | Any:
    """The row with `change` applied to each of its texts, the same whatever shape it has.

    JSON in calls of tools stays JSON: its values are changed, not its signs. `everywhere` takes
    columns that the mapping does not name, too. Descriptions of tools, roles and marks stay.
    """
    if not isinstance(value, dict):
        return leaves_change(value, change) if everywhere else value
    keys = {column: key for key, column in mapping.columns.items()}
    return {
        column: _cell(cell, keys.get(column, ""), mapping, change, everywhere)
        for column, cell in value.items()
    }


def _cell(cell: Any, key: str, mapping: Mapping, change: Change, everywhere: bool) -> Any:
    if key in _KEPT:
        return cell
    if isinstance(cell, str):
        return change(cell) if key or everywhere else cell
    if key == "messages" and isinstance(cell, list):
        return [_message(one, mapping, change, everywhere) for one in cell]
    if key in _CHOICES and isinstance(cell, dict):
        return _message(cell, mapping, change, everywhere)
    if key == "history" or everywhere:
        return leaves_change(cell, change)
    return cell


def _message(message: Any, mapping: Mapping, change: Change, everywhere: bool) -> Any:
    if not isinstance(message, dict) or "role_tag" not in mapping.tags:
        return leaves_change(message, change) if everywhere else message
    role_key, content_key = mapping.tags["role_tag"], mapping.tags["content_tag"]
    calls = mapping.role(message.get(role_key)) == "function"
    changed: dict[str, Any] = {}
    for key, part in message.items():
        if key == content_key and isinstance(part, str):
            changed[key] = json_change(part, change) if calls else change(part)
        elif key == content_key and isinstance(part, list):
            changed[key] = [_part(one, change) for one in part]
        elif key == "tool_calls" and isinstance(part, list):
            changed[key] = [_call(one, change) for one in part]
        else:
            changed[key] = leaves_change(part, change) if everywhere and key != role_key else part
    return changed


def _part(part: Any, change: Change) -> Any:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return {**part, "text": change(part["text"])}
    return part


def _call(call: Any, change: Change) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or "arguments" not in function:
        return call
    arguments = function["arguments"]
    is_text = isinstance(arguments, str)
    changed = json_change(arguments, change) if is_text else leaves_change(arguments, change)
    return {**call, "function": {**function, "arguments": changed}}


def json_change(text: str, change: Change) -> str:
    """A text that holds JSON with its values changed; any other text changed as it is."""
    found = _json(text)
    if not isinstance(found, dict | list):
        return change(text)
    changed = leaves_change(found, change)
    return text if changed == found else orjson.dumps(changed).decode()


def leaves_change(value: Any, change: Change) -> Any:
    """Every text inside a value changed; a number becomes a text when its digits change."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: leaves_change(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [leaves_change(part, change) for part in value]
    if isinstance(value, int) and not isinstance(value, bool):
        digits = str(value)
        changed = change(digits)
        return value if changed == digits else changed
    return value


def comparable(text: str) -> str:
    """The text as rows are compared: neither Unicode forms nor white space make a difference."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def mark_of(value: Any, mapping: Mapping) -> str:
    """The mark of an answer, good or bad, as a text; empty where the shape has none."""
    column = mapping.columns.get("kto_tag")
    return repr(value.get(column)) if column and isinstance(value, dict) else ""


def question_of(value: Any, mapping: Mapping) -> str:
    """What is asked first, without case, white space and punctuation; of a plain text all of it.

    Empty where nothing is asked.
    """
    return question_in(texts_of(value, mapping))


def question_in(texts: list[tuple[str, str]]) -> str:
    """The same of a row whose texts were read already."""
    asked: list[str] = []
    for role, text in texts:
        if role in {"user", "text"}:
            asked.append(text)
        elif asked:
            break
    plain = unicodedata.normalize("NFKC", " ".join(asked)).casefold()
    return _NO_LETTERS.sub("", plain) or plain.strip()


def content_key(value: Any, mapping: Mapping, salt: str = "") -> bytes:
    """What rows with the same texts have in common; `salt` parts the same texts further."""
    return texts_key(texts_of(value, mapping), value, salt)


def texts_key(texts: list[tuple[str, str]], value: Any, salt: str = "") -> bytes:
    """The same of a row whose texts were read already; one without any stands for itself."""
    digest = hashlib.blake2b(salt.encode(), digest_size=KEY_BYTES)
    for role, text in texts:
        digest.update(f"\x1e{role}\x1f{comparable(text)}".encode("utf-8", "surrogatepass"))
    if not texts:
        digest.update(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
    return digest.digest()
