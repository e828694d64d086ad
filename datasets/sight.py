"""A row as the tokens that the model sees, with those marked that it learns to say."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from common.phrases import ngettext
from datasets.checking import Counting, counting_key
from datasets.shapes.examples import Example
from datasets.shapes.tokens import TokenCounter

TEXT_MAX = 20_000  # characters of a row that are parted while somebody waits
PIECES_MAX = 800  # of a row on a page


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of whole characters, how many tokens it takes, and whether they carry loss."""

    text: str
    tokens: int
    learnt: bool

    @property
    def shown(self) -> str:
        """With line ends to be seen."""
        return self.text.replace("\n", "⏎\n")


@dataclass(slots=True)
class Seen:
    """The beginning of a row as tokens; `tokens` and `learnt` count all of it unless `is_part`."""

    pieces: list[Piece] = field(default_factory=list)
    tokens: int = 0
    learnt: int = 0
    is_part: bool = False

    @property
    def markup(self) -> SafeString:
        """The pieces for a page: a template would take a second for thousands of them."""
        titles = {
            n: ngettext("%(n)s token", "%(n)s tokens", n) % {"n": n}
            for n in {piece.tokens for piece in self.pieces}
        }
        return format_html_join(
            "",
            '<span class="{}" title="{}">{}</span>',
            (
                ("learn" if one.learnt else "read", titles[one.tokens], one.shown)
                for one in self.pieces
            ),
        )

    @property
    def is_cut(self) -> bool:
        """Whether there is more than the pieces."""
        return self.is_part or len(self.pieces) == PIECES_MAX


def tokens_seen(example: Example, counting: Counting) -> Seen:
    """The example as this tokenizer parts it."""
    counter = _counter(
        counting_key(counting.tokenizer_dir, counting.template),
        counting.tokenizer_dir,
        counting.template,
    )
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


@lru_cache(maxsize=1)
def _counter(_key: str, tokenizer_dir: Path, template: str) -> TokenCounter:
    return TokenCounter(tokenizer_dir, template)
