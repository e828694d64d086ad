"""How long rows are by the tokenizer that a reader chose, and what a limit would cut."""

from dataclasses import dataclass, field
from typing import Any

from django.http import Http404

from common.errors import DomainError
from datasets import services
from datasets.models import DatasetVersion, TokenCount
from datasets.services.inputs import Seer
from datasets.statistics.tokenizers import Tokenizer


@dataclass(frozen=True)
class Lengths:
    """What is known of the lengths.

    `state` is `done`, `waiting` or `failed` with a `problem`. `found` is as the `lengths` of the
    version's statistics; `cut` rows of all usable ones are longer than the limit.
    """

    tokenizer: Tokenizer
    state: str
    percent: int = 0
    problem: str = ""
    found: dict[str, Any] = field(default_factory=dict)
    cut: int = 0


def tokenizer_named(user: Seer, text: str) -> Tokenizer | None:
    """The tokenizer of that model; None where none is named. Http404 when he sees no such model."""
    if not text:
        return None
    found = next((one for one in services.tokenizers_of(user) if one.id == text), None)
    if found is None:
        raise Http404
    return found


def lengths_by(version: DatasetVersion, tokenizer: Tokenizer, cutoff: int) -> Lengths:
    """The lengths by this tokenizer. A count that was never made is begun."""
    if tokenizer.key and tokenizer.key == version.report.get("tokens", {}).get("key"):
        lengths = version.counts.get("lengths", {})
        if lengths.get("unit") == "tokens":
            return _done(version, tokenizer, cutoff, lengths)
    try:
        count = services.tokens_asked(version, tokenizer)
    except DomainError as refused:
        return Lengths(tokenizer, "failed", problem=refused.message)
    if count.state == TokenCount.State.DONE:
        return _done(version, tokenizer, cutoff, count.lengths)
    percent = int(count.progress.get("percent", 0))
    return Lengths(tokenizer, count.state, percent, count.problem)


def _done(
    version: DatasetVersion, tokenizer: Tokenizer, cutoff: int, found: dict[str, Any]
) -> Lengths:
    assert tokenizer.directory is not None  # or it would have no key
    cut = services.version_cut_count(
        version,
        tokenizer_dir=tokenizer.directory,
        template=tokenizer.template,
        cutoff_len=cutoff,
    )
    return Lengths(tokenizer, "done", 100, found=found, cut=cut)
