"""What steps that ask models have in common."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.generation.asking import Asking, Sampling
from datasets.recipes.rows import Row, Work, texts_of

TEXT_MAX = 100_000  # characters of one row that a model is asked about


def asking_of(work: Work) -> Asking:
    """Whoever asks; DomainError where nobody may."""
    if work.asking is None:
        raise DomainError(_("This recipe asks models, which is done in a run only."))
    return work.asking


def sampling_of(parameters: Mapping[str, Any]) -> Sampling:
    """As the parameters of a step say."""
    return Sampling(float(parameters["temperature"]), parameters["max_tokens"])


def text_of(row: Row, work: Work) -> str:
    """All texts of the row, one after another."""
    return "\n\n".join(text for _role, text in texts_of(row.value, work.mapping))


def askable(rows: Iterator[Row], work: Work) -> Iterator[Row]:
    """Rows with a text that is not too long; others are dropped as `empty` and `too_long`."""
    for row in rows:
        length = len(text_of(row, work).strip())
        if 0 < length <= TEXT_MAX and isinstance(row.value, dict):
            yield row
        else:
            work.drop(row, "too_long" if length > TEXT_MAX else "empty")
