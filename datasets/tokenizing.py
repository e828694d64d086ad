"""Examples as tokens, in a process of its own with hard limits: a model's tokenizer may be
anything.

Run as `python -m datasets.tokenizing`; `datasets.sight` starts it, hands over an `Asked` on the
standard input and reads a list of `Seen` from the standard output, both as JSON.
"""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from datasets.parsing.limits import confine
from datasets.shapes.templates import Template
from datasets.shapes.tokens import TokenCounter
from datasets.shapes.tool_words import ToolWords
from datasets.shapes.turns import Example, Turn

MEMORY = 4 * 2**30  # bytes of address space, of which threads of the tokenizer reserve most
SECONDS = 20  # of processor time
TEXT_MAX = 20_000  # characters of a row that are tokenized while somebody waits
PIECES_MAX = 800  # of a row on a page


@dataclass(frozen=True, slots=True)
class Asked:
    """Examples, the folder of the tokenizer for them, and the chat template around."""

    directory: str
    template: Template
    examples: list[Example]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of whole characters, how many tokens it takes, and whether they carry loss."""

    text: str
    tokens: int
    learnt: bool


@dataclass(slots=True)
class Seen:
    """The beginning of a row as tokens; `tokens` and `learnt` count all of it unless `is_part`."""

    pieces: list[Piece] = field(default_factory=list)
    tokens: int = 0
    learnt: int = 0
    is_part: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether there is more than the pieces."""
        return self.is_part or len(self.pieces) == PIECES_MAX


def main() -> None:
    """Answers one question."""
    asked = orjson.loads(sys.stdin.buffer.read())
    os.nice(5)
    confine(memory=MEMORY, seconds=SECONDS, size=0)
    counter = TokenCounter(Path(asked["directory"]), _template(asked["template"]))
    found = [_seen(counter, _example(one)) for one in asked["examples"]]
    sys.stdout.buffer.write(orjson.dumps(found))


def _template(stored: dict[str, Any]) -> Template:
    return Template(**{**stored, "tool_words": ToolWords(**stored["tool_words"])})


def _example(stored: dict[str, Any]) -> Example:
    answers = {name: stored[name] and Turn(**stored[name]) for name in ("chosen", "rejected")}
    turns = [Turn(**turn) for turn in stored["turns"]]
    return Example(**{**stored, **answers, "turns": turns, "warnings": []})


def _seen(counter: TokenCounter, example: Example) -> Seen:
    found, left = Seen(), TEXT_MAX
    for text, learnt in counter.said(example):
        found.is_part = found.is_part or len(text) > left
        for piece, tokens in counter.pieces(text[:left]):
            found.tokens += tokens
            found.learnt += tokens if learnt else 0
            if len(found.pieces) < PIECES_MAX:
                found.pieces.append(Piece(piece, tokens, learnt))
        left = max(left - len(text), 0)
    return found


if __name__ == "__main__":
    main()
