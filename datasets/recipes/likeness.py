"""How alike two texts are: a new row's, and those of the row that it was made of."""

from collections.abc import Callable
from pathlib import Path

from common.errors import DomainError
from common.phrases import gettext as _

LOOKED_AT = 50_000  # characters of a text that an embedding model reads

Likeness = Callable[[str, str], float]  # 0 to 1


def similarity(one: str, other: str) -> float:
    """The share of stretches of three characters that both texts have, 0 to 1.

    This is their Jaccard similarity, which MinHash estimates: of a single pair the share itself is
    both exact and sooner found than two signatures.
    """
    first, second = _stretches(one), _stretches(other)
    return len(first & second) / max(len(first | second), 1)


def _stretches(text: str) -> set[str]:
    return {text[at : at + 3] for at in range(max(len(text) - 2, 1))}


def embedded(directory: Path) -> Likeness:
    """Likeness by meaning: the cosine of both texts' vectors, 0 where they point away.

    The directory holds a model of static embeddings (Model2Vec, or such a one of Sentence
    Transformers), which is read into memory. DomainError where it cannot be read.
    """
    import numpy as np  # both here, so that pages need not carry them
    from model2vec import StaticModel

    try:
        if not directory.is_dir():  # the library would look for its name on a hub
            raise NotADirectoryError("there is no such directory")
        model = StaticModel.from_pretrained(directory)
        model.encode(["x"])
    except Exception as error:
        raise DomainError(
            _(
                "The embedding model in %(directory)s cannot be read: %(reason)s. An operator must"
                " repair it, or take TRAINER_EMBEDDING_MODEL_DIR away."
            )
            % {"directory": directory, "reason": error},
            code="bad_embedding_model",
        ) from error

    def likeness(one: str, other: str) -> float:
        texts = [one[:LOOKED_AT], other[:LOOKED_AT]]
        first, second = model.encode(texts, max_length=None, normalize=False).astype(np.float64)
        length = float(np.linalg.norm(first) * np.linalg.norm(second))
        if not length:  # of a text without a word that the model knows
            return float(one == other)
        return min(max(float(first @ second) / length, 0.0), 1.0)

    return likeness
