"""Steps that give rows another form, and make more of them."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

from common.phrases import gettext as _
from datasets.models import DatasetVersion
from datasets.recipes.augment import augment
from datasets.recipes.chunk import chunk
from datasets.recipes.convert import TEMPLATES, convert, convert_check, converted
from datasets.recipes.kind import Kind
from datasets.recipes.kinds.variants import WHERE, alike, alike_check
from datasets.recipes.parameters import Choice, Flag, Number, Refused, Several, Written
from datasets.recipes.words import VARIED

_NAMES = {
    "prompt": gettext_lazy("Question or instruction"),
    "query": gettext_lazy("Further input"),
    "response": gettext_lazy("Answer"),
    "system": gettext_lazy("System prompt"),
    "chosen": gettext_lazy("Better answer"),
    "rejected": gettext_lazy("Worse answer"),
    "mark": gettext_lazy("Mark: good or bad"),
    "text": gettext_lazy("Text"),
}
_HELP = {
    "prompt": gettext_lazy("Columns in braces, with words around them: {title}: {question}"),
    "mark": gettext_lazy("A column with true and false, 1 and 0, yes and no, good and bad."),
    "text": gettext_lazy("Such as {title}, an empty line, and {body}; for plain texts."),
}


def _sizes_check(given: Mapping[str, Any]) -> None:
    if given["overlap"] > given["size"] / 2:
        raise Refused("overlap", _("The overlap may be half of a piece at most."))


CONVERT = Kind(
    "convert",
    gettext_lazy("Convert"),
    gettext_lazy("Makes rows of any columns into one of the formats that models are trained on."),
    "arrow-right-left",
    (
        Choice(
            "shape", gettext_lazy("Format"), "alpaca", choices=tuple(DatasetVersion.Shape.choices)
        ),
        Choice(
            "source",
            gettext_lazy("The texts come from"),
            "columns",
            choices=(
                ("columns", gettext_lazy("columns, as written below")),
                ("turns", gettext_lazy("the turns of each row, as they are")),
            ),
        ),
        *(
            Written(
                name,
                _NAMES[name],
                "",
                _HELP.get(name, ""),
                when=("source", "columns"),
                longest=4000,
                lines=True,
            )
            for name in TEMPLATES
        ),
        Flag(
            "keep",
            gettext_lazy("Keep the other columns"),
            False,
            gettext_lazy("No training reads them; later steps may."),
        ),
    ),
    convert,
    convert_check,
    converted,
)

CHUNK = Kind(
    "chunk",
    gettext_lazy("Cut into pieces"),
    gettext_lazy("Makes of each plain text several that are not longer than they may be."),
    "scissors",
    (
        Choice(
            "by",
            gettext_lazy("Pieces end with"),
            "headings",
            choices=(
                ("headings", gettext_lazy("sections below headings, and paragraphs in them")),
                ("paragraphs", gettext_lazy("paragraphs")),
                ("sentences", gettext_lazy("sentences")),
            ),
        ),
        Number("size", gettext_lazy("Longest piece"), 1000, least=20, most=10**6, whole=True),
        Number(
            "overlap",
            gettext_lazy("Overlap"),
            0,
            gettext_lazy("So much of the end of a piece begins the next one, in whole sentences."),
            most=10**6,
            whole=True,
        ),
        Choice(
            "unit",
            gettext_lazy("Counted in"),
            "characters",
            choices=(
                ("characters", gettext_lazy("characters")),
                ("tokens", gettext_lazy("tokens of the platform's tokenizer")),
            ),
        ),
    ),
    chunk,
    _sizes_check,
    makes=True,
)

AUGMENT = Kind(
    "augment",
    gettext_lazy("Vary"),
    gettext_lazy("Adds variants of each row: slips of the pen, and other words for the same."),
    "copy-plus",
    (
        Several(
            "kinds", gettext_lazy("Kinds of variants"), ["noise"], choices=tuple(VARIED.items())
        ),
        Number("variants", gettext_lazy("Variants of each kind"), 1, least=1, most=5, whole=True),
        WHERE,
        Number(
            "strength",
            gettext_lazy("Strength"),
            0.05,
            gettext_lazy("How much of a text is changed, 0.01 to 0.3."),
            least=0.01,
            most=0.3,
        ),
        *alike(0.5, 0.99),
    ),
    augment,
    alike_check,
    makes=True,
)
