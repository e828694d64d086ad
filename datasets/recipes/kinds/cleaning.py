"""Steps that repair rows, drop them and mask what is in them."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

from common.phrases import gettext as _
from datasets.recipes.clean import clean
from datasets.recipes.duplicates import deduplicate
from datasets.recipes.kind import ROWS_MAX, Kind
from datasets.recipes.languages import LANGUAGES
from datasets.recipes.masking import mask
from datasets.recipes.parameters import (
    Choice,
    Column,
    Flag,
    Number,
    Pattern,
    Refused,
    Rules,
    Several,
    Versions,
    Written,
)
from datasets.recipes.words import MASKED
from datasets.shapes.families import is_known

GUESSED = ("name", "address")  # found by their context: not masked unless that is asked for


def _clean_check(given: Mapping[str, Any]) -> None:
    least, most = given["min_chars"], given["max_chars"]
    if least is not None and most is not None and least > most:
        raise Refused("max_chars", _("The most cannot be less than the fewest."))
    if given["template"] and not is_known(given["template"]):
        words = {"name": given["template"]}
        raise Refused("template", _("There is no chat template “%(name)s”.") % words)


def _mask_check(given: Mapping[str, Any]) -> None:
    if not given["kinds"] and not given["rules"]:
        raise Refused("kinds", _("Choose something to mask, or write a rule."))
    if given["scope"] == "column" and not given["scope_column"]:
        raise Refused("scope_column", _("Name the column."))


CLEAN = Kind(
    "clean",
    gettext_lazy("Clean"),
    gettext_lazy("Repairs texts; drops rows that are too short, too long or noise."),
    "brush-cleaning",
    (
        Flag(
            "encoding",
            gettext_lazy("Repair encodings"),
            True,
            gettext_lazy("cafÃ© becomes café."),
        ),
        Flag("unicode", gettext_lazy("One form of each letter (Unicode NFC)"), True),
        Flag("space", gettext_lazy("Tidy white space"), True),
        Flag(
            "markup",
            gettext_lazy("Strip HTML"),
            False,
            gettext_lazy("Fenced code stays as it is."),
        ),
        Number(
            "min_chars",
            gettext_lazy("Fewest characters"),
            None,
            most=ROWS_MAX,
            whole=True,
            optional=True,
        ),
        Number(
            "max_chars",
            gettext_lazy("Most characters"),
            None,
            most=ROWS_MAX,
            whole=True,
            optional=True,
        ),
        Flag(
            "boilerplate",
            gettext_lazy("Drop lines of cookies and navigation"),
            False,
            gettext_lazy("Known phrases, Chinese and English, in texts of several lines."),
        ),
        Number(
            "repeated_lines",
            gettext_lazy("Drop lines that stand in so many rows"),
            None,
            gettext_lazy("Headers and footers repeat; code in fences is left alone."),
            least=2,
            most=ROWS_MAX,
            whole=True,
            optional=True,
        ),
        Number(
            "max_repetition",
            gettext_lazy("Most repetition"),
            None,
            gettext_lazy("The share of stretches of ten characters that occurred before, 0 to 1."),
            optional=True,
        ),
        Number(
            "max_symbols",
            gettext_lazy("Most signs"),
            None,
            gettext_lazy("The share of signs that are neither letters nor digits, 0 to 1."),
            optional=True,
        ),
        Several(
            "languages",
            gettext_lazy("Languages that stay"),
            [],
            gettext_lazy("None chosen: all. Rows whose language is mixed or not sure stay."),
            choices=tuple(LANGUAGES.items()),
            optional=True,
        ),
        Pattern(
            "pattern",
            gettext_lazy("Pattern"),
            "",
            gettext_lazy("A regular expression that is looked for in the texts of a row."),
        ),
        Choice(
            "pattern_drops",
            gettext_lazy("The pattern drops"),
            "matching",
            when=("pattern", True),
            choices=(
                ("matching", gettext_lazy("rows that have it")),
                ("others", gettext_lazy("rows that do not have it")),
            ),
        ),
        Written(
            "template",
            gettext_lazy("Chat template"),
            "",
            gettext_lazy(
                "Its name. Rows go whose tools or tool calls it cannot write: the engine would stop"
                " the training at them."
            ),
        ),
    ),
    clean,
    _clean_check,
)

DEDUPLICATE = Kind(
    "deduplicate",
    gettext_lazy("Deduplicate"),
    gettext_lazy("Keeps the first of rows that say the same, or nearly the same."),
    "copy-minus",
    (
        Choice(
            "mode",
            gettext_lazy("Duplicates are"),
            "near",
            choices=(
                ("exact", gettext_lazy("rows with the same texts")),
                ("near", gettext_lazy("rows that are much alike")),
            ),
        ),
        Number(
            "threshold",
            gettext_lazy("Similarity from"),
            0.8,
            gettext_lazy("The share of what two rows have in common, 0.5 to 1."),
            when=("mode", "near"),
            least=0.5,
            most=1,
        ),
        Versions(
            "against",
            gettext_lazy("Drop also what stands in"),
            [],
            gettext_lazy("Such as the data that models are evaluated on."),
            optional=True,
        ),
    ),
    deduplicate,
)

MASK = Kind(
    "mask",
    gettext_lazy("Mask"),
    gettext_lazy("Puts placeholders such as [EMAIL_1] in the place of personal data."),
    "venetian-mask",
    (
        Several(
            "kinds",
            gettext_lazy("What is masked"),
            [kind for kind in MASKED if kind not in GUESSED],
            gettext_lazy(
                "Names and addresses are found by the words around them: some are missed, and"
                " some other words are masked."
            ),
            choices=tuple(MASKED.items()),
            optional=True,
        ),
        Rules(
            "rules",
            gettext_lazy("Own rules"),
            "",
            gettext_lazy(
                "One a line: a name and a regular expression. ORDER = PO-[0-9]{6} makes [ORDER_1]."
            ),
        ),
        Choice(
            "scope",
            gettext_lazy("The same placeholder for the same thing"),
            "row",
            gettext_lazy(
                "Within a row nobody can tell that two rows are about the same person. Wider, that"
                " can be told, but not who it is: only hashes are kept, and not longer than the run"
                " lasts."
            ),
            choices=(
                ("row", gettext_lazy("within a row")),
                ("column", gettext_lazy("in rows with the same value in a column")),
                ("dataset", gettext_lazy("in all rows")),
            ),
        ),
        Column(
            "scope_column",
            gettext_lazy("Column of that value"),
            "",
            gettext_lazy(
                "Such as the document, the case or the customer."
                " A row without one counts by itself."
            ),
            when=("scope", "column"),
        ),
    ),
    mask,
    _mask_check,
)
