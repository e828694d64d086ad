"""What all steps have that make variants of rows: which texts, and how alike they may be."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

from common.phrases import gettext as _
from datasets.recipes.parameters import Choice, Number, Parameter, Refused

WHERE = Choice(
    "where",
    gettext_lazy("What is varied"),
    "questions",
    choices=(
        ("questions", gettext_lazy("questions and plain texts")),
        ("answers", gettext_lazy("answers")),
        ("all", gettext_lazy("all texts")),
    ),
)


def alike(least: float, most: float) -> tuple[Parameter, ...]:
    """How alike a new row and its row must be, and may be."""
    return (
        Number(
            "least_alike",
            gettext_lazy("Least similarity"),
            least,
            gettext_lazy("New rows that have less in common with their row are dropped, 0 to 1."),
        ),
        Number(
            "most_alike",
            gettext_lazy("Most similarity"),
            most,
            gettext_lazy("New rows that have more in common with their row are dropped, 0 to 1."),
        ),
    )


def alike_check(given: Mapping[str, Any]) -> None:
    """`Refused` when nothing lies between the two."""
    if given["least_alike"] >= given["most_alike"]:
        raise Refused("most_alike", _("This must be more than the least similarity."))
