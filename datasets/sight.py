"""Rows as the tokens that the model sees, with those marked that it learns to say."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import orjson
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from common.phrases import ngettext
from datasets.shapes.families import template_named
from datasets.shapes.turns import Example
from datasets.statistics.tokenizers import Tokenizer
from datasets.tokenizing import Asked, Piece, Seen

AT_ONCE = 2  # a big tokenizer takes some hundred megabytes
WAIT_SECONDS = 2  # for one's turn
SECONDS = 40  # that tokenizing may take in all, on a busy machine
_ROOT = Path(__file__).resolve().parents[1]
_turns = threading.BoundedSemaphore(AT_ONCE)


def tokens_seen(examples: list[Example], tokenizer: Tokenizer) -> list[Seen]:
    """The examples as this tokenizer splits them into tokens.

    DomainError says why it cannot, Conflict that the machine is too busy for it.
    """
    if problem := tokenizer.problem:
        raise DomainError(problem, field="tokenizer", code="no_tokenizer")
    if not _turns.acquire(timeout=WAIT_SECONDS):
        raise Conflict(
            _("Too many people are looking at tokens right now. Try again in a moment."),
            code="busy",
        )
    try:
        bare = [replace(example, warnings=[]) for example in examples]
        words = template_named(tokenizer.template)
        return _tokenized(Asked(str(tokenizer.directory), words, bare))
    finally:
        _turns.release()


def _tokenized(asked: Asked) -> list[Seen]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "datasets.tokenizing"],
            input=orjson.dumps(asked),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            # None of ours: no secrets, no settings.
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "TOKENIZERS_PARALLELISM": "false"},
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refusal(-signal.SIGXCPU) from None
    if done.returncode:
        raise _refusal(done.returncode)
    return [
        Seen(**{**one, "pieces": [Piece(**piece) for piece in one["pieces"]]})
        for one in orjson.loads(done.stdout)
    ]


def _refusal(status: int) -> DomainError:
    """What a failure says of the tokenizer: nothing when it was ended from outside."""
    if status < 0:
        text = _(
            "Splitting the rows into tokens took too long. Try again, or choose another tokenizer."
        )
        return Conflict(text, field="tokenizer", code="busy")
    text = _("The file tokenizer.json of this model is damaged, or too big to part rows with.")
    return DomainError(text, field="tokenizer", code="no_tokenizer")


def markup(seen: Seen) -> SafeString:
    """The pieces for a page: a template would take a second for thousands of them."""
    titles = {
        n: ngettext("%(n)s token", "%(n)s tokens", n) % {"n": n}
        for n in {piece.tokens for piece in seen.pieces}
    }
    return format_html_join(
        "",
        '<span class="{}" title="{}">{}</span>',
        (
            ("learn" if one.learnt else "read", titles[one.tokens], one.text.replace("\n", "⏎\n"))
            for one in seen.pieces
        ),
    )
