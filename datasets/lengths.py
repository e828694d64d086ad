"""How long rows are by the tokenizer that a reader chose, and what a limit would cut."""

from dataclasses import dataclass, field
from typing import Any

from django.http import Http404

from common.errors import DomainError
from common.texts import id_of
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
    wanted = id_of(text)
    found = services.tokenizers_of(user, only=wanted) if wanted else []
    if not found:
        raise Http404
    return found[0]


def tokenizer_of_check() -> Tokenizer | None:
    """The tokenizer that rows are counted with when they are checked; None without one."""
    counting = services.counting_by_default()
    if counting is None:
        return None
    return Tokenizer("", counting.name, counting.tokenizer_dir, counting.template, is_base=True)


def lengths_by(version: DatasetVersion, tokenizer: Tokenizer, cutoff: int, *, by: Seer) -> Lengths:
    """The lengths by this tokenizer.

    A count that was never made, or whose file is lost, is begun for the reader `by`.
    """
    checked = version.report.get("tokens", {})
    key = tokenizer.key
    cut = services.version_cut_count(version, key=key, cutoff_len=cutoff)
    if key and key == checked.get("key") and cut is not None:
        found = version.counts.get("lengths", checked)
        return Lengths(tokenizer, "done", 100, found=found, cut=cut)
    try:
        count = services.tokens_asked(version, tokenizer, by=by)
    except DomainError as refused:
        return Lengths(tokenizer, "failed", problem=refused.message)
    if count.state == TokenCount.State.DONE and cut is not None:
        return Lengths(tokenizer, "done", 100, found=count.lengths, cut=cut)
    if count.state == TokenCount.State.FAILED:
        return Lengths(tokenizer, "failed", problem=count.problem)
    return Lengths(tokenizer, "waiting", int(count.progress.get("percent", 0)))
